//! Snapshots, and what happens while they are made.

use std::io;

use disco_proto::v1::command::Operation;
use disco_proto::v1::{Command, PutRequest, RangeRequest};
use disco_store::Limits;
use openraft::storage::RaftStateMachine;
use openraft::{EntryPayload, RaftSnapshotBuilder};
use prost::Message;

use super::files::Files;
use super::snapshot::{SnapshotDir, SnapshotFile};
use super::state_machine::{SnapshotBuilder, StateMachine};
use super::types::{Entry, LogId, Request, Snapshot, SnapshotMeta, TypeConfig};

type Machine = StateMachine<Files>;
type LeaderId = <TypeConfig as openraft::RaftTypeConfig>::LeaderId;

fn open(folder: &std::path::Path) -> io::Result<(Machine, SnapshotDir)> {
    let files = Files::open(folder)?;
    let dir = files.snapshots().clone();
    let (machine, _) = StateMachine::open(files, Limits::default())?;
    Ok((machine, dir))
}

// openraft's traits are of one runtime, but this machine is of all.

async fn builder(machine: &mut Machine) -> SnapshotBuilder<Files> {
    RaftStateMachine::<TypeConfig>::get_snapshot_builder(machine).await
}

async fn build(mut builder: SnapshotBuilder<Files>) -> io::Result<Snapshot<SnapshotFile>> {
    RaftSnapshotBuilder::<TypeConfig>::build_snapshot(&mut builder).await
}

/// Applies a put as the entry of that index.
async fn put(machine: &mut Machine, index: u64, key: &'static str) {
    let put = PutRequest { key: key.into(), value: "v".into(), ..PutRequest::default() };
    let command = Command { operation: Some(Operation::Put(put)), ..Command::default() };
    let entry = Entry {
        log_id: LogId::new(LeaderId { term: 1, node_id: 1 }, index),
        payload: EntryPayload::Normal(Request(command.encode_to_vec().into())),
    };
    let entries = futures_util::stream::iter([Ok((entry, None))]);
    RaftStateMachine::<TypeConfig>::apply(machine, entries).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_has_the_state_of_its_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let (mut machine, _) = open(folder.path()).unwrap();
    put(&mut machine, 1, "before").await;
    let builder = builder(&mut machine).await;
    // Commands continue until it is written.
    put(&mut machine, 2, "before").await;
    put(&mut machine, 3, "after").await;
    let built = build(builder).await.unwrap();
    assert_eq!(built.meta.last_log_id.map(|id| id.index), Some(1));
    let (meta, store) = built.snapshot.read(Limits::default()).unwrap();
    assert_eq!(meta, built.meta);
    let all = RangeRequest { key: "\0".into(), range_end: "\0".into(), ..RangeRequest::default() };
    let found = store.range(&all).unwrap().kvs;
    assert_eq!(found.iter().map(|kv| (&*kv.key, kv.version)).collect::<Vec<_>>(), [(&b"before"[..], 1)]);
    assert_eq!((store.revision(), machine.state().0.map(|id| id.index)), (2, Some(3)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_snapshot_does_not_replace_a_newer_one() {
    let folder = tempfile::tempdir().unwrap();
    let (mut machine, dir) = open(folder.path()).unwrap();
    // Begun now, and written after another has been installed.
    let late = builder(&mut machine).await;
    let last = LogId::new(LeaderId { term: 7, node_id: 2 }, 90);
    let meta = SnapshotMeta { last_log_id: Some(last), ..SnapshotMeta::default() };
    let newer = dir.write(&meta, &disco_store::Store::new(Limits::default())).unwrap();
    RaftStateMachine::<TypeConfig>::install_snapshot(&mut machine, &meta, newer).await.unwrap();
    let built = build(late).await.unwrap();
    assert_eq!(built.meta.last_log_id, Some(last));
    let current = RaftStateMachine::<TypeConfig>::get_current_snapshot(&mut machine).await.unwrap().unwrap();
    assert_eq!(current.meta.last_log_id, Some(last));
    assert!(current.snapshot.path.exists());
}
