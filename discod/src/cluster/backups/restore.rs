//! A new cluster that starts from a backup: one node takes it for its next start, which follows immediately.

use std::io;
use std::path::{Path, PathBuf};

use disco_proto::v1::BackupHead;
use disco_store::Limits;
use sha2::{Digest, Sha256};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

use crate::cluster::{Error, Result};
use crate::node::Node;
use crate::raft::{check_backup, restore_place};

/// A backup that is being received. Dropped before [`Self::finish`], it leaves nothing.
pub struct Restore {
    node: Node,
    head: BackupHead,
    partial: PathBuf,
    file: File,
    hash: Sha256,
    size: u64,
}

// === impl Restore ===

impl Restore {
    /// Prepares to receive the store's snapshot that the head describes.
    ///
    /// # Errors
    /// The cluster has other nodes, or the file cannot be made.
    pub async fn begin(node: &Node, head: BackupHead) -> Result<Self> {
        let members = node.raft().members().len();
        if members != 1 {
            return Err(Error::Refused(format!(
                "the cluster has {members} nodes; a restore needs a cluster of one node\nhint: `disco scale nodes=1` first, and \
                 back afterwards"
            )));
        }
        let partial = restore_place(node.home().path()).with_extension("tmp");
        let options = tokio::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).to_owned();
        let file = options.open(&partial).await.map_err(|error| failed(&partial, &error))?;
        Ok(Self { node: node.clone(), head, partial, file, hash: Sha256::new(), size: 0 })
    }

    /// Takes the next bytes of the snapshot.
    ///
    /// # Errors
    /// They exceed the size in the head, or cannot be written.
    pub async fn write(&mut self, data: &[u8]) -> Result<()> {
        self.size += data.len() as u64;
        if self.size > self.head.size {
            return Err(Error::Invalid("the backup is longer than its head states".to_owned()));
        }
        self.hash.update(data);
        self.file.write_all(data).await.map_err(|error| failed(&self.partial, &error))
    }

    /// Checks the whole snapshot, stores it for the next start, and restarts the process.
    ///
    /// # Errors
    /// The snapshot is damaged, or cannot be stored.
    pub async fn finish(mut self) -> Result<()> {
        if self.size != self.head.size || hex::encode(self.hash.finalize_reset()) != self.head.sha256 {
            return Err(Error::Invalid("the backup is damaged: checksum mismatch".to_owned()));
        }
        self.file.sync_all().await.map_err(|error| failed(&self.partial, &error))?;
        let checked = self.partial.clone();
        let revision = tokio::task::spawn_blocking(move || check_backup(&checked, Limits::default())).await;
        let revision = revision.map_err(Error::internal)?.map_err(|error| Error::Invalid(error.to_string()))?;
        keep(&self.partial, &restore_place(self.node.home().path())).await.map_err(Error::internal)?;
        tracing::warn!(revision, from = self.head.cluster, "restarting with a backup");
        self.node.restart_after_answer();
        Ok(())
    }
}

impl Drop for Restore {
    fn drop(&mut self) {
        // The file has its final name, or the next restore overwrites it.
        let _ = fs_err::remove_file(&self.partial);
    }
}

fn failed(path: &Path, error: &io::Error) -> Error {
    Error::internal(io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

async fn keep(partial: &Path, place: &Path) -> io::Result<()> {
    tokio::fs::rename(partial, place).await?;
    let folder = place.parent().unwrap_or(Path::new("."));
    tokio::fs::File::open(folder).await?.sync_all().await
}
