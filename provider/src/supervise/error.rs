//! Errors of a supervisor.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// An error of a supervisor.
#[derive(Debug, Error)]
pub enum SuperviseError {
    /// Invalid arguments, which only Disco itself writes.
    #[error("`supervise`: {reason}")]
    Usage {
        /// What is wrong.
        reason: String,
    },
    /// A file cannot be parsed.
    #[error("`{}` is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Another supervisor runs in this folder.
    #[error("`{}` already has a supervisor", dir.display())]
    Running {
        /// The folder.
        dir: PathBuf,
    },
    /// The supervisor cannot be started.
    #[error("cannot start the supervisor")]
    Start {
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The program cannot be started.
    #[error("cannot start `{}`", program.display())]
    Program {
        /// The program.
        program: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The service does not stop.
    #[error("the service in `{}` does not end", dir.display())]
    Stuck {
        /// The folder.
        dir: PathBuf,
    },
    /// The service's machine is gone.
    #[error("the machine of this service is gone")]
    NoMachine,
    /// An I/O error of a file.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// The operation.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

impl SuperviseError {
    /// Adds the operation and the file.
    pub(super) fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Self::Io { action, path, source }
    }
}
