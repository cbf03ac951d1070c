//! What `cluster.kv` needs from its host. Semantics are those of the store: revisions as in etcd.

use async_trait::async_trait;

use super::types::{KvDeleted, KvEntry, KvEvent, KvPut, KvSelect, KvTxn, KvTxnResult};
use crate::HostError;

/// The cluster's keys.
#[async_trait]
pub trait Kv: Send + Sync {
    /// Linearizable read: the entries selected, in key order, and none where there are none.
    async fn get(&self, select: KvSelect) -> Result<Vec<KvEntry>, HostError>;
    /// The store's revision after the write.
    async fn put(&self, put: KvPut) -> Result<i64, HostError>;
    /// Deletes what is selected.
    async fn delete(&self, select: KvSelect) -> Result<KvDeleted, HostError>;
    /// All or nothing.
    async fn txn(&self, txn: KvTxn) -> Result<KvTxnResult, HostError>;
    /// Changes from `start_revision` on (0: from now; less is an error), one after the other. It has begun when this returns:
    /// what is written after that is seen.
    async fn watch(&self, select: KvSelect, start_revision: i64) -> Result<Box<dyn KvWatch>, HostError>;
}

/// A running watch; dropping it ends it. The script pulls, so nothing is queued beyond what the host itself holds.
#[async_trait]
pub trait KvWatch: Send {
    /// The next change; `None` when the watch has ended. Dropped and called again when the script gives up waiting: must
    /// lose nothing by that.
    async fn next(&mut self) -> Result<Option<KvEvent>, HostError>;
}
