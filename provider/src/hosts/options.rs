//! What `HostsProvider.init` takes.

use serde::Deserialize;

/// What `HostsProvider.init` takes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HostsOptions {
    /// The provider's name.
    #[serde(default)]
    pub(crate) name: Option<String>,
    /// The machines, each `user@host:port`.
    #[serde(default)]
    pub(crate) hosts: Vec<String>,
}
