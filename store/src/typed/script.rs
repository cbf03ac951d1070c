//! Script versions and deployments.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A file of a script version or of a deployment; its content is a blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Relative to the project, `/` between parts.
    pub path: String,
    /// Of the content, lower-case hexadecimal.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
    /// Unix permission bits.
    pub mode: u32,
}

/// The script version in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CurrentScript {
    /// `sha256:…`
    pub hash: String,
    /// Counts the pushes, from 1.
    pub version: u64,
    /// RFC 3339.
    pub pushed_at: String,
}

/// A script version in the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptRecord {
    /// `sha256:…`
    pub hash: String,
    /// Its number among the pushes. A version that is pushed again gets a new one.
    pub version: u64,
    /// When it was pushed, RFC 3339.
    pub time: String,
    /// `cluster.js` and what it imports.
    pub files: Vec<FileRecord>,
    /// Names of the functions that `cluster.js` exports.
    #[serde(default)]
    pub exports: Vec<String>,
}

/// The state of a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeploymentState {
    /// The hook is running.
    Running,
    /// The hook returned.
    Succeeded,
    /// The hook threw, or its leader was lost; or the stack's new version failed and there was none before.
    Failed,
    /// The stack's new version failed, and the one before runs again.
    #[serde(rename = "rolled_back")]
    RolledBack,
}

/// A deployment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeploymentRecord {
    /// Its number, from 1.
    pub id: u64,
    /// The stack that it deploys; absent for one of the project's `deploy` hook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
    /// Its state.
    pub state: DeploymentState,
    /// Hash of the script version that runs it.
    pub script: String,
    /// The project's files.
    pub files: Vec<FileRecord>,
    /// Variables set by the operator.
    pub variables: BTreeMap<String, String>,
    /// RFC 3339.
    pub started_at: String,
    /// RFC 3339.
    pub finished_at: Option<String>,
    /// The node that runs the hook.
    pub leader: u64,
    /// The leader's term: the run ends with it.
    pub term: u64,
    /// A task of the new version had no node: why, per node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unplaced: Option<String>,
    /// Why it failed, with the place in the script.
    pub error: Option<String>,
    /// The hook's result.
    #[serde(default)]
    pub result: Option<serde_json::Value>,
}
