//! Snapshots that are made at the same time.

use std::io;

use disco_store::Limits;
use openraft::RaftSnapshotBuilder;
use openraft::storage::RaftStateMachine;

use super::database::LogDatabase;
use super::snapshot::SnapshotDir;
use super::space::Space;
use super::state_machine::StateMachine;
use super::types::{LogId, SnapshotMeta, TypeConfig};

type LeaderId = <TypeConfig as openraft::RaftTypeConfig>::LeaderId;

fn open(folder: &std::path::Path) -> io::Result<(StateMachine, SnapshotDir)> {
    let space = Space::new(folder.to_owned());
    let database = LogDatabase::open(&folder.join("raft.redb"), space.clone())?;
    let dir = SnapshotDir::open(folder.join("snapshots"), space)?;
    let (machine, _) = StateMachine::open(database, dir.clone(), Limits::default())?;
    Ok((machine, dir))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_is_done_late_does_not_replace_a_newer_one() {
    let folder = tempfile::tempdir().unwrap();
    let (mut machine, dir) = open(folder.path()).unwrap();
    // Begun now, and written when another has been installed.
    let mut late = machine.get_snapshot_builder().await;
    let last = LogId::new(LeaderId { term: 7, node_id: 2 }, 90);
    let meta = SnapshotMeta { last_log_id: Some(last), ..SnapshotMeta::default() };
    let mut bytes = Vec::new();
    disco_store::Store::new(Limits::default()).encode_snapshot(&mut bytes).unwrap();
    let newer = dir.write(&meta, &bytes).unwrap();
    machine.install_snapshot(&meta, newer).await.unwrap();
    let built = late.build_snapshot().await.unwrap();
    assert_eq!(built.meta.last_log_id, Some(last));
    let current = machine.get_current_snapshot().await.unwrap().unwrap();
    assert_eq!(current.meta.last_log_id, Some(last));
    assert!(current.snapshot.path.exists());
}
