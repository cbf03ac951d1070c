//! `console`: text that the script formats and the host writes.

mod interface;
pub(crate) mod ops;

pub use interface::{Console, ConsoleLevel};
