//! Stacks, services and tasks, from the operator's side.
//!
//! ```text
//! stack files ──source──> Stack ──spec──> ServiceSpec ──┐
//! program files ──program──> files, uploaded as blobs ──┴─change──> the leader
//! records of the cluster ──catalogue──> what runs ──follow──> progress, and how it ended
//! ```
//!
//! `spec.rs` is a pure conversion. The client decides nothing about tasks: it sends what shall be, and reads what is.

mod catalogue;
mod change;
mod deploy;
mod follow;
mod output;
mod program;
mod source;
mod spec;
mod target;
mod trouble;

#[cfg(test)]
pub(crate) use self::catalogue::tests::catalogue;
pub(crate) use self::{
    catalogue::{Catalogue, Task, word},
    change::{change, describe, finish},
    deploy::{finish_deploy, upload},
    follow::Scope,
    output::{TaskLine, merged, read_output},
    source::{Source, find, load, missing, warn},
    target::{Target, resolve, service, stack},
};
