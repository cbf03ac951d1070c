//! The daemon's state machine, observed.

use std::io;

use bytes::Bytes;
use disco_consensus::types::{Request, Response};
use disco_consensus::{SnapshotBuilder, StateMachine};
use disco_proto::v1::Command;
use disco_store::Store;
use futures_util::{Stream, StreamExt};
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend};
use prost::Message;

use super::node_disk::{NodeDisk, Snapshot};
use crate::bug::Bug;
use crate::events::{Event, Observer};
use crate::types::{self, Entry, SnapshotMeta, StoredMembership, TypeConfig, place};

/// The state machine of openraft.
pub struct Machine {
    node: u64,
    inner: StateMachine<NodeDisk>,
    store: disco_consensus::SharedStore,
    observer: Observer,
    bug: Option<Bug>,
}

// === impl Machine ===

impl Machine {
    /// Observes the state machine of a node, which applies to this store.
    pub fn new(
        node: u64,
        (inner, store): (StateMachine<NodeDisk>, disco_consensus::SharedStore),
        observer: Observer,
        bug: Option<Bug>,
    ) -> Self {
        Self { node, inner, store, observer, bug }
    }

    fn apply_entry(&mut self, entry: Entry) -> Response {
        let id = entry.log_id;
        let EntryPayload::Normal(Request(bytes)) = &entry.payload else {
            self.observer.tell(Event::Passed { node: self.node, place: place(&id) });
            return Response(self.inner.apply_entry(&entry).map(|applied| applied.response));
        };
        let bytes = bytes.clone();
        let Ok(mut command) = Command::decode(bytes.clone()) else {
            return Response(self.inner.apply_entry(&entry).map(|applied| applied.response));
        };
        let request_id = command.request_id.clone();
        let entry = if self.bug == Some(Bug::ApplyWithoutDedup) {
            command.request_id.clear();
            Entry { payload: EntryPayload::Normal(Request(Bytes::from(command.encode_to_vec()))), ..entry }
        } else {
            entry
        };
        let Some(applied) = self.inner.apply_entry(&entry) else { return Response(None) };
        self.observer.tell(Event::applied(self.node, &id, &bytes, request_id, &command, &applied));
        Response(Some(applied.response))
    }
}

impl RaftStateMachine<TypeConfig> for Machine {
    type SnapshotData = Snapshot;
    type SnapshotBuilder = SnapshotBuilder<NodeDisk>;

    async fn applied_state(&mut self) -> io::Result<(Option<types::LogId>, StoredMembership)> {
        Ok(self.inner.state())
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> io::Result<()>
    where
        Strm: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        while let Some(item) = entries.next().await {
            let (entry, responder) = item?;
            let response = self.apply_entry(entry);
            if let Some(responder) = responder {
                responder.send(response);
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder<NodeDisk> {
        RaftStateMachine::<TypeConfig>::get_snapshot_builder(&mut self.inner).await
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: Snapshot) -> io::Result<()> {
        RaftStateMachine::<TypeConfig>::install_snapshot(&mut self.inner, meta, snapshot).await?;
        if let Some(last) = &meta.last_log_id {
            let revision = self.store.read(Store::revision);
            self.observer.tell(Event::Installed { node: self.node, place: place(last), revision });
        }
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<types::Snapshot>> {
        RaftStateMachine::<TypeConfig>::get_current_snapshot(&mut self.inner).await
    }
}
