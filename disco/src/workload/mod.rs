//! Stacks, services and tasks, from the operator's side.
//!
//! ```text
//! stack files ──source──> Stack ──spec──> ServiceSpec ──┐
//! program files ──program──> files, sent to the nodes ──┴─change──> the leader
//! records of the cluster ──catalogue──> what runs ──follow──> progress, and how it ended
//! ```
//!
//! `spec.rs` is a pure conversion. The client decides nothing about tasks: it sends what shall be, and reads what is.

mod catalogue;
mod change;
mod deploy;
mod follow;
mod jobs;
mod output;
mod program;
mod source;
mod spec;
mod target;
mod trouble;
mod usage;
mod values;
mod why;

#[cfg(test)]
pub(crate) use self::catalogue::tests::catalogue;
pub(crate) use self::{
    catalogue::{Catalogue, Task, word},
    change::{change, describe, finish},
    deploy::{InPlace, finish_deploy, in_place, upload},
    follow::{End, Scope, follow},
    jobs::{Job, RunName, change_jobs, job, jobs, named_run, run as recorded_run},
    output::{TaskLine, merged, read_output},
    source::{Source, find, load, missing, warn},
    target::{Target, resolve, service, stack},
    usage::{NodeUsage, Sample, TaskUsage, node_usage, sample, task_usages},
    why::{Explanation, Known, explain, explain_node},
};
