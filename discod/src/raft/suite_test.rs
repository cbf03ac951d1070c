//! openraft's own conformance suite on this log and state machine, with a real database on a real disk.

use std::io;

use disco_store::Limits;
use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};

use super::database::LogDatabase;
use super::log_store::LogStore;
use super::snapshot::SnapshotDir;
use super::space::Space;
use super::state_machine::StateMachine;
use super::types::TypeConfig;

struct Builder;

impl StoreBuilder<TypeConfig, LogStore, StateMachine, tempfile::TempDir> for Builder {
    async fn build(&self) -> Result<(tempfile::TempDir, LogStore, StateMachine), StorageError<TypeConfig>> {
        open().map_err(|error| StorageError::read_logs(openraft::error::ErrorSource::from_error(&error)))
    }
}

fn open() -> io::Result<(tempfile::TempDir, LogStore, StateMachine)> {
    let dir = tempfile::tempdir()?;
    let space = Space::new(dir.path().to_owned());
    let database = LogDatabase::open(&dir.path().join("raft.redb"), space.clone())?;
    let log = LogStore::open(database.clone())?;
    let snapshots = SnapshotDir::open(dir.path().join("snapshots"), space)?;
    let (machine, _) = StateMachine::open(database, snapshots, Limits::default())?;
    Ok((dir, log, machine))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openraft_conformance_suite() {
    Suite::test_all(Builder).await.unwrap();
}
