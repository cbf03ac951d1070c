use std::{net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::StateDir;
use crate::error::Outcome;

const FILE: &str = "cluster.json";

/// What the operator's side knows of the cluster that it makes: written before each step that could be interrupted, so that
/// the next run goes on with the same cluster and the same machines.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct ClusterRecord {
    /// Random, made once.
    pub(crate) id: String,
    pub(crate) name: String,
    /// The provider's specification, so that `destroy` works without a script that runs.
    pub(crate) provider: Value,
    /// Where the operator's private key is, absolute or relative to the project.
    pub(crate) private_key: Option<PathBuf>,
    pub(crate) public_key: Option<PathBuf>,
    /// Machines that this client started, in order; further ones are the cluster's own.
    pub(crate) instances: Vec<InstanceRecord>,
    /// The first node answered: from then on the cluster exists and the intermediate key is no longer here.
    pub(crate) founded: bool,
    /// A bootstrap has come to its end.
    #[serde(default)]
    pub(crate) complete: bool,
    /// Hash of the `client.js`, with its imports, whose bootstrap has come to its end last; another one may ask for more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) script: Option<String>,
}

/// A machine that was asked for. Without `id` the answer was never seen: the token finds it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct InstanceRecord {
    pub(crate) token: String,
    pub(crate) options: Value,
    pub(crate) id: Option<String>,
    pub(crate) control: Option<SocketAddr>,
}

impl ClusterRecord {
    pub(crate) fn load(state: &StateDir) -> Outcome<Option<Self>> {
        state.read_json(FILE)
    }

    /// Stands for a record that is lost, to find the machines on this computer.
    pub(crate) fn of_local_machines() -> Self {
        let provider = serde_json::json!({ "kind": "local", "options": {} });
        Self { name: "local".to_owned(), provider, ..Self::lost() }
    }

    /// Of which nothing is known.
    pub(crate) fn lost() -> Self {
        Self {
            id: String::new(),
            name: String::new(),
            provider: Value::Null,
            private_key: None,
            public_key: None,
            instances: Vec::new(),
            founded: false,
            complete: false,
            script: None,
        }
    }

    pub(crate) fn save(&self, state: &StateDir) -> Outcome<()> {
        state.write_json(FILE, self)
    }
}
