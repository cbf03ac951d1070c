//! Why Disco cannot be installed.

use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::{Architecture, Refusal};
use crate::ssh::{SshError, Status};

/// Why Disco cannot be installed.
#[derive(Debug, Error)]
pub enum InstallError {
    /// The connection's errors.
    #[error(transparent)]
    Ssh(#[from] SshError),
    /// There is no such binary.
    #[error("cannot find `{name}` to install (looked for {looked}); build it with `cargo build --release`")]
    BinaryMissing {
        /// Which one.
        name: &'static str,
        /// Where it was looked for.
        looked: String,
    },
    /// A symlink points nowhere.
    #[error(
        "the symlink `{}` points to `{}`, which does not exist; build it with `cargo build --release`, \
         or point the symlink to another build",
        link.display(),
        target.display()
    )]
    DanglingSymlink {
        /// The symlink.
        link: PathBuf,
        /// What it points to.
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
    /// A file is no program for Linux.
    #[error("`{}` is not a program for Linux: {reason}", path.display())]
    NotElf {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A binary is for another kind of processor.
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
        /// What it is built for.
        binary: Architecture,
        /// `host:port`.
        endpoint: String,
        /// What the machine is.
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
        /// What the machine is.
        machine: Architecture,
    },
    /// The machine is of a kind that Disco does not run on.
    #[error("{endpoint} runs {system}; Disco runs on Linux on x86_64 and aarch64")]
    UnsupportedSystem {
        /// `host:port`.
        endpoint: String,
        /// What `uname -sm` says.
        system: String,
    },
    /// Its clock would not accept certificates that are made now.
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
    /// There is not enough room.
    #[error("{endpoint} has {} MiB free at `{dir}`, but {} MiB are needed", free >> 20, (needed >> 20) + 1)]
    NoSpace {
        /// `host:port`.
        endpoint: String,
        /// Where.
        dir: String,
        /// Bytes that are free.
        free: u64,
        /// Bytes that are needed.
        needed: u64,
    },
    /// What arrived is not what was sent.
    #[error("`{name}` arrived incomplete or damaged at {endpoint}; try again{}{stderr}", if stderr.is_empty() { "" } else { ": " })]
    Checksum {
        /// Which one.
        name: &'static str,
        /// `host:port`.
        endpoint: String,
        /// What the machine said, such as that its disk is full.
        stderr: String,
    },
    /// A binary does not start on the machine.
    #[error("`{name}` does not start on {endpoint}: {stderr}")]
    DoesNotStart {
        /// Which one.
        name: &'static str,
        /// `host:port`.
        endpoint: String,
        /// What it, or the machine, said.
        stderr: String,
    },
    /// A step failed on the machine.
    #[error("cannot {what} on {endpoint} ({status}): {stderr}")]
    Command {
        /// What was tried.
        what: &'static str,
        /// `host:port`.
        endpoint: String,
        /// How the command ended.
        status: Status,
        /// What it said.
        stderr: String,
    },
    /// The machine answered something that makes no sense.
    #[error("cannot {what} on {endpoint}: unexpected answer `{answer}`")]
    Answer {
        /// What was asked.
        what: &'static str,
        /// `host:port`.
        endpoint: String,
        /// What it said.
        answer: String,
    },
    /// A setting cannot be written down.
    #[error("the setting {what} of a node must not contain line breaks or other control characters: {value:?}")]
    Setting {
        /// Which one.
        what: &'static str,
        /// Its value.
        value: String,
    },
    /// The machine must not be touched.
    #[error("cannot use {endpoint}: {refusal}; nothing was changed there")]
    Refused {
        /// `host:port`.
        endpoint: String,
        /// Why.
        refusal: Refusal,
    },
    /// The node's identity was not signed.
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
    /// Why the machine must not be touched, where it must not.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused { refusal, .. } => Some(refusal),
            _ => None,
        }
    }
}
