//! A node's state while Raft is not open: read as a whole, changed, and written back as a snapshot that replaces the
//! log.

use std::io;
use std::ops::Bound;
use std::path::Path;

use disco_proto::v1::Command;
use disco_store::{Limits, Store};
use openraft::EntryPayload;
use prost::Message;

use super::disk::{Change, Disk, meta};
use super::files::Files;
use super::log_store::{LogStore, decode_entry};
use super::recover::Recovery;
use super::restore;
use super::state_machine::StateMachine;
use super::types::{Entry, LogId, SnapshotMeta, StoredMembership};

/// The node's state, with all entries of its log applied.
pub(super) struct Offline {
    pub(super) store: Store,
    pub(super) membership: StoredMembership,
    /// Id of the last entry.
    pub(super) last: LogId,
    files: Files,
}

// === impl Offline ===

impl Offline {
    /// Reads snapshot and log. Entries not known to be committed count as committed, too.
    pub(super) fn open(data_dir: &Path, files: &Files, limits: Limits) -> io::Result<Self> {
        let (machine, shared) = StateMachine::open(files.clone(), limits)?;
        let (mut last, mut membership) = machine.state();
        let mut store = shared.take();
        let first = last.map_or(0, |id| id.index + 1);
        for (index, bytes) in files.range(Bound::Included(first), Bound::Unbounded)? {
            let entry = decode_entry(index, &bytes)?;
            last = Some(entry.log_id);
            apply(&mut store, &entry, &mut membership);
        }
        let last = last.ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{}: this node has no log yet", data_dir.display()))
        })?;
        Ok(Self { store, membership, last, files: files.clone() })
    }

    /// Writes the state back. Interrupted anywhere, the node has the previous state, or this one.
    pub(super) async fn persist(self) -> io::Result<()> {
        let meta = SnapshotMeta { last_log_id: Some(self.last), last_membership: self.membership };
        let file = self.files.snapshots().write(&meta, &self.store)?;
        self.files.write(Change::Set(meta::SNAPSHOT, file.name().into_bytes())).await?;
        let log = LogStore::open(self.files.clone())?;
        log.commit(self.last).await?;
        // Durable once it returns, together with everything submitted to the writer before.
        log.purge_upto(self.last).await?;
        self.files.remove_others(&file);
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

/// Performs what was requested for the next start of the node, before its Raft opens the files.
///
/// # Errors
/// It cannot be performed, or the data folder lacks its log.
pub async fn perform_requests(data_dir: &Path, files: &Files, node_id: u64, limits: Limits) -> io::Result<()> {
    if let Some(recovery) = Recovery::requested(data_dir)? {
        recovery.run(data_dir, node_id, Offline::open(data_dir, files, limits)?).await?;
    }
    if restore::is_requested(data_dir)? {
        restore::run(data_dir, limits, Offline::open(data_dir, files, limits)?).await?;
    }
    if LogStore::open(files.clone())?.is_pristine()? && !files.snapshots().is_empty()? {
        let what = format!("{}: the snapshots are present, but their log is missing", data_dir.display());
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    Ok(())
}
