//! A node's state while Raft is not open: read as a whole, changed, and written back as a snapshot that replaces the
//! log.

use std::io;
use std::ops::Bound;
use std::path::Path;

use disco_proto::v1::Command;
use disco_store::{Limits, Store};
use openraft::EntryPayload;
use openraft::storage::RaftLogStorage;
use prost::Message;

use super::database::{Change, LogDatabase, meta};
use super::log_store::{LogStore, decode_entry};
use super::snapshot::SnapshotDir;
use super::state_machine::StateMachine;
use super::types::{Entry, LogId, SnapshotMeta, StoredMembership};

/// The node's state, with all entries of its log applied.
pub(super) struct Offline {
    pub(super) store: Store,
    pub(super) membership: StoredMembership,
    /// Id of the last entry.
    pub(super) last: LogId,
    database: LogDatabase,
    dir: SnapshotDir,
}

// === impl Offline ===

impl Offline {
    /// Reads snapshot and log. Entries not known to be committed count as committed, too.
    pub(super) fn open(data_dir: &Path, database: &LogDatabase, dir: SnapshotDir, limits: Limits) -> io::Result<Self> {
        let (machine, shared) = StateMachine::open(database.clone(), dir.clone(), limits)?;
        let (mut last, mut membership) = machine.state();
        let mut store = shared.take();
        let first = last.map_or(0, |id| id.index + 1);
        for (index, bytes) in database.range(Bound::Included(first), Bound::Unbounded)? {
            let entry = decode_entry(index, &bytes)?;
            last = Some(entry.log_id);
            apply(&mut store, &entry, &mut membership);
        }
        let last = last.ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{}: this node has no log yet", data_dir.display()))
        })?;
        Ok(Self { store, membership, last, database: database.clone(), dir })
    }

    /// Writes the state back. Interrupted anywhere, the node has the previous state, or this one.
    pub(super) async fn persist(self) -> io::Result<()> {
        let meta = SnapshotMeta { last_log_id: Some(self.last), last_membership: self.membership };
        let file = self.dir.write(&meta, &self.store)?;
        self.database.write(Change::Set(meta::SNAPSHOT, file.name().into_bytes())).await?;
        let mut log = LogStore::open(self.database.clone())?;
        log.save_committed(Some(self.last)).await?;
        // Durable once it returns, together with everything submitted to the writer before.
        log.purge(self.last).await?;
        self.dir.remove_others(&file);
        Ok(())
    }
}

fn apply(store: &mut Store, entry: &Entry, membership: &mut StoredMembership) {
    match &entry.payload {
        EntryPayload::Blank => {}
        EntryPayload::Normal(request) => {
            // An undecodable command was refused on every node alike, and changed nothing.
            if let Ok(command) = Command::decode(request.0.clone()) {
                store.apply(entry.log_id.committed_leader_id().term, &command);
            }
        }
        EntryPayload::Membership(new) => *membership = StoredMembership::new(Some(entry.log_id), new.clone()),
    }
}
