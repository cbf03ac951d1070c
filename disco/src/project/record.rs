use std::{net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::StateDir;
use crate::error::Outcome;

const FILE: &str = "cluster.json";

/// The operator's record of the cluster: written before each step that could be interrupted, so that the next run continues with the
/// same cluster and the same machines.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct ClusterRecord {
    /// Random, generated once.
    pub(crate) id: String,
    pub(crate) name: String,
    /// The provider's specification, so that `destroy` works without a script that runs.
    pub(crate) provider: Value,
    /// Path of the operator's private key, absolute or relative to the project.
    pub(crate) private_key: Option<PathBuf>,
    pub(crate) public_key: Option<PathBuf>,
    /// Machines that this client started, in order; the leader starts further ones.
    #[serde(rename = "instances")]
    pub(crate) machines: Vec<RequestedMachine>,
    /// The first node has answered: the cluster exists, and the intermediate key is no longer here.
    pub(crate) founded: bool,
    /// A bootstrap was finished.
    #[serde(default)]
    pub(crate) complete: bool,
    /// Hash of the `client.js`, with its imports, whose bootstrap was finished last; a changed one may request more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) script: Option<String>,
}

/// A requested machine. Without `id`, the provider's answer was lost: the token finds the machine.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct RequestedMachine {
    pub(crate) token: String,
    pub(crate) options: Value,
    pub(crate) id: Option<String>,
    pub(crate) control: Option<SocketAddr>,
}

impl ClusterRecord {
    pub(crate) fn load(state: &StateDir) -> Outcome<Option<Self>> {
        state.read_json(FILE)
    }

    /// A substitute for a lost record, to find the machines on this computer.
    pub(crate) fn of_local_machines() -> Self {
        let provider = serde_json::json!({ "kind": "local", "options": {} });
        Self { name: "local".to_owned(), provider, ..Self::lost() }
    }

    /// A record without any information.
    pub(crate) fn lost() -> Self {
        Self {
            id: String::new(),
            name: String::new(),
            provider: Value::Null,
            private_key: None,
            public_key: None,
            machines: Vec::new(),
            founded: false,
            complete: false,
            script: None,
        }
    }

    /// Whether the machines are given hosts.
    pub(crate) fn gives_hosts(&self) -> bool {
        self.provider["kind"] == "hosts"
    }

    pub(crate) fn save(&self, state: &StateDir) -> Outcome<()> {
        state.write_json(FILE, self)
    }
}
