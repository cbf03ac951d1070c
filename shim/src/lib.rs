//! The parent of one task of the process driver.
//!
//! `discod` starts a shim for each task and may then crash, restart or be replaced: the shim goes on. It is the task's parent
//! and the subreaper of everything that the task starts, it keeps the task in a control group, writes the task's output to
//! disk, ends the task on request or when a lease runs out, and records how the task ended.
//!
//! ```text
//!            spec (stdin)             socket: stop, signal, fence, state
//! discod ───────────────────> shim <───────────────────────────────────── discod (any later one)
//!                              │ ├── task.json   who runs, written before the first byte of output
//!                  fork, exec  │ ├── output/     segments, see `output`
//!                              ▼ └── exit.json   how it ended, written after the last byte of output
//!                            task
//! ```
//!
//! States: running → (stop, lease over) stopping → (the task's first process ended) clearing → (no descendant is left, output
//! drained) ended. A task ends with its first process: whatever else it started is killed then.
//!
//! A shim is single-threaded and uses no async runtime, as its memory is paid once per task.

mod cgroup;
mod clear;
mod client;
mod control;
mod descendants;
mod error;
mod folder;
mod launch;
pub mod output;
mod probe;
mod process;
mod pump;
mod run;
pub mod session;
mod spec;
mod timer;
mod usage;

pub use clear::{SLICE, clear_all, clear_orphans, not_limited, sweep};
pub use client::{Client, Start};
pub use error::Error;
pub use folder::{Ended, Exit, Folder, Task};
pub use probe::{Probe, Probed, probe};
pub use process::{Process, boot_id, boottime_ms};
pub use run::run;
pub use spec::{Limits, Spec, User};
pub use usage::{Processes, Usage};
