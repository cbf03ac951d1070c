//! openraft's own conformance suite on this log and state machine, with a real database on a real disk.

use std::io;

use disco_store::Limits;
use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};

use super::files::Files;
use super::log_store::LogStore;
use super::state_machine::StateMachine;
use super::types::TypeConfig;

struct Builder;

impl StoreBuilder<TypeConfig, LogStore<Files>, StateMachine<Files>, tempfile::TempDir> for Builder {
    async fn build(
        &self,
    ) -> Result<(tempfile::TempDir, LogStore<Files>, StateMachine<Files>), StorageError<TypeConfig>> {
        open().map_err(|error| StorageError::read_logs(openraft::error::ErrorSource::from_error(&error)))
    }
}

fn open() -> io::Result<(tempfile::TempDir, LogStore<Files>, StateMachine<Files>)> {
    let dir = tempfile::tempdir()?;
    let files = Files::open(dir.path())?;
    let log = LogStore::open(files.clone())?;
    let (machine, _) = StateMachine::open(files, Limits::default())?;
    Ok((dir, log, machine))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openraft_conformance_suite() {
    Suite::test_all(Builder).await.unwrap();
}
