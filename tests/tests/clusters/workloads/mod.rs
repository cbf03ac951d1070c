//! Stacks on whole clusters: deployed, exchanged, moved and removed, under traffic and under faults.

mod bad;
mod changes;
mod deploy;
mod machines;
mod singleton;
mod support;
mod traffic;
