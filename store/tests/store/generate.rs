//! Random commands on a few keys, so that they collide.

use disco_proto::v1::{
    Command, CompactRequest, Compare, DeleteRangeRequest, LeaseGrantRequest, LeaseRevokeRequest, PutRequest,
    RangeRequest, RequestOp, TxnRequest, command::Operation, compare::Target, request_op::Request,
};
use proptest::prelude::*;

pub(crate) const KEYS: [&str; 6] = ["/disco/a", "a", "ab", "b", "c", "d"];

fn key() -> impl Strategy<Value = bytes::Bytes> {
    prop_oneof![
        30 => prop::sample::select(&KEYS[..]).prop_map(bytes::Bytes::from),
        1 => Just(bytes::Bytes::new()),
    ]
}

fn range_end() -> impl Strategy<Value = bytes::Bytes> {
    prop::sample::select(&["", "", "", "\0", "/disco/b", "a", "b", "c", "e"][..]).prop_map(bytes::Bytes::from)
}

fn value() -> impl Strategy<Value = bytes::Bytes> {
    prop_oneof![
        8 => "[xyz]{0,2}".prop_map(bytes::Bytes::from),
        1 => (500_usize..600).prop_map(|length| vec![b'v'; length].into()),
    ]
}

fn put() -> impl Strategy<Value = PutRequest> {
    (
        key(),
        value(),
        prop_oneof![4 => Just(0_i64), 2 => 1_i64..4],
        any::<bool>(),
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.1),
    )
        .prop_map(|(key, value, lease, prev_kv, ignore_value, ignore_lease)| PutRequest {
            key,
            value: if ignore_value { bytes::Bytes::new() } else { value },
            lease: if ignore_lease { 0 } else { lease },
            prev_kv,
            ignore_value,
            ignore_lease,
        })
}

fn delete() -> impl Strategy<Value = DeleteRangeRequest> {
    (key(), range_end(), any::<bool>()).prop_map(|(key, range_end, prev_kv)| DeleteRangeRequest {
        key,
        range_end,
        prev_kv,
    })
}

/// Revisions are mostly near the current one, which grows with the test.
fn revision() -> impl Strategy<Value = i64> {
    prop_oneof![6 => Just(0_i64), 3 => 0_i64..40, 1 => -1_i64..2]
}

pub(crate) fn range() -> impl Strategy<Value = RangeRequest> {
    let bound = || prop_oneof![5 => Just(0_i64), 1 => 1_i64..20];
    let flags = (prop::bool::weighted(0.1), prop::bool::weighted(0.1));
    let sort = (0_i32..3, 0_i32..5);
    (key(), range_end(), 0_i64..4, revision(), sort, flags, (bound(), bound(), bound(), bound())).prop_map(
        |(key, range_end, limit, revision, (sort_order, sort_target), (keys_only, count_only), bounds)| RangeRequest {
            key,
            range_end,
            limit,
            revision,
            sort_order,
            sort_target,
            keys_only,
            count_only,
            min_mod_revision: bounds.0,
            max_mod_revision: bounds.1,
            min_create_revision: bounds.2,
            max_create_revision: bounds.3,
        },
    )
}

fn comparison() -> impl Strategy<Value = Compare> {
    let target = prop_oneof![
        (0_i64..4).prop_map(Target::Version),
        (0_i64..20).prop_map(Target::CreateRevision),
        (0_i64..20).prop_map(Target::ModRevision),
        value().prop_map(Target::Value),
        (0_i64..4).prop_map(Target::Lease),
    ];
    (key(), range_end(), 0_i32..4, target).prop_map(|(key, range_end, result, target)| Compare {
        key,
        range_end,
        result,
        target: Some(target),
    })
}

fn txn() -> impl Strategy<Value = TxnRequest> {
    let leaf = prop_oneof![
        put().prop_map(Request::Put),
        delete().prop_map(Request::DeleteRange),
        range().prop_map(Request::Range),
    ];
    let branch = |operation: BoxedStrategy<Request>| {
        prop::collection::vec(operation.prop_map(|request| RequestOp { request: Some(request) }), 0..4)
    };
    let of = move |operation: BoxedStrategy<Request>| {
        (prop::collection::vec(comparison(), 0..2), branch(operation.clone()), branch(operation))
            .prop_map(|(compare, success, failure)| TxnRequest { compare, success, failure })
    };
    let flat = of(leaf.clone().boxed());
    let nested = prop_oneof![6 => leaf, 1 => flat.prop_map(Request::Txn)];
    of(nested.boxed())
}

pub(crate) fn command() -> impl Strategy<Value = Command> {
    let operation = prop_oneof![
        8 => put().prop_map(Operation::Put),
        4 => delete().prop_map(Operation::DeleteRange),
        6 => txn().prop_map(Operation::Txn),
        2 => (0_i64..4, 0_i64..90).prop_map(|(id, ttl)| Operation::LeaseGrant(LeaseGrantRequest { id, ttl })),
        1 => (1_i64..4).prop_map(|id| Operation::LeaseRevoke(LeaseRevokeRequest { id })),
        1 => (0_i64..40).prop_map(|revision| Operation::Compact(CompactRequest { revision })),
    ];
    let request_id = prop_oneof![2 => Just(Vec::new()), 1 => (0_u8..6).prop_map(|id| vec![id; 16])];
    (operation, request_id, prop_oneof![9 => Just(0_u64), 1 => 1_u64..4], any::<bool>()).prop_map(
        |(operation, request_id, only_in_term, users_only)| Command {
            request_id: request_id.into(),
            only_in_term,
            proposed_at_ms: 1_700_000_000_000,
            operation: Some(operation),
            users_only,
        },
    )
}

pub(crate) fn commands() -> impl Strategy<Value = Vec<Command>> {
    prop::collection::vec(command(), 0..60)
}
