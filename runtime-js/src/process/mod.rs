//! `$`: a command on the machine that runs the script.

pub(crate) mod ops;
mod run;

pub use run::{ShellCommand, ShellError, ShellOutput};
