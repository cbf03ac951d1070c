//! Backups that every voter makes by itself, in the folder `backups` of its data folder.
//!
//! Each is a file in the format of `disco backup save` (see [`disco_proto::backup`]): what this node had applied at one
//! moment, which is a consistent state of the store, though on a follower not always the newest.
//!
//! Invariants:
//! - A file appears under its name once it is complete and durable.
//! - Only a voter makes one, only if the store has changed since the last, and only if the disk has space to spare.
//! - Their number and total size are bounded; the newest always remains.

mod folder;
mod restore;

use std::io::{self, BufReader};

use disco_proto::v1::{BackupFile, BackupHead};
use disco_store::Store;
use sha2::{Digest, Sha256};

pub use folder::{Folder, StoredBackup};
pub use restore::Restore;

use super::{Error, Result};
use crate::node::Node;

/// The store as this node has applied it, and the description of its backup. Reads all of the store, so it must not run
/// on the async threads.
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

/// The backups that this node has made by itself, oldest first. Unreadable ones are omitted.
///
/// # Errors
/// The folder cannot be read.
pub async fn list(node: &Node) -> Result<Vec<BackupFile>> {
    let folder = Folder::within(node.home().path());
    let listed = tokio::task::spawn_blocking(move || {
        let listed = folder.list()?.into_iter().filter_map(|stored| match folder.open(&stored) {
            Ok((head, _)) => Some(BackupFile { name: stored.name, size: stored.size, head: Some(head) }),
            Err(error) => {
                tracing::warn!(%error, "cannot read a backup");
                None
            }
        });
        io::Result::Ok(listed.collect())
    });
    listed.await.map_err(Error::internal)?.map_err(Error::internal)
}

/// Opens one of them by its name, or the newest: its description, and a reader positioned at the store's snapshot.
///
/// # Errors
/// The backup does not exist, or cannot be read.
pub async fn open(node: &Node, name: String) -> Result<(BackupHead, BufReader<fs_err::File>)> {
    let folder = Folder::within(node.home().path());
    let nothing = match name.as_str() {
        "" => format!("{} has made no backup yet", node.name()),
        name => format!("{} has no backup `{name}`", node.name()),
    };
    let opened = tokio::task::spawn_blocking(move || {
        // Looked up in the listing, so that a name cannot lead outside of the folder.
        let found = folder.list()?.into_iter().rfind(|stored| name.is_empty() || stored.name == name);
        found.map(|stored| folder.open(&stored)).transpose()
    });
    let opened = opened.await.map_err(Error::internal)?.map_err(Error::internal)?;
    opened.ok_or_else(|| Error::NotFound(format!("{nothing}\nhint: `disco backup ls` lists the backups")))
}
