//! The state machine: the store in memory, rebuilt after a restart from the newest snapshot and the log.
//!
//! [`disco_store`] makes all decisions and has no clock and no I/O; this module passes it the committed entries in
//! order and writes snapshots.

use std::io;
use std::sync::Arc;

use disco_proto::v1::{Command, CommandResponse};
use disco_store::{Limits, Refused, Store};
use futures_util::{Stream, StreamExt};
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder};
use parking_lot::RwLock;
use prost::Message;
use tokio::sync::watch;

use super::database::{Change, LogDatabase, meta};
use super::snapshot::{Snapshot, SnapshotDir, SnapshotFile};
use super::types::{LogId, Response, SnapshotMeta, StoredMembership, TypeConfig};

/// The replicated store as this node has applied it. Cheap to clone.
#[derive(Clone)]
pub struct SharedStore {
    store: Arc<RwLock<Store>>,
    /// The revision after the last command; watchers wait for it to grow and then read the history.
    revision: Arc<watch::Sender<i64>>,
}

/// The target to which openraft applies entries.
pub(super) struct StateMachine {
    shared: SharedStore,
    limits: Limits,
    applied: Option<LogId>,
    membership: StoredMembership,
    database: LogDatabase,
    dir: SnapshotDir,
    current: Option<(SnapshotMeta, SnapshotFile)>,
    recording: Recording,
}

/// Held while a snapshot is recorded and older ones are removed: one may be built while another is installed.
type Recording = Arc<tokio::sync::Mutex<()>>;

/// Writes one snapshot of the state at the moment when it was made.
pub(super) struct SnapshotBuilder {
    meta: SnapshotMeta,
    /// The store at that moment; taken when the snapshot is written.
    store: Option<Store>,
    database: LogDatabase,
    dir: SnapshotDir,
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

    fn apply(&self, term: u64, command: &Command) -> CommandResponse {
        let applied = self.store.write().apply(term, command);
        if !applied.events.is_empty() {
            self.revision.send_replace(applied.response.revision);
        }
        applied.response
    }

    fn replace(&self, store: Store) {
        let revision = store.revision();
        *self.store.write() = store;
        self.revision.send_replace(revision);
    }
}

// === impl StateMachine ===

impl StateMachine {
    /// The state of the newest snapshot; openraft then applies what the log holds beyond it.
    pub(super) fn open(database: LogDatabase, dir: SnapshotDir, limits: Limits) -> io::Result<(Self, SharedStore)> {
        let recorded = database.get(meta::SNAPSHOT)?;
        let (store, current) = match recorded {
            Some(name) => {
                let file = dir.named(&String::from_utf8_lossy(&name));
                let (meta, store) = file.read(limits)?;
                (store, Some((meta, file)))
            }
            None => (Store::new(limits), None),
        };
        let shared = SharedStore::new(store);
        let (applied, membership) = match &current {
            Some((meta, _)) => (meta.last_log_id, meta.last_membership.clone()),
            None => (None, StoredMembership::default()),
        };
        let recording = Recording::default();
        let machine = Self { shared: shared.clone(), limits, applied, membership, database, dir, current, recording };
        Ok((machine, shared))
    }

    /// The last applied entry, and the membership there.
    pub(super) fn state(&self) -> (Option<LogId>, StoredMembership) {
        (self.applied, self.membership.clone())
    }

    fn apply_command(&self, term: u64, bytes: &[u8]) -> Response {
        let response = match Command::decode(bytes) {
            Ok(command) => self.shared.apply(term, &command),
            Err(error) => Refused::unreadable(&error).into_response(self.shared.read(Store::revision)),
        };
        Response(Some(response))
    }
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotData = SnapshotFile;
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> io::Result<()>
    where
        Strm: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        while let Some(item) = entries.next().await {
            let (entry, responder) = item?;
            let response = match &entry.payload {
                EntryPayload::Blank => Response::default(),
                EntryPayload::Normal(request) => {
                    self.apply_command(entry.log_id.committed_leader_id().term, &request.0)
                }
                EntryPayload::Membership(membership) => {
                    self.membership = StoredMembership::new(Some(entry.log_id), membership.clone());
                    Response::default()
                }
            };
            self.applied = Some(entry.log_id);
            if let Some(responder) = responder {
                responder.send(response);
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        // Copied between two commands; encoding and writing then do not block them.
        SnapshotBuilder {
            meta: SnapshotMeta { last_log_id: self.applied, last_membership: self.membership.clone() },
            store: Some(self.shared.copy()),
            database: self.database.clone(),
            dir: self.dir.clone(),
            recording: self.recording.clone(),
        }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: SnapshotFile) -> io::Result<()> {
        let limits = self.limits;
        let dir = self.dir.clone();
        let meta_copy = meta.clone();
        let (file, store) = blocking(move || {
            // Read before it is recorded: a damaged file must not become the recorded one.
            let (_, store) = snapshot.read(limits)?;
            let file = if snapshot.path.extension().is_some_and(|extension| extension == "tmp") {
                dir.keep(&snapshot.path, &meta_copy)?
            } else {
                snapshot
            };
            Ok((file, store))
        })
        .await?;
        {
            let _recording = self.recording.lock().await;
            self.database.write(Change::Set(super::database::meta::SNAPSHOT, file.name().into_bytes())).await?;
            self.dir.remove_others(&file);
        }
        self.shared.replace(store);
        self.applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        self.current = Some((meta.clone(), file));
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        // A builder may have recorded a newer one meanwhile.
        let Some(name) = self.database.get(meta::SNAPSHOT)? else { return Ok(None) };
        let name = String::from_utf8_lossy(&name).into_owned();
        if let Some((meta, file)) = &self.current
            && file.name() == name
        {
            return Ok(Some(Snapshot { meta: meta.clone(), snapshot: file.clone() }));
        }
        let file = self.dir.named(&name);
        let reader = file.clone();
        let meta = blocking(move || reader.read_meta()).await?;
        self.current = Some((meta.clone(), file.clone()));
        Ok(Some(Snapshot { meta, snapshot: file }))
    }
}

impl RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder {
    type SnapshotData = SnapshotFile;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        let store = self.store.take().ok_or_else(|| io::Error::other("this snapshot is already written"))?;
        let dir = self.dir.clone();
        let meta = self.meta.clone();
        let file = blocking(move || dir.write(&meta, &store)).await?;
        let _recording = self.recording.lock().await;
        // A newer one may have been installed while this one was written, or waited for space; and the log truncated up
        // to there.
        if let Some(name) = self.database.get(meta::SNAPSHOT)? {
            let recorded = self.dir.named(&String::from_utf8_lossy(&name));
            let meta = recorded.read_meta()?;
            if meta.last_log_id > self.meta.last_log_id {
                self.dir.remove_others(&recorded);
                return Ok(Snapshot { meta, snapshot: recorded });
            }
        }
        self.database.write(Change::Set(meta::SNAPSHOT, file.name().into_bytes())).await?;
        self.dir.remove_others(&file);
        Ok(Snapshot { meta: self.meta.clone(), snapshot: file })
    }
}

/// Runs file operations outside of the async threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
