//! Jobs: which times of a schedule are due, and what becomes of a run that fails.
//!
//! A *tick* is a time of a job's schedule. Each tick is decided once: it begins a run, or is skipped. The caller records up to
//! which tick it has decided ([`Due::ticked`]) in the transaction that makes the run, so no other leader decides it again.
//!
//! What holds:
//! - The recorded time never goes back for a clock that was set back by less than [`AHEAD`]: no tick is decided twice.
//! - After a long time without a leader, one tick at most is caught up with, the latest one; the others are counted.
//! - A schedule with fixed minutes and hours has each of its times once a day, also on the days when clocks change: what falls
//!   into the hour that is left out comes right after it, and what comes twice counts the first time. A schedule whose minutes or
//!   hours begin with `*` follows the time that really passes.

mod due;
mod retry;
mod schedule;
mod words;

pub use due::{AHEAD, CatchUp, Due, due};
pub use retry::{Admission, Overlap, admit, pause_after};
pub use schedule::{Schedule, ScheduleError};

#[cfg(test)]
mod due_test;
#[cfg(test)]
mod schedule_test;
