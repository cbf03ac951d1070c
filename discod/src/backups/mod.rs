//! Backups that every voter makes by itself, in the folder `backups` of its data folder.
//!
//! Each is a file as `disco backup save` writes one (see [`disco_proto::backup`]): what this node had applied at one moment, which
//! is a whole state of the store, though on a follower not always the newest.
//!
//! Invariants:
//! - A file appears under its name when it is whole and durable.
//! - Only a voter makes one, only where the store has changed since the last, and only where the disk has room to spare.
//! - They are bounded by count and by bytes; the newest always stays.

mod folder;
mod keeper;

use std::io;

use disco_proto::v1::BackupHead;
use disco_store::Store;
use sha2::{Digest, Sha256};
use tokio_util::task::TaskTracker;

pub use folder::{Folder, Kept};

use crate::node::Node;

/// Starts the making of backups, unless the node was told to make none. It ends with the process.
pub fn spawn(node: &Node, tasks: &TaskTracker) {
    if !node.args().backup_interval.is_zero() {
        tasks.spawn(keeper::run(node.clone()));
    }
}

/// The store as this node has applied it, and the description of its backup. Reads all of the store: no work for the async
/// threads.
///
/// # Errors
/// None: nothing is written yet.
pub fn take(node: &Node) -> io::Result<(BackupHead, Store)> {
    let store = node.raft().store().copy();
    let mut sum = Sha256::new();
    let size = store.encode_snapshot(&mut sum)?;
    let head = BackupHead {
        cluster: node.cluster_name().to_owned(),
        cluster_id: node.cluster_id().to_string(),
        revision: store.revision(),
        created_at: crate::clock::rfc3339(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        size,
        sha256: hex::encode(sum.finalize()),
    };
    Ok((head, store))
}
