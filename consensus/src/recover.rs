//! A cluster that has permanently lost its quorum continues from one survivor.
//!
//! Without a quorum nothing can be committed, least of all a change of the membership. So it is made here, in the
//! survivor's own files and before Raft opens them: everything in its log counts as committed, and the membership is
//! this node alone.
//!
//! Other survivors have nothing that this one lacks, since the most up-to-date one was chosen; when they report they
//! are added as learners, and continue from their own logs. So nothing else may be changed here: what is not in the log
//! would never reach them. The leader that this node becomes removes what is left of the lost nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use openraft::Membership;
use serde::{Deserialize, Serialize};

use super::offline::Offline;
use super::types::StoredMembership;

/// The file in the data folder that requests it for the next start, and its name once it is done.
const WANTED: &str = "recover.json";
const DONE: &str = "recovered.json";

/// What the operator has decided.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// Nodes that are given up.
    pub lost: Vec<u64>,
}

// === impl Recovery ===

impl Recovery {
    /// Requests it for the node's next start.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn request(&self, data_dir: &Path) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(self)?;
        disco_identity::write_public(&data_dir.join(WANTED), &text).map_err(io::Error::other)
    }

    /// The completed recovery, as long as something is left of the lost nodes.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn done(data_dir: &Path) -> io::Result<Option<Self>> {
        read(&data_dir.join(DONE))
    }

    /// Records that nothing is left of them.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub fn forget(data_dir: &Path) -> io::Result<()> {
        fs_err::remove_file(data_dir.join(DONE))
    }

    /// The requested recovery.
    pub(super) fn requested(data_dir: &Path) -> io::Result<Option<Self>> {
        read(&data_dir.join(WANTED))
    }

    /// Performs the recovery. Interrupted, it is repeated at the next start.
    pub(super) async fn run(self, data_dir: &Path, node_id: u64, mut node: Offline) -> io::Result<()> {
        let info = node.membership.membership().get_node(&node_id).cloned().unwrap_or_default();
        let voters = vec![BTreeSet::from([node_id])];
        let alone = Membership::new(voters, BTreeMap::from([(node_id, info)])).map_err(io::Error::other)?;
        node.membership = StoredMembership::new(Some(node.last), alone);
        let last = node.last;
        node.persist().await?;
        fs_err::rename(data_dir.join(WANTED), data_dir.join(DONE))?;
        tracing::warn!(node = node_id, lost = ?self.lost, log = %last, "restarting as the only member, as requested");
        Ok(())
    }
}

fn read(path: &Path) -> io::Result<Option<Recovery>> {
    match fs_err::read(path) {
        Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
