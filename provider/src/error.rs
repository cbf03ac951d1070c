//! Errors of providers.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// An error of a provider.
#[derive(Debug, Error)]
pub enum ProviderError {
    /// The kind exists, but this build was made without it.
    #[error(
        "this build of Disco has no {kind} provider; use `LocalProvider` (machines on this computer) or `HostsProvider` (machines that exist already)"
    )]
    NotBuiltIn {
        /// The display name, such as `AWS`.
        kind: &'static str,
    },
    /// No such kind of provider.
    #[error("unknown provider kind `{kind}`: expected one of {known}")]
    UnknownKind {
        /// The given kind.
        kind: String,
        /// The existing kinds.
        known: &'static str,
    },
    /// An option is unknown, missing or of the wrong form.
    #[error("{what}: {reason}")]
    Options {
        /// The function whose options are invalid: `LocalProvider.init` or `start_instance`.
        what: &'static str,
        /// What is wrong, with the keys that are known.
        reason: String,
    },
    /// The provider cannot do this.
    #[error("the {kind} provider cannot {operation}")]
    NotSupported {
        /// The provider's kind.
        kind: &'static str,
        /// The operation, such as `attach an address`.
        operation: &'static str,
    },
    /// No machine has that id.
    #[error("machine `{id}` does not exist")]
    NoSuchMachine {
        /// The id.
        id: String,
    },
    /// All machines are in use.
    #[error("all {count} hosts are in use; add another to `hosts` in `HostsProvider.init`")]
    NoHostLeft {
        /// How many hosts the script lists.
        count: usize,
    },
    /// A host's name has no address.
    #[error("cannot resolve `{host}`")]
    Resolve {
        /// The name.
        host: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A host's address is only reachable from this machine.
    #[error(
        "`{host}` resolves to {ip} here, which other nodes cannot reach\nhint: name the address by which they do: \
         `hosts: [{{ ssh: \"{ssh}\", advertise: \"IP\" }}, …]` in `HostsProvider.init`"
    )]
    OwnAddress {
        /// The name, or the address itself.
        host: String,
        /// Its address here.
        ip: IpAddr,
        /// Its entry in `hosts`.
        ssh: String,
    },
    /// A machine of the local provider did not come up.
    #[error("machine `{id}` did not start: {reason}")]
    MachineStart {
        /// The machine.
        id: String,
        /// Its error, or the time limit that passed.
        reason: String,
    },
    /// The recorded machines run in another folder.
    #[error("the machines recorded here run in `{}`, for the cluster `{cluster}`", folder.display())]
    RunsElsewhere {
        /// The cluster's name.
        cluster: String,
        /// The folder of one of its machines.
        folder: PathBuf,
    },
    /// The folder of the machine that this process runs on was removed.
    #[error("the folder of machine `{id}`, on which this process runs, was removed")]
    NoFolder {
        /// The machine.
        id: String,
    },
    /// A machine that should be ended as lost still has its folder.
    #[error("machine `{id}` is not lost: its folder is `{}`", folder.display())]
    NotLost {
        /// The machine.
        id: String,
        /// Its folder.
        folder: PathBuf,
    },
    /// No address of the loopback network is free.
    #[error("no free loopback address for a machine (tried {tried})")]
    NoAddress {
        /// The addresses that were tried.
        tried: String,
    },
    /// A file of the provider cannot be parsed.
    #[error("`{}` is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// An error of a cloud provider.
    #[cfg(feature = "aws")]
    #[error(transparent)]
    Cloud(#[from] crate::aws::CloudError),
    /// An I/O error of a file.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// The operation, such as `create`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

impl ProviderError {
    /// Whether a resource is still in use by machines that are ending: a retry will succeed soon.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        #[cfg(feature = "aws")]
        if let Self::Cloud(error) = self {
            return matches!(error, crate::aws::CloudError::Busy { .. });
        }
        false
    }

    /// Whether credentials are missing or invalid, or do not allow the request.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        #[cfg(feature = "aws")]
        if let Self::Cloud(error) = self {
            use crate::aws::CloudError as E;
            return matches!(error, E::Denied { .. } | E::Credentials { .. });
        }
        false
    }

    /// Whether a limit set by the script forbids it.
    #[must_use]
    pub fn is_limit(&self) -> bool {
        #[cfg(feature = "aws")]
        if let Self::Cloud(error) = self {
            use crate::aws::CloudError as E;
            return matches!(error, E::Limit(_) | E::Budget(_));
        }
        false
    }

    /// Whether the script, or an image or file that it names, must be changed.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        #[cfg(feature = "aws")]
        if let Self::Cloud(error) = self {
            use crate::aws::CloudError as E;
            return matches!(
                error,
                E::NoRegion
                    | E::Endpoint { .. }
                    | E::NoImage
                    | E::Architecture { .. }
                    | E::UserData { .. }
                    | E::Key { .. }
                    | E::NoSubnet { .. }
            );
        }
        matches!(
            self,
            Self::NotBuiltIn { .. }
                | Self::UnknownKind { .. }
                | Self::Options { .. }
                | Self::NotSupported { .. }
                | Self::OwnAddress { .. }
        )
    }

    /// What the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        #[cfg(feature = "aws")]
        if let Self::Cloud(error) = self {
            return error.hint();
        }
        None
    }

    /// Adds the operation and the file.
    pub(crate) fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Self::Io { action, path, source }
    }
}
