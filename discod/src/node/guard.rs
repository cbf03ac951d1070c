//! Keys that only Disco writes: its records, under `/disco/`.

use disco_proto::v1::request_op::Request as Op;
use disco_proto::v1::{Command, TxnRequest, command};
use disco_store::{SYSTEM_PREFIX, Store};
use thiserror::Error;

use super::Node;

/// The first byte string after all keys with the prefix.
const OWN_END: &[u8] = b"/disco0";

/// A client's request would change Disco's own records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("keys under `/disco/` belong to Disco and are read-only")]
pub struct OwnKeys;

// === impl Node ===

impl Node {
    /// Refuses a client's command that would change Disco's own records.
    ///
    /// # Errors
    /// It would.
    pub fn check_own_keys(&self, command: &Command) -> Result<(), OwnKeys> {
        let own_lease = |id: i64| {
            let attached = |store: &Store| {
                store.lease(id).is_some_and(|lease| lease.keys().any(|key| key.starts_with(SYSTEM_PREFIX)))
            };
            self.raft().store().read(attached)
        };
        let touches = match &command.operation {
            Some(command::Operation::Put(put)) => put.key.starts_with(SYSTEM_PREFIX),
            Some(command::Operation::DeleteRange(delete)) => overlaps_own(&delete.key, &delete.range_end),
            Some(command::Operation::Txn(txn)) => txn_touches_own(txn),
            Some(command::Operation::LeaseRevoke(revoke)) => own_lease(revoke.id),
            _ => false,
        };
        if touches { Err(OwnKeys) } else { Ok(()) }
    }
}

/// Refuses a requested range of keys that contains any of Disco's own.
///
/// # Errors
/// It contains one.
pub fn check_own_range(key: &[u8], range_end: &[u8]) -> Result<(), OwnKeys> {
    if overlaps_own(key, range_end) { Err(OwnKeys) } else { Ok(()) }
}

fn txn_touches_own(txn: &TxnRequest) -> bool {
    txn.success.iter().chain(&txn.failure).any(|op| match &op.request {
        Some(Op::Put(put)) => put.key.starts_with(SYSTEM_PREFIX),
        Some(Op::DeleteRange(delete)) => overlaps_own(&delete.key, &delete.range_end),
        Some(Op::Txn(txn)) => txn_touches_own(txn),
        Some(Op::Range(_)) | None => false,
    })
}

/// Whether a range of keys contains any under Disco's prefix.
fn overlaps_own(key: &[u8], range_end: &[u8]) -> bool {
    match range_end {
        [] => key.starts_with(SYSTEM_PREFIX),
        [0] => key < OWN_END,
        end => key < OWN_END && end > SYSTEM_PREFIX,
    }
}

#[cfg(test)]
mod tests {
    use super::overlaps_own;

    #[test]
    fn ranges_that_overlap_discos_keys_are_detected() {
        assert!(overlaps_own(b"/disco/nodes/1", b""));
        assert!(overlaps_own(b"/", b"0"));
        assert!(overlaps_own(b"", b"\0"));
        assert!(overlaps_own(b"a", b"\0") == (b"a".as_slice() < b"/disco0".as_slice()));
        assert!(!overlaps_own(b"/disco", b""));
        assert!(!overlaps_own(b"/disco0", b"/z"));
        assert!(!overlaps_own(b"/app/", b"/app0"));
        assert!(!overlaps_own(b"0", b"\0"));
    }
}
