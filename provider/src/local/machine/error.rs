//! Errors of a local machine.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::ProviderError;

/// An error of a local machine.
#[derive(Debug, Error)]
pub enum MachineError {
    /// Invalid arguments, which only Disco itself writes.
    #[error("`machine`: {reason}")]
    Usage {
        /// What is wrong.
        reason: String,
    },
    /// No machine is in this folder.
    #[error("no machine in `{}`", path.display())]
    NoSuchMachine {
        /// The folder.
        path: PathBuf,
    },
    /// It is already running.
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
    /// It cannot be started as an orphan.
    #[error("cannot start a process for the machine")]
    Detach(#[source] io::Error),
    /// The operating system refused a call.
    #[error("the operating system refused a call that the machine needs")]
    Runtime(#[source] io::Error),
    /// Its folder cannot be read.
    #[error(transparent)]
    Folder(#[from] ProviderError),
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

impl MachineError {
    /// Adds the operation and the file.
    pub(super) fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Self::Io { action, path, source }
    }
}
