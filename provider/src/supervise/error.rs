//! Why a service cannot be supervised.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why a service cannot be supervised.
#[derive(Debug, Error)]
pub enum SuperviseError {
    /// The arguments are not those that Disco writes.
    #[error("`supervise`: {reason}")]
    Usage {
        /// What is wrong.
        reason: String,
    },
    /// A file cannot be understood.
    #[error("`{}` is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Another supervisor has this folder.
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
    /// It does not end.
    #[error("the service in `{}` does not end", dir.display())]
    Stuck {
        /// The folder.
        dir: PathBuf,
    },
    /// The machine that this would run on is gone.
    #[error("the machine of this service is gone")]
    NoMachine,
    /// Something about a file failed.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

impl SuperviseError {
    /// Names what was tried and on which file.
    pub(super) fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Self::Io { action, path, source }
    }
}
