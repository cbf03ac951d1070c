//! Records what a script would do, without doing it.

mod interface;
pub(crate) mod ops;

pub use interface::{Plan, WouldRun};
