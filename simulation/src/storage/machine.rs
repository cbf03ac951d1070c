//! The state machine: the daemon's store, fed as the daemon feeds it, with snapshots on the simulated disk.

use std::io;
use std::sync::Arc;

use disco_consensus::types::Response;
use disco_proto::v1::Command;
use disco_store::{Limits, Refused, Store};
use futures_util::{Stream, StreamExt};
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder};
use parking_lot::RwLock;
use prost::Message;

use super::disk::{Change, Disk};
use crate::bug::Bug;
use crate::events::{Event, Observer};
use crate::types::{LogId, Snapshot, SnapshotBytes, SnapshotMeta, StoredMembership, TypeConfig, place};

/// The applied store of a node.
pub type SharedStore = Arc<RwLock<Store>>;

/// The state machine of openraft.
pub struct StateMachine {
    node: u64,
    store: SharedStore,
    applied: Option<LogId>,
    membership: StoredMembership,
    disk: Disk,
    observer: Observer,
    bug: Option<Bug>,
}

/// Builds a snapshot of the state at the moment of its creation.
pub struct SnapshotBuilder {
    meta: SnapshotMeta,
    bytes: Option<io::Result<SnapshotBytes>>,
    disk: Disk,
}

// === impl StateMachine ===

impl StateMachine {
    /// Loads the state of the newest snapshot; openraft then applies the later entries of the log.
    pub fn open(node: u64, disk: Disk, observer: Observer, bug: Option<Bug>) -> io::Result<Self> {
        let (store, applied, membership) = match disk.read(|image| image.snapshot.clone()) {
            Some(snapshot) => {
                let (meta, bytes) = &*snapshot;
                (decode(bytes)?, meta.last_log_id, meta.last_membership.clone())
            }
            None => (Store::default(), None, StoredMembership::default()),
        };
        let store = Arc::new(RwLock::new(store));
        Ok(Self { node, store, applied, membership, disk, observer, bug })
    }

    /// The store, for reading.
    pub fn store(&self) -> SharedStore {
        self.store.clone()
    }

    /// As the daemon does it.
    fn apply_command(&self, id: &LogId, bytes: &[u8]) -> Response {
        let term = id.committed_leader_id().term;
        let response = match Command::decode(bytes) {
            Ok(mut command) => {
                let request_id = command.request_id.clone();
                if self.bug == Some(Bug::ApplyWithoutDedup) {
                    command.request_id.clear();
                }
                let applied = self.store.write().apply(term, &command);
                self.observer.tell(Event::applied(self.node, id, bytes, request_id, &command, &applied));
                applied.response
            }
            Err(error) => Refused::unreadable(&error).into_response(self.store.read().revision()),
        };
        Response(Some(response))
    }
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotData = SnapshotBytes;
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
                EntryPayload::Normal(request) => self.apply_command(&entry.log_id, &request.0),
                EntryPayload::Blank => {
                    self.observer.tell(Event::Passed { node: self.node, place: place(&entry.log_id) });
                    Response::default()
                }
                EntryPayload::Membership(membership) => {
                    self.observer.tell(Event::Passed { node: self.node, place: place(&entry.log_id) });
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
        SnapshotBuilder {
            meta: SnapshotMeta { last_log_id: self.applied, last_membership: self.membership.clone() },
            bytes: Some(encode(&self.store.read())),
            disk: self.disk.clone(),
        }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: SnapshotBytes) -> io::Result<()> {
        let store = decode(&snapshot)?;
        self.disk.write(Change::Snapshot(Arc::new((meta.clone(), snapshot)))).await?;
        if let Some(last) = &meta.last_log_id {
            let place = place(last);
            self.observer.tell(Event::Installed { node: self.node, place, revision: store.revision() });
        }
        *self.store.write() = store;
        self.applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        let snapshot = self.disk.read(|image| image.snapshot.clone());
        Ok(snapshot.map(|snapshot| Snapshot { meta: snapshot.0.clone(), snapshot: snapshot.1.clone() }))
    }
}

impl RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder {
    type SnapshotData = SnapshotBytes;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        let bytes = self.bytes.take().ok_or_else(|| io::Error::other("a builder builds once"))??;
        self.disk.write(Change::Snapshot(Arc::new((self.meta.clone(), bytes.clone())))).await?;
        Ok(Snapshot { meta: self.meta.clone(), snapshot: bytes })
    }
}

/// The store's own form of a snapshot: the same bytes on all nodes that applied the same.
pub fn encode(store: &Store) -> io::Result<SnapshotBytes> {
    let mut bytes = Vec::new();
    store.encode_snapshot(&mut bytes)?;
    Ok(bytes.into())
}

fn decode(bytes: &[u8]) -> io::Result<Store> {
    let read = Store::decode_snapshot(Limits::default(), &mut &*bytes);
    read.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))
}
