//! What `cluster.kv` needs from its host. Semantics are those of the store: revisions as in etcd.

use async_trait::async_trait;

use super::types::{KvDeleted, KvEntry, KvEvent, KvPut, KvSelect, KvTxn, KvTxnResult};
use crate::HostError;

/// The cluster's keys.
#[async_trait]
pub trait Kv: Send + Sync {
    /// Linearizable read: the selected entries, in key order.
    async fn get(&self, select: KvSelect) -> Result<Vec<KvEntry>, HostError>;
    /// Writes; returns the store's revision after the write.
    async fn put(&self, put: KvPut) -> Result<i64, HostError>;
    /// Deletes the selected keys.
    async fn delete(&self, select: KvSelect) -> Result<KvDeleted, HostError>;
    /// Runs a transaction, atomically.
    async fn txn(&self, txn: KvTxn) -> Result<KvTxnResult, HostError>;
    /// Changes from `start_revision` on (0: from now; less is an error), one after the other. It has started when this returns:
    /// later writes are seen.
    async fn watch(&self, select: KvSelect, start_revision: i64) -> Result<Box<dyn KvWatch>, HostError>;
}

/// A running watch; dropping it ends it. The script pulls, so nothing is queued beyond what the host itself holds.
#[async_trait]
pub trait KvWatch: Send {
    /// The next change; `None` when the watch has ended. The future may be dropped and the method called again if the script stops
    /// waiting: this must lose nothing.
    async fn next(&mut self) -> Result<Option<KvEvent>, HostError>;
}
