//! What a node keeps: entries of the log, a few named values, and snapshots.
//!
//! [`Files`](super::Files) are the daemon's. The simulation has disks of its own, which lose what was not synced.

use std::future::Future;
use std::io;
use std::ops::Bound;
use std::sync::Arc;

use disco_store::{Limits, Store};

use super::types::SnapshotMeta;

/// Names of the values. Append-only: a released name keeps its meaning.
pub mod meta {
    /// The encoded vote.
    pub const VOTE: &str = "vote";
    /// The encoded id up to which the log is committed.
    pub const COMMITTED: &str = "committed";
    /// The encoded id of the last purged entry.
    pub const PURGED: &str = "purged";
    /// The name of the newest snapshot.
    pub const SNAPSHOT: &str = "snapshot";
}

/// Called when a change is durable, or failed.
pub type Done = Box<dyn FnOnce(io::Result<()>) + Send>;

/// One change.
pub enum Change {
    /// Entries by index, encoded.
    Append(Vec<(u64, Arc<[u8]>)>),
    /// Removes all entries from the index on.
    TruncateFrom(u64),
    /// Removes all entries up to the index, and records the id of the last of them.
    Purge {
        /// The index.
        upto: u64,
        /// The encoded id.
        last: Vec<u8>,
    },
    /// Sets one of the [`meta`] values.
    Set(&'static str, Vec<u8>),
    /// The encoded id up to which the log is committed: becomes durable with the next change of another kind.
    Committed(Vec<u8>),
}

/// The disk of one node. Cheap to clone.
///
/// Changes become durable in the order in which they are submitted. A snapshot is durable once it is returned, and is
/// the node's newest one once its name is recorded under [`meta::SNAPSHOT`].
pub trait Disk: Clone + Send + Sync + 'static {
    /// A snapshot on this disk, or one that was received and is not kept yet.
    type Snapshot: Clone + Send + Sync + 'static;

    /// Entries below this index can be read from the disk, unless they were purged; later ones are held in memory by the
    /// log.
    fn stored(&self) -> u64;

    /// Submits a change; `done` is called once it is durable.
    ///
    /// # Errors
    /// The disk takes no more changes.
    fn submit(&self, change: Change, done: Option<Done>) -> impl Future<Output = io::Result<()>> + Send;

    /// Applies a change and waits until it is durable.
    ///
    /// # Errors
    /// It did not become durable.
    fn write(&self, change: Change) -> impl Future<Output = io::Result<()>> + Send {
        async move {
            let (sender, receiver) = tokio::sync::oneshot::channel();
            let done: Done = Box::new(move |result| {
                // The caller may have stopped waiting.
                let _ = sender.send(result);
            });
            self.submit(change, Some(done)).await?;
            receiver.await.map_err(|_| io::Error::other("the log writer has ended"))?
        }
    }

    /// One of the [`meta`] values.
    ///
    /// # Errors
    /// It cannot be read.
    fn get(&self, key: &str) -> io::Result<Option<Vec<u8>>>;

    /// The stored entry with the highest index.
    ///
    /// # Errors
    /// It cannot be read.
    fn last(&self) -> io::Result<Option<(u64, Vec<u8>)>>;

    /// Stored entries in the range, ascending and without a gap.
    ///
    /// # Errors
    /// They cannot be read, or one is missing.
    fn range(&self, start: Bound<u64>, end: Bound<u64>) -> io::Result<Vec<(u64, Vec<u8>)>>;

    /// Writes a snapshot of the store.
    ///
    /// # Errors
    /// It did not become durable.
    fn write_snapshot(
        &self,
        meta: SnapshotMeta,
        store: Store,
    ) -> impl Future<Output = io::Result<Self::Snapshot>> + Send;

    /// Reads a received snapshot, and then makes it durable: a damaged one must not become the newest one.
    ///
    /// # Errors
    /// It is damaged, or did not become durable.
    fn keep_snapshot(
        &self,
        meta: SnapshotMeta,
        received: Self::Snapshot,
        limits: Limits,
    ) -> impl Future<Output = io::Result<(Self::Snapshot, Store)>> + Send;

    /// Reads a snapshot.
    ///
    /// # Errors
    /// It cannot be read, or is damaged.
    fn read_snapshot(&self, snapshot: &Self::Snapshot, limits: Limits) -> io::Result<(SnapshotMeta, Store)>;

    /// Reads only openraft's description of a snapshot.
    ///
    /// # Errors
    /// It cannot be read, or is damaged.
    fn read_meta(&self, snapshot: &Self::Snapshot) -> impl Future<Output = io::Result<SnapshotMeta>> + Send;

    /// The name to record for a snapshot.
    fn name(&self, snapshot: &Self::Snapshot) -> String;

    /// The snapshot with a recorded name.
    fn named(&self, name: &str) -> Self::Snapshot;

    /// Removes all snapshots but this one, when its name is recorded.
    fn remove_others(&self, retained: &Self::Snapshot);

    /// The node stops: ends all waits for space.
    fn close(&self) {}
}
