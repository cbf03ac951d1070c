//! The next steps from the tasks of one version of a service to those of another.
//!
//! A step is taken from what is true now, never from what an earlier step intended: how many tasks are missing, healthy or
//! draining is counted each time, so a lost node, a drained node, a change of the number of copies or another leader in the
//! middle changes the next step and nothing else.
//!
//! ```text
//! new task:  wanted ──> started ──> healthy                     an endpoint of the service
//! old task:  healthy ──> draining ──> stopped by the caller ──> gone
//!            an endpoint │ none any more
//! ```
//!
//! What holds, as far as it depends on these steps and not on tasks that fail by themselves:
//! - At least `copies - max_unavailable` tasks are healthy endpoints.
//! - At most `copies + batch` tasks exist (with [`Order::StopFirst`]: at most `copies`).
//! - A healthy task is drained, never stopped at once. The caller stops it after the drain time.

mod step;
mod view;

pub use step::{Failure, Progress, Step, Waits, step};
pub use view::{Order, Strategy, Task, View};

#[cfg(test)]
mod step_test;
