//! What a script would do, where nothing is done.

mod interface;
pub(crate) mod ops;

pub use interface::{Plan, WouldRun};
