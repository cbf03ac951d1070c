//! Keys that only Disco writes: its records, under `/disco/`.

use disco_proto::v1::request_op::Request as Op;
use disco_proto::v1::{Command, RequestOp, TxnRequest, command};
use disco_store::{SYSTEM_END, SYSTEM_PREFIX, Scope, Store};
use thiserror::Error;

use super::Node;

/// A client's request would change Disco's own records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("keys under `/disco/` belong to Disco and are read-only")]
pub struct OwnKeys;

/// How a range of keys touches Disco's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Touch {
    /// It has none of them.
    No,
    /// It has some of them among others.
    Covers,
    /// It can have no others.
    Names,
}

/// How a command touches Disco's own keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Touches {
    reads: Touch,
    writes: Touch,
}

// === impl Node ===

impl Node {
    /// Refuses a client's command that would change Disco's own records.
    ///
    /// # Errors
    /// It would.
    pub fn check_own_keys(&self, command: &Command) -> Result<(), OwnKeys> {
        if self.touches(command).writes == Touch::No { Ok(()) } else { Err(OwnKeys) }
    }

    /// Restricts a client's command to the keys of users: its ranges skip Disco's own.
    ///
    /// # Errors
    /// It writes nothing but Disco's own keys.
    pub fn confine_to_users(&self, command: &mut Command) -> Result<(), OwnKeys> {
        let touches = self.touches(command);
        if touches.writes == Touch::Names {
            return Err(OwnKeys);
        }
        // Only where it matters: an entry of the log is as small as without it.
        command.users_only = touches.reads.max(touches.writes) != Touch::No;
        Ok(())
    }

    fn touches(&self, command: &Command) -> Touches {
        let own_lease = |id: i64| {
            let attached = |store: &Store| store.lease(id).is_some_and(|lease| !lease.is_in(Scope::Users));
            self.raft().store().read(attached)
        };
        match &command.operation {
            Some(command::Operation::LeaseRevoke(revoke)) if own_lease(revoke.id) => Touches::writes(Touch::Names),
            Some(command::Operation::Put(put)) => Touches::writes(touch(&put.key, b"")),
            Some(command::Operation::DeleteRange(delete)) => Touches::writes(touch(&delete.key, &delete.range_end)),
            Some(command::Operation::Txn(txn)) => Touches::of_txn(txn),
            _ => Touches::NONE,
        }
    }
}

/// Refuses a requested range of keys that contains any of Disco's own.
///
/// # Errors
/// It contains one.
pub fn check_own_range(key: &[u8], range_end: &[u8]) -> Result<(), OwnKeys> {
    if touch(key, range_end) == Touch::No { Ok(()) } else { Err(OwnKeys) }
}

// === impl Touches ===

impl Touches {
    const NONE: Self = Self { reads: Touch::No, writes: Touch::No };

    fn reads(reads: Touch) -> Self {
        Self { reads, ..Self::NONE }
    }

    fn writes(writes: Touch) -> Self {
        Self { writes, ..Self::NONE }
    }

    fn and(self, other: Self) -> Self {
        Self { reads: self.reads.max(other.reads), writes: self.writes.max(other.writes) }
    }

    fn of_txn(txn: &TxnRequest) -> Self {
        let compared = txn.compare.iter().map(|compare| Self::reads(touch(&compare.key, &compare.range_end)));
        let done = txn.success.iter().chain(&txn.failure).map(Self::of_operation);
        compared.chain(done).fold(Self::NONE, Self::and)
    }

    fn of_operation(operation: &RequestOp) -> Self {
        match &operation.request {
            Some(Op::Range(range)) => Self::reads(touch(&range.key, &range.range_end)),
            Some(Op::Put(put)) => Self::writes(touch(&put.key, b"")),
            Some(Op::DeleteRange(delete)) => Self::writes(touch(&delete.key, &delete.range_end)),
            Some(Op::Txn(txn)) => Self::of_txn(txn),
            None => Self::NONE,
        }
    }
}

/// How a range of keys touches those under Disco's prefix.
fn touch(key: &[u8], range_end: &[u8]) -> Touch {
    let overlaps = match range_end {
        [] => key.starts_with(SYSTEM_PREFIX),
        [0] => key < SYSTEM_END,
        end => key < SYSTEM_END && end > SYSTEM_PREFIX,
    };
    let only = key.starts_with(SYSTEM_PREFIX) && *range_end != [0] && range_end <= SYSTEM_END;
    match (overlaps, only) {
        (false, _) => Touch::No,
        (true, false) => Touch::Covers,
        (true, true) => Touch::Names,
    }
}

#[cfg(test)]
mod tests {
    use disco_proto::v1::{Compare, DeleteRangeRequest, PutRequest, RangeRequest};

    use super::*;

    #[test]
    fn ranges_that_touch_discos_keys_are_detected() {
        for (key, end, expected) in [
            (&b"/disco/nodes/1"[..], &b""[..], Touch::Names),
            (b"/disco/", b"/disco0", Touch::Names),
            (b"/disco/a", b"/disco/b", Touch::Names),
            (b"/disco/", b"\0", Touch::Covers),
            (b"/disco/", b"/disco1", Touch::Covers),
            (b"/", b"0", Touch::Covers),
            (b"", b"\0", Touch::Covers),
            (b"/disco", b"/disco/a", Touch::Covers),
            (b"/disco", b"", Touch::No),
            (b"/disco", b"/disco/", Touch::No),
            (b"/disco0", b"/z", Touch::No),
            (b"/app/", b"/app0", Touch::No),
            (b"0", b"\0", Touch::No),
        ] {
            assert_eq!(touch(key, end), expected, "{} to {}", key.escape_ascii(), end.escape_ascii());
        }
    }

    #[test]
    fn a_transaction_touches_what_any_part_of_it_touches() {
        let of = |requests: Vec<Op>| TxnRequest {
            success: requests.into_iter().map(|request| RequestOp { request: Some(request) }).collect(),
            ..TxnRequest::default()
        };
        let all = || (vec![0].into(), vec![0].into());
        let get = || {
            let (key, range_end) = all();
            Op::Range(RangeRequest { key, range_end, ..RangeRequest::default() })
        };
        let delete = || {
            let (key, range_end) = all();
            Op::DeleteRange(DeleteRangeRequest { key, range_end, prev_kv: false })
        };
        let put = |key: &'static str| Op::Put(PutRequest { key: key.into(), ..PutRequest::default() });
        assert_eq!(Touches::of_txn(&of(vec![put("a")])), Touches::NONE);
        assert_eq!(Touches::of_txn(&of(vec![put("a"), get()])), Touches::reads(Touch::Covers));
        assert_eq!(Touches::of_txn(&of(vec![Op::Txn(of(vec![delete()]))])), Touches::writes(Touch::Covers));
        assert_eq!(
            Touches::of_txn(&of(vec![delete(), put("/disco/x"), get()])),
            Touches { reads: Touch::Covers, writes: Touch::Names }
        );
        let compare = Compare { key: "/disco/x".into(), ..Compare::default() };
        let compared = TxnRequest { compare: vec![compare], ..of(vec![put("a")]) };
        assert_eq!(Touches::of_txn(&compared), Touches::reads(Touch::Names));
    }
}
