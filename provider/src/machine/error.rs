//! Why a machine cannot be.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::ProviderError;

/// Why a machine cannot be.
#[derive(Debug, Error)]
pub enum MachineError {
    /// The arguments are not those that Disco writes.
    #[error("`machine`: {reason}")]
    Usage {
        /// What is wrong.
        reason: String,
    },
    /// There is no machine in this folder.
    #[error("no machine in `{}`", path.display())]
    NoSuchMachine {
        /// The folder.
        path: PathBuf,
    },
    /// It runs already.
    #[error("machine `{id}` is already running")]
    Running {
        /// The machine.
        id: String,
    },
    /// Its address is not free.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Its host key cannot be used.
    #[error("cannot use the host key `{}`: {reason}", path.display())]
    HostKey {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// It cannot be started as nobody's child.
    #[error("cannot start a process for the machine")]
    Detach(#[source] io::Error),
    /// What the operating system refused.
    #[error("the operating system refused a call that the machine needs")]
    Runtime(#[source] io::Error),
    /// Its folder cannot be read.
    #[error(transparent)]
    Folder(#[from] ProviderError),
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

impl MachineError {
    /// Names what was tried and on which file.
    pub(super) fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Self::Io { action, path, source }
    }
}
