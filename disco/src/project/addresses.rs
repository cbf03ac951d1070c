use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::StateDir;
use crate::error::Outcome;

const FILE: &str = "addresses.json";

/// The nodes seen last: where the next command asks. Only a cache; any one of them is enough.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Addresses {
    pub(crate) nodes: Vec<KnownNode>,
}

/// A node as it was seen last.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct KnownNode {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
}

impl Addresses {
    pub(crate) fn load(state: &StateDir) -> Outcome<Self> {
        Ok(state.read_json(FILE)?.unwrap_or_default())
    }

    /// Written only when something changed, and only where the project has state.
    pub(crate) fn save(&self, state: &StateDir) -> Outcome<()> {
        if !state.exists() || Self::load(state).is_ok_and(|known| known == *self) {
            return Ok(());
        }
        state.write_json(FILE, self)
    }
}
