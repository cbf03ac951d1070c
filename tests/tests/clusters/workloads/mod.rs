//! Stacks on whole clusters: deployed, exchanged, moved and removed, under traffic and under faults.

mod bad;
mod changes;
mod deploy;
mod exec;
mod jobs;
mod look;
mod machines;
mod programs;
mod scripts;
mod secrets;
mod singleton;
mod support;
mod traffic;
