//! Errors of the user's configuration.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// The user's configuration of SSH cannot be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("cannot read the SSH configuration `{}`", path.display())]
    Read {
        /// The file, or the pattern of `Include`.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others can write to the file.
    #[error(
        "the SSH configuration `{0}` can be written by others (mode {mode:04o})\nhint: `chmod go-w {1}`",
        path.display(),
        crate::ssh::quote(&path.to_string_lossy())
    )]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A line cannot be used.
    #[error("`{}`, line {line}: {reason}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line's number.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// A value cannot be used.
    #[error("the SSH configuration of `{name}`: {reason}")]
    Value {
        /// The machine's name in the script.
        name: String,
        /// What is wrong.
        reason: String,
    },
}
