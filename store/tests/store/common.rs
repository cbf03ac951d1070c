//! Helpers shared by the tests.

use disco_proto::v1::{
    Command, CommandResponse, CompactRequest, Compare, DeleteRangeRequest, KeyValue, LeaseGrantRequest,
    LeaseRevokeRequest, PutRequest, PutResponse, RangeRequest, Refusal, RequestOp, SetAlarmRequest, TxnRequest,
    TxnResponse, command::Operation, command_response::Result as Answer, compare, request_op::Request,
};
use disco_store::{Applied, Limits, Store};

pub(crate) fn command(operation: Operation) -> Command {
    Command { operation: Some(operation), proposed_at_ms: 1_700_000_000_000, ..Command::default() }
}

pub(crate) fn put(key: &str, value: &str) -> PutRequest {
    PutRequest { key: key.to_string().into(), value: value.to_string().into(), ..PutRequest::default() }
}

pub(crate) fn delete(key: &str, range_end: &str) -> DeleteRangeRequest {
    DeleteRangeRequest {
        key: key.to_string().into(),
        range_end: range_end.to_string().into(),
        ..DeleteRangeRequest::default()
    }
}

pub(crate) fn range(key: &str, range_end: &str) -> RangeRequest {
    RangeRequest { key: key.to_string().into(), range_end: range_end.to_string().into(), ..RangeRequest::default() }
}

pub(crate) fn compare(key: &str, result: compare::Result, target: compare::Target) -> Compare {
    Compare { key: key.to_string().into(), result: result.into(), target: Some(target), ..Compare::default() }
}

pub(crate) fn op(request: Request) -> RequestOp {
    RequestOp { request: Some(request) }
}

pub(crate) fn txn(compare: Vec<Compare>, success: Vec<Request>, failure: Vec<Request>) -> TxnRequest {
    let ops = |requests: Vec<Request>| requests.into_iter().map(op).collect();
    TxnRequest { compare, success: ops(success), failure: ops(failure) }
}

/// A store with helpers for single operations.
#[derive(Default)]
pub(crate) struct Bench(pub(crate) Store);

impl Bench {
    pub(crate) fn with(limits: Limits) -> Self {
        Self(Store::new(limits))
    }

    pub(crate) fn apply(&mut self, operation: Operation) -> Applied {
        self.0.apply(1, &command(operation))
    }

    pub(crate) fn put(&mut self, put: PutRequest) -> PutResponse {
        match self.apply(Operation::Put(put)).response.result {
            Some(Answer::Put(response)) => response,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn txn(&mut self, txn: TxnRequest) -> TxnResponse {
        match self.apply(Operation::Txn(txn)).response.result {
            Some(Answer::Txn(response)) => response,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn delete(&mut self, key: &str, range_end: &str) -> Applied {
        self.apply(Operation::DeleteRange(delete(key, range_end)))
    }

    pub(crate) fn grant(&mut self, id: i64) -> Applied {
        self.apply(Operation::LeaseGrant(LeaseGrantRequest { id, ttl: 60 }))
    }

    pub(crate) fn revoke(&mut self, id: i64) -> Applied {
        self.apply(Operation::LeaseRevoke(LeaseRevokeRequest { id }))
    }

    pub(crate) fn compact(&mut self, revision: i64) -> Applied {
        self.apply(Operation::Compact(CompactRequest { revision }))
    }

    /// Raises or clears the alarm; returns whether it was raised.
    pub(crate) fn set_alarm(&mut self, no_space: bool) -> bool {
        match self.apply(Operation::SetAlarm(SetAlarmRequest { no_space })).response.result {
            Some(Answer::SetAlarm(response)) => response.was_raised,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn refused(&mut self, operation: Operation) -> Refusal {
        let before = self.0.clone();
        let applied = self.apply(operation);
        assert_eq!(applied.events, []);
        let refusal = refusal(&applied.response);
        if refusal == Refusal::NoSpace {
            assert!(self.0.is_full(), "the alarm is raised");
            assert_eq!(self.0.hash_kv(0), before.hash_kv(0), "and all else stays as it was");
            assert!(self.0.leases().eq(before.leases()));
        } else {
            assert!(snapshot(&self.0) == snapshot(&before), "a refusal changes nothing");
        }
        refusal
    }

    pub(crate) fn get(&self, key: &str) -> Option<KeyValue> {
        self.0.range(&range(key, "")).unwrap().kvs.pop()
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        let all = RangeRequest { key: vec![0].into(), range_end: vec![0].into(), ..RangeRequest::default() };
        let text = |kv: KeyValue| String::from_utf8(kv.key.into()).unwrap();
        self.0.range(&all).unwrap().kvs.into_iter().map(text).collect()
    }
}

#[track_caller]
pub(crate) fn refusal(response: &CommandResponse) -> Refusal {
    match &response.result {
        Some(Answer::Error(error)) => error.refusal(),
        other => panic!("not refused: {other:?}"),
    }
}

pub(crate) fn snapshot(store: &Store) -> Vec<u8> {
    let mut bytes = Vec::new();
    store.encode_snapshot(&mut bytes).unwrap();
    bytes
}
