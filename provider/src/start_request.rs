//! The wish for a machine.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::install::Architecture;

/// The wish for a machine.
#[derive(Debug, Clone, Default)]
pub struct StartRequest {
    /// Makes the wish idempotent: the machine that was started with this token before is returned (and started, should
    /// it be stopped); a second one is never made. Any text without control characters, at most 64 bytes.
    pub token: String,
    /// The cluster's id, where it is newer than the provider, see [`crate::ProviderContext::cluster_id`].
    pub cluster_id: Option<String>,
    /// The machine's name for people, such as `web-2`.
    pub name: String,
    /// What the script gave to `start_instance`, an object or null. Each provider says which keys it takes.
    pub options: serde_json::Value,
    /// The public keys that may log in, in OpenSSH's form.
    pub authorized_keys: Vec<String>,
    /// What the cluster has recorded of its machines so far: instance id to token. Only a provider that cannot mark its
    /// machines with a token (given hosts) reads it.
    pub known: BTreeMap<String, String>,
    /// Ids of machines that do not count against limits: those of lost nodes, and those that are being ended.
    pub leaving: BTreeSet<String>,
    /// Ids of machines that could not be used a moment ago. Only a provider that hands out machines which exist already reads it.
    pub avoid: BTreeSet<String>,
    /// What the programs to be installed are built for: a machine that cannot run them is refused before it is started.
    pub architecture: Option<Architecture>,
    /// Is told what is waited for.
    pub progress: ProgressSink,
}

/// Is told how far something is, in a few words. Called often; it must not block.
#[derive(Clone, Default)]
pub struct ProgressSink(Option<Arc<Tell>>);

type Tell = dyn Fn(&str) + Send + Sync;

impl ProgressSink {
    /// One that is told.
    pub fn new(tell: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(tell)))
    }

    /// Tells it.
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
