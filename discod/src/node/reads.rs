//! Reads of the store on this node.

use std::time::Duration;

use disco_proto::v1::{RangeRequest, RangeResponse};
use thiserror::Error;
use tokio::time::Instant;

use super::Node;
use crate::raft::ReadIndexError;

/// Pause before a read is retried.
const RETRY_PAUSE: Duration = Duration::from_millis(25);

/// Why a read failed.
#[derive(Debug, Error)]
pub enum ReadError {
    /// No leader could confirm its majority.
    #[error(transparent)]
    Index(#[from] ReadIndexError),
    /// The store cannot answer it.
    #[error(transparent)]
    Store(#[from] disco_store::ReadError),
}

// === impl Node ===

impl Node {
    /// Reads the store after every write acknowledged before the call.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn read(&self, range: &RangeRequest) -> Result<RangeResponse, ReadError> {
        let limit = self.raft().pace().election_timeout() * 6;
        self.raft().read_barrier(limit).await?;
        Ok(self.read_stale(range)?)
    }

    /// Like [`Self::read`], but waits for an election in progress.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn read_when_led(&self, range: &RangeRequest) -> Result<RangeResponse, ReadError> {
        let deadline = Instant::now() + self.raft().pace().election_timeout() * 6;
        loop {
            match self.read(range).await {
                Err(ReadError::Index(_)) if Instant::now() < deadline => tokio::time::sleep(RETRY_PAUSE).await,
                answer => return answer,
            }
        }
    }

    /// Reads what this node has applied.
    ///
    /// # Errors
    /// The store cannot answer.
    pub fn read_stale(&self, range: &RangeRequest) -> Result<RangeResponse, disco_store::ReadError> {
        self.raft().store().read(|store| store.range(range))
    }
}
