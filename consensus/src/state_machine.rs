//! The state machine: the store in memory, rebuilt after a restart from the newest snapshot and the log.
//!
//! [`disco_store`] makes all decisions and has no clock and no I/O; this module passes it the committed entries in
//! order and writes snapshots.

use std::io;
use std::sync::Arc;

use disco_proto::v1::Command;
use disco_store::{Applied, Limits, Refused, Store};
use futures_util::{Stream, StreamExt};
use openraft::async_runtime::AsyncRuntime;
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder};
use parking_lot::RwLock;
use prost::Message;
use tokio::sync::watch;

use super::disk::{Change, Disk, meta};
use super::types::{Entry, LogId, Response, Snapshot, SnapshotMeta, StoredMembership, TypeConfig};

/// The replicated store as this node has applied it. Cheap to clone.
#[derive(Clone)]
pub struct SharedStore {
    store: Arc<RwLock<Store>>,
    /// The revision after the last command; watchers wait for it to grow and then read the history.
    revision: Arc<watch::Sender<i64>>,
}

/// The target to which openraft applies entries.
pub struct StateMachine<D: Disk> {
    shared: SharedStore,
    limits: Limits,
    applied: Option<LogId>,
    membership: StoredMembership,
    disk: D,
    current: Option<(SnapshotMeta, D::Snapshot)>,
    recording: Recording,
}

/// Held while a snapshot is recorded and older ones are removed: one may be built while another is installed.
type Recording = Arc<tokio::sync::Mutex<()>>;

/// Writes one snapshot of the state at the moment when it was made.
pub struct SnapshotBuilder<D> {
    meta: SnapshotMeta,
    /// The store at that moment; taken when the snapshot is written.
    store: Option<Store>,
    disk: D,
    recording: Recording,
}

// === impl SharedStore ===

impl SharedStore {
    fn new(store: Store) -> Self {
        let revision = watch::Sender::new(store.revision());
        Self { store: Arc::new(RwLock::new(store)), revision: Arc::new(revision) }
    }

    /// Reads the store. The read must be short: commands wait meanwhile.
    pub fn read<T>(&self, look: impl FnOnce(&Store) -> T) -> T {
        look(&self.store.read())
    }

    /// A copy of the store for long reads. It shares keys and values with the original.
    #[must_use]
    pub fn copy(&self) -> Store {
        self.read(Store::clone)
    }

    /// The revision, and its changes.
    #[must_use]
    pub fn revisions(&self) -> watch::Receiver<i64> {
        self.revision.subscribe()
    }

    /// The store itself, if it has no other users.
    pub(super) fn take(&self) -> Store {
        let mut store = self.store.write();
        let limits = *store.limits();
        std::mem::replace(&mut store, Store::new(limits))
    }

    fn apply(&self, term: u64, command: &Command) -> Applied {
        let applied = self.store.write().apply(term, command);
        if !applied.events.is_empty() {
            self.revision.send_replace(applied.response.revision);
        }
        applied
    }

    fn replace(&self, store: Store) {
        let revision = store.revision();
        *self.store.write() = store;
        self.revision.send_replace(revision);
    }
}

// === impl StateMachine ===

impl<D: Disk> StateMachine<D> {
    /// The state of the newest snapshot; openraft then applies what the log holds beyond it.
    ///
    /// # Errors
    /// The snapshot cannot be read, or is damaged.
    pub fn open(disk: D, limits: Limits) -> io::Result<(Self, SharedStore)> {
        let recorded = disk.get(meta::SNAPSHOT)?;
        let (store, current) = match recorded {
            Some(name) => {
                let snapshot = disk.named(&String::from_utf8_lossy(&name));
                let (meta, store) = disk.read_snapshot(&snapshot, limits)?;
                (store, Some((meta, snapshot)))
            }
            None => (Store::new(limits), None),
        };
        let shared = SharedStore::new(store);
        let (applied, membership) = match &current {
            Some((meta, _)) => (meta.last_log_id, meta.last_membership.clone()),
            None => (None, StoredMembership::default()),
        };
        let recording = Recording::default();
        let machine = Self { shared: shared.clone(), limits, applied, membership, disk, current, recording };
        Ok((machine, shared))
    }

    /// The last applied entry, and the membership there.
    #[must_use]
    pub fn state(&self) -> (Option<LogId>, StoredMembership) {
        (self.applied, self.membership.clone())
    }

    /// Applies the next entry. Returns the response to a command and what it changed; `None` for other entries.
    pub fn apply_entry(&mut self, entry: &Entry) -> Option<Applied> {
        self.applied = Some(entry.log_id);
        match &entry.payload {
            EntryPayload::Blank => None,
            EntryPayload::Normal(request) => {
                Some(self.apply_command(entry.log_id.committed_leader_id().term, &request.0))
            }
            EntryPayload::Membership(membership) => {
                self.membership = StoredMembership::new(Some(entry.log_id), membership.clone());
                None
            }
        }
    }

    fn apply_command(&self, term: u64, bytes: &[u8]) -> Applied {
        match Command::decode(bytes) {
            Ok(command) => self.shared.apply(term, &command),
            Err(error) => {
                let response = Refused::unreadable(&error).into_response(self.shared.read(Store::revision));
                Applied { response, events: Vec::new(), repeated: false }
            }
        }
    }
}

impl<R: AsyncRuntime, D: Disk> RaftStateMachine<TypeConfig<R>> for StateMachine<D> {
    type SnapshotData = D::Snapshot;
    type SnapshotBuilder = SnapshotBuilder<D>;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> io::Result<()>
    where
        Strm: Stream<Item = io::Result<EntryResponder<TypeConfig<R>>>> + Unpin + OptionalSend,
    {
        while let Some(item) = entries.next().await {
            let (entry, responder) = item?;
            let response = self.apply_entry(&entry).map(|applied| applied.response);
            if let Some(responder) = responder {
                responder.send(Response(response));
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder<D> {
        // Copied between two commands; encoding and writing then do not block them.
        SnapshotBuilder {
            meta: SnapshotMeta { last_log_id: self.applied, last_membership: self.membership.clone() },
            store: Some(self.shared.copy()),
            disk: self.disk.clone(),
            recording: self.recording.clone(),
        }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: D::Snapshot) -> io::Result<()> {
        let (kept, store) = self.disk.keep_snapshot(meta.clone(), snapshot, self.limits).await?;
        {
            let _recording = self.recording.lock().await;
            self.disk.write(Change::Set(meta::SNAPSHOT, self.disk.name(&kept).into_bytes())).await?;
            self.disk.remove_others(&kept);
        }
        self.shared.replace(store);
        self.applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        self.current = Some((meta.clone(), kept));
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot<D::Snapshot>>> {
        // A builder may have recorded a newer one meanwhile.
        let Some(name) = self.disk.get(meta::SNAPSHOT)? else { return Ok(None) };
        let name = String::from_utf8_lossy(&name).into_owned();
        if let Some((meta, current)) = &self.current
            && self.disk.name(current) == name
        {
            return Ok(Some(Snapshot { meta: meta.clone(), snapshot: current.clone() }));
        }
        let snapshot = self.disk.named(&name);
        let meta = self.disk.read_meta(&snapshot).await?;
        self.current = Some((meta.clone(), snapshot.clone()));
        Ok(Some(Snapshot { meta, snapshot }))
    }
}

impl<R: AsyncRuntime, D: Disk> RaftSnapshotBuilder<TypeConfig<R>> for SnapshotBuilder<D> {
    type SnapshotData = D::Snapshot;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot<D::Snapshot>> {
        let store = self.store.take().ok_or_else(|| io::Error::other("this snapshot is already written"))?;
        let built = self.disk.write_snapshot(self.meta.clone(), store).await?;
        let _recording = self.recording.lock().await;
        // A newer one may have been installed while this one was written, or waited for space; and the log truncated up
        // to there.
        if let Some(name) = self.disk.get(meta::SNAPSHOT)? {
            let recorded = self.disk.named(&String::from_utf8_lossy(&name));
            let meta = self.disk.read_meta(&recorded).await?;
            if meta.last_log_id > self.meta.last_log_id {
                self.disk.remove_others(&recorded);
                return Ok(Snapshot { meta, snapshot: recorded });
            }
        }
        self.disk.write(Change::Set(meta::SNAPSHOT, self.disk.name(&built).into_bytes())).await?;
        self.disk.remove_others(&built);
        Ok(Snapshot { meta: self.meta.clone(), snapshot: built })
    }
}
