//! Records of scripts and deployments.

use disco_store::Store;
pub use disco_store::typed::{CurrentScript, DeploymentRecord, DeploymentState, FileRecord, ScriptRecord};
use serde::{Deserialize, Serialize};

pub use crate::records::keys;
use crate::records::{self, Versioned};

/// The position of the `event` hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventCursor {
    /// Id of the last event that it received.
    pub id: u64,
}

/// A version that a leader tries before it is committed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrialRecord {
    /// Hash of the version.
    pub script: String,
    /// Number of attempts that were started and not finished.
    pub tries: u32,
    /// The node that started the last attempt.
    pub node: u64,
}

/// The version in use.
#[must_use]
pub fn current(store: &Store) -> Option<Versioned<CurrentScript>> {
    records::get(store, keys::SCRIPT)
}

/// A version's record.
#[must_use]
pub fn version(store: &Store, hash: &str) -> Option<ScriptRecord> {
    records::get(store, &keys::script(hash)).map(|record| record.value)
}

/// All versions in the cluster.
#[must_use]
pub fn versions(store: &Store) -> Vec<ScriptRecord> {
    records::list(store, keys::SCRIPTS).into_iter().map(|record| record.value).collect()
}

/// All deployments, oldest first.
#[must_use]
pub fn deployments(store: &Store) -> Vec<Versioned<DeploymentRecord>> {
    records::list(store, keys::DEPLOYMENTS)
}
