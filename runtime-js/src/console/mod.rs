//! `console`: text for people, formatted in the script, written by the host.

mod interface;
pub(crate) mod ops;

pub use interface::{Console, ConsoleLevel};
