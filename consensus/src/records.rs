//! The cluster's records that Raft itself reads.

use disco_store::Store;
use disco_store::typed::{self, NodeRecord, RecordError, keys};

/// A node's record, if it exists and can be read.
#[must_use]
pub fn node_record(store: &Store, id: u64) -> Option<NodeRecord> {
    typed::get(store, &keys::node(id)).unwrap_or_else(unreadable).map(|record| record.value)
}

/// The format of the cluster's data.
pub(super) fn format(store: &Store) -> u32 {
    let record = typed::get::<u32>(store, keys::FORMAT).unwrap_or_else(unreadable);
    disco_proto::format::told(record.map_or(0, |record| record.value))
}

fn unreadable<T>(error: RecordError) -> Option<T> {
    tracing::error!(error = format!("{:#}", anyhow::Error::new(error)));
    None
}
