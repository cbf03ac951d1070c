//! `console`: text for people, formatted in the script, written by the host.

mod interface;

pub use interface::{Console, ConsoleLevel};
