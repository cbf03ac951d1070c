//! Jobs: programs of a stack that run to their end, by a schedule or by request.
//!
//! ```text
//! ServiceRecord ──> GroupRecord with a JobSpec     JobRecord (which times of the schedule are decided)
//!                                                     │ a tick or a request: both in one transaction
//!                                                     v
//!                                                  JobRunRecord (one run) <── TaskRecord (each try of it, on one node)
//! ```
//!
//! A job is a service without copies, so that a version that knows no jobs runs nothing of it. Only the leader writes these records.

use serde::{Deserialize, Serialize};

/// What makes a service a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpec {
    /// A cron pattern of five fields; absent: it runs by request alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// The IANA time zone of the schedule; absent: `UTC`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// What happens at a time of the schedule while an earlier run is not over.
    #[serde(default)]
    pub overlap: OverlapSpec,
    /// Times of the schedule that came while there was no leader begin no run, not even the latest.
    #[serde(default)]
    pub no_catch_up: bool,
    /// Milliseconds after which a try is ended; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// How often a run that failed is tried again.
    #[serde(default)]
    pub retries: u32,
    /// Runs that are over and retained, with their output.
    #[serde(default = "JobSpec::usual_keep")]
    pub keep: u32,
}

/// What happens at a time of the schedule while an earlier run is not over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverlapSpec {
    /// Nothing: the time is skipped.
    #[default]
    Forbid,
    /// A run begins beside it.
    Allow,
    /// It is ended, and a run begins after that.
    Replace,
}

impl JobSpec {
    /// Runs that are retained unless the stack file says how many.
    #[must_use]
    pub const fn usual_keep() -> u32 {
        10
    }
}

/// A job: how far its schedule is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRecord {
    /// The stack.
    pub stack: String,
    /// The service.
    pub name: String,
    /// The schedule whose times are counted here, with its time zone behind a space; empty: none.
    #[serde(default)]
    pub schedule: String,
    /// All times of the schedule up to this one are decided, RFC 3339.
    pub ticked: String,
    /// The next time, RFC 3339; absent without a schedule, and while the job is stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The number of the last run; 0 before the first.
    #[serde(default)]
    pub runs: u64,
    /// When the last run was made, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
    /// Times that have begun no run since the last run was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<SkippedRecord>,
}

/// Times of a schedule that have begun no run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedRecord {
    /// How many.
    pub count: u64,
    /// The last of them, RFC 3339.
    pub at: String,
    /// Why.
    pub reason: String,
}

/// One run of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRunRecord {
    /// The stack.
    pub stack: String,
    /// The job.
    pub job: String,
    /// Its number among the runs of the job, from 1, never used again.
    pub number: u64,
    /// The version that runs.
    pub group: u64,
    /// The time of the schedule, RFC 3339; absent: it was requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled: Option<String>,
    /// Identifies the request, so that it makes one run however often it is sent; empty for one of the schedule.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub token: String,
    /// Arguments behind those of the stack file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// What it does.
    pub state: JobRunState,
    /// Why it is to end, or has ended before its program did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<EndingRecord>,
    /// Its current or last task; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<u64>,
    /// Where that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<u64>,
    /// Tries that have failed.
    #[serde(default)]
    pub failures: u32,
    /// Nodes that could not begin with it.
    #[serde(default)]
    pub refusals: u32,
    /// It waits since then, RFC 3339.
    pub since: String,
    /// RFC 3339.
    pub created_at: String,
    /// When the program started first, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// RFC 3339; absent while it is not over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<String>,
    /// The program's own, of the last try; absent after a signal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// That ended it, such as `SIGKILL`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// No node could take it: that is why it failed.
    #[serde(default)]
    pub unplaced: bool,
    /// Why it is in that state.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// What a run does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobRunState {
    /// It has no task: it waits for a node, or before it is tried again.
    Waiting,
    /// It has a task.
    Running,
    /// Its program ended with exit code 0.
    Succeeded,
    /// Its last try failed.
    Failed,
    /// It was ended by request, or with its job.
    Cancelled,
}

/// Why a run ends before its program does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndingRecord {
    /// What becomes of it.
    pub kind: EndingKind,
    /// Why, in words.
    pub why: String,
}

/// What becomes of a run that is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndingKind {
    /// It is cancelled.
    Cancelled,
    /// The try has failed, and is repeated if the job says so.
    TryFailed,
}

/// The run that a task belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRun {
    /// Its number.
    pub number: u64,
    /// The time of the schedule, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled: Option<String>,
    /// Arguments behind those of the stack file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
}

impl JobRunRecord {
    /// `STACK/JOB/NUMBER`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}/{}", self.stack, self.job, self.number)
    }

    /// Whether nothing more becomes of it.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        !matches!(self.state, JobRunState::Waiting | JobRunState::Running)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_have_defaults_for_what_is_missing() {
        let spec: JobSpec = serde_json::from_str("{}").unwrap();
        assert_eq!((spec.overlap, spec.keep, spec.retries, spec.timeout_ms), (OverlapSpec::Forbid, 10, 0, None));
        let run =
            r#"{"stack":"shop","job":"backup","number":7,"group":3,"state":"running","since":"","created_at":""}"#;
        let run: JobRunRecord = serde_json::from_str(run).unwrap();
        assert_eq!((run.name().as_str(), run.is_over(), run.task), ("shop/backup/7", false, None));
        let job: JobRecord = serde_json::from_str(r#"{"stack":"shop","name":"backup","ticked":""}"#).unwrap();
        assert_eq!((job.runs, job.next, job.skipped), (0, None, None));
    }
}
