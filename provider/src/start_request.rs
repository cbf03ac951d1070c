//! The request for a machine.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::install::Architecture;

/// The request for a machine.
#[derive(Debug, Clone, Default)]
pub struct StartRequest {
    /// Makes the request idempotent: a machine that was started with this token before is returned (and started, if it is
    /// stopped); a second one is never made. Any text without control characters, at most 64 bytes.
    pub token: String,
    /// The cluster's id, if it is newer than the provider, see [`crate::ProviderContext::cluster_id`].
    pub cluster_id: Option<String>,
    /// The machine's display name, such as `web-2`.
    pub name: String,
    /// The options that the script passed to `start_instance`, an object or null. Each provider defines its keys.
    pub options: serde_json::Value,
    /// The public keys that may log in, in OpenSSH's form.
    pub authorized_keys: Vec<String>,
    /// The cluster's records of its machines so far: machine id to token. Only a provider that cannot store a token on its
    /// machines (given hosts) reads it.
    pub known: BTreeMap<String, String>,
    /// Ids of machines that do not count against limits: those of lost nodes, and those that are being ended.
    pub leaving: BTreeSet<String>,
    /// Ids of machines that failed recently. Only a provider that hands out existing machines reads it.
    pub avoid: BTreeSet<String>,
    /// The architecture of the programs to install: a machine that cannot run them is refused before it is started.
    pub architecture: Option<Architecture>,
    /// Receives the progress.
    pub progress: ProgressSink,
}

/// Receives the progress of an operation, as short texts. Called often; it must not block.
#[derive(Clone, Default)]
pub struct ProgressSink(Option<Arc<Tell>>);

type Tell = dyn Fn(&str) + Send + Sync;

impl ProgressSink {
    /// A sink that calls a function.
    pub fn new(tell: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(tell)))
    }

    /// Reports progress.
    pub fn tell(&self, words: &str) {
        if let Some(tell) = &self.0 {
            tell(words);
        }
    }
}

impl fmt::Debug for ProgressSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "ProgressSink(…)" } else { "ProgressSink" })
    }
}
