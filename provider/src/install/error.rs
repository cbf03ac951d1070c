//! Errors of an installation.

use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::{Architecture, Refusal};
use crate::ssh::{SshError, Status};

/// An error of an installation.
#[derive(Debug, Error)]
pub enum InstallError {
    /// An error of the connection.
    #[error(transparent)]
    Ssh(#[from] SshError),
    /// A binary does not exist.
    #[error("cannot find `{name}` to install (looked for {looked}); build it with `cargo build --release`")]
    BinaryMissing {
        /// Its name.
        name: &'static str,
        /// The paths that were tried.
        looked: String,
    },
    /// A dangling symlink.
    #[error(
        "the symlink `{}` points to `{}`, which does not exist; build it with `cargo build --release`, \
         or point the symlink to another build",
        link.display(),
        target.display()
    )]
    DanglingSymlink {
        /// The symlink.
        link: PathBuf,
        /// Its target.
        target: PathBuf,
    },
    /// A binary cannot be read.
    #[error("cannot read the binary `{}`", path.display())]
    BinaryUnreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file is not a program for Linux.
    #[error("`{}` is not a program for Linux: {reason}", path.display())]
    NotElf {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A binary is for another architecture.
    #[error(
        "`{}` is built for {binary}, but {endpoint} is {machine}; build it with \
         `cross build --release --target {machine}-unknown-linux-musl` and point the symlink `{name}` of the project \
         folder to `target/{machine}-unknown-linux-musl/release/{name}`",
        path.display()
    )]
    WrongArchitecture {
        /// The file.
        path: PathBuf,
        /// Its name.
        name: &'static str,
        /// Its architecture.
        binary: Architecture,
        /// `host:port`.
        endpoint: String,
        /// The machine's architecture.
        machine: Architecture,
    },
    /// A binary needs a dynamic loader that the machine does not have.
    #[error(
        "`{}` needs `{interpreter}`, which {endpoint} does not have; use a static build \
         (`cross build --release --target {machine}-unknown-linux-musl`)",
        path.display()
    )]
    NoInterpreter {
        /// The file.
        path: PathBuf,
        /// The loader.
        interpreter: String,
        /// `host:port`.
        endpoint: String,
        /// The machine's architecture.
        machine: Architecture,
    },
    /// Disco does not run on such a machine.
    #[error("{endpoint} runs {system}; Disco runs on Linux on x86_64 and aarch64")]
    UnsupportedSystem {
        /// `host:port`.
        endpoint: String,
        /// The output of `uname -sm`.
        system: String,
    },
    /// By its clock a new certificate would be invalid.
    #[error(
        "the clock of {endpoint} is {by} {way} this computer's, and certificates depend on clocks\nhint: set the one that is wrong \
         (`timedatectl set-ntp true`), then run the command again"
    )]
    Clock {
        /// `host:port`.
        endpoint: String,
        /// The difference, such as `2 h 5 min`.
        by: String,
        /// `behind` or `ahead of`.
        way: &'static str,
    },
    /// There is not enough free disk space.
    #[error("{endpoint} has {} MiB free at `{dir}`, but {} MiB are needed", free >> 20, (needed >> 20) + 1)]
    NoSpace {
        /// `host:port`.
        endpoint: String,
        /// The folder.
        dir: String,
        /// Bytes that are free.
        free: u64,
        /// Bytes that are needed.
        needed: u64,
    },
    /// An upload is incomplete or damaged.
    #[error("`{name}` arrived incomplete or damaged at {endpoint}; try again{}{stderr}", if stderr.is_empty() { "" } else { ": " })]
    Checksum {
        /// Its name.
        name: &'static str,
        /// `host:port`.
        endpoint: String,
        /// The machine's error, such as that its disk is full.
        stderr: String,
    },
    /// A binary does not start on the machine.
    #[error("`{name}` does not start on {endpoint}: {stderr}")]
    DoesNotStart {
        /// Its name.
        name: &'static str,
        /// `host:port`.
        endpoint: String,
        /// Its output, or the machine's error.
        stderr: String,
    },
    /// A step failed on the machine.
    #[error("cannot {what} on {endpoint} ({status}): {stderr}")]
    Command {
        /// The step.
        what: &'static str,
        /// `host:port`.
        endpoint: String,
        /// How the command ended.
        status: Status,
        /// Its standard error.
        stderr: String,
    },
    /// The machine's answer could not be parsed.
    #[error("cannot {what} on {endpoint}: unexpected answer `{answer}`")]
    Answer {
        /// The step.
        what: &'static str,
        /// `host:port`.
        endpoint: String,
        /// The answer.
        answer: String,
    },
    /// A setting cannot be stored in the service's files.
    #[error("the setting {what} of a node must not contain line breaks or other control characters: {value:?}")]
    Setting {
        /// Its name.
        what: &'static str,
        /// Its value.
        value: String,
    },
    /// The machine must not be changed.
    #[error("cannot use {endpoint}: {refusal}; nothing was changed there")]
    Refused {
        /// `host:port`.
        endpoint: String,
        /// Why.
        refusal: Refusal,
    },
    /// Signing the node's identity failed.
    #[error("cannot sign the identity of {endpoint}")]
    Sign {
        /// `host:port`.
        endpoint: String,
        /// Why.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl InstallError {
    /// Why the machine must not be changed, if that is the error.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused { refusal, .. } => Some(refusal),
            _ => None,
        }
    }
}
