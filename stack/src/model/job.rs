//! `x-disco.job`.

use std::time::Duration;

use super::read::{duration, number, text};
use crate::yaml::Node;

/// Runs that are retained unless the file says how many.
const KEEP: u32 = 10;

/// When and how a job runs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Job {
    /// A cron pattern of five fields; `None`: by request alone.
    pub schedule: Option<String>,
    /// The schedule's time zone; `None`: UTC.
    pub time_zone: Option<String>,
    /// What happens at a time of the schedule while an earlier run is not over.
    pub overlap: Overlap,
    /// The last time that came while there was no leader runs late.
    pub catch_up: bool,
    /// Limit for each try.
    pub timeout: Option<Duration>,
    /// How often a run that failed is tried again.
    pub retries: u32,
    /// Runs that are over and retained.
    pub keep: u32,
}

/// What happens at a time of the schedule while an earlier run is not over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Overlap {
    /// Nothing.
    Forbid,
    /// Another run begins.
    Allow,
    /// It ends, and another run begins.
    Replace,
}

/// The job of a service that is one.
pub(super) fn read(service: &Node) -> Option<Job> {
    let job = service.get("x-disco")?.get("job").filter(|job| !job.is_null())?;
    Some(Job {
        schedule: text(job, "schedule"),
        time_zone: text(job, "time_zone"),
        overlap: match text(job, "overlap").as_deref() {
            Some("allow") => Overlap::Allow,
            Some("replace") => Overlap::Replace,
            _ => Overlap::Forbid,
        },
        catch_up: text(job, "catch_up").as_deref() != Some("none"),
        timeout: duration(job, "timeout"),
        retries: number(job, "retries").unwrap_or(0),
        keep: number(job, "keep").unwrap_or(KEEP),
    })
}
