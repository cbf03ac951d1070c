//! Checks that etcd makes before anything else, in etcd's order, from `server/etcdserver/api/v3rpc/key.go`.

use disco_proto::etcdserverpb::request_op::Request;
use disco_proto::etcdserverpb::{PutRequest, RangeRequest, RequestOp, TxnRequest, range_request};
use tonic::Status;

use super::errors;

/// As etcd's `--max-txn-ops`.
const MAX_OPERATIONS: usize = 128;
/// Deeper transactions are refused before they are examined: the store refuses them too.
const MAX_DEPTH: usize = 32;

pub(super) fn range(range: &RangeRequest) -> Result<(), Status> {
    if range.key.is_empty() {
        return Err(errors::empty_key());
    }
    let known = range_request::SortOrder::try_from(range.sort_order).is_ok()
        && range_request::SortTarget::try_from(range.sort_target).is_ok();
    if known { Ok(()) } else { Err(errors::invalid_sort()) }
}

pub(super) fn put(put: &PutRequest) -> Result<(), Status> {
    if put.key.is_empty() {
        return Err(errors::empty_key());
    }
    if put.ignore_value && !put.value.is_empty() {
        return Err(errors::value_provided());
    }
    if put.ignore_lease && put.lease != 0 {
        return Err(errors::lease_provided());
    }
    Ok(())
}

pub(super) fn txn(txn: &TxnRequest) -> Result<(), Status> {
    check_txn(txn, MAX_OPERATIONS, MAX_DEPTH)
}

fn check_txn(txn: &TxnRequest, operations: usize, depth: usize) -> Result<(), Status> {
    let count = txn.compare.len().max(txn.success.len()).max(txn.failure.len());
    if count > operations || depth == 0 {
        return Err(errors::too_many_operations());
    }
    if txn.compare.iter().any(|compare| compare.key.is_empty()) {
        return Err(errors::empty_key());
    }
    for RequestOp { request } in txn.success.iter().chain(&txn.failure) {
        match request {
            Some(Request::RequestRange(request)) => range(request)?,
            Some(Request::RequestPut(request)) => put(request)?,
            Some(Request::RequestDeleteRange(delete)) if delete.key.is_empty() => return Err(errors::empty_key()),
            Some(Request::RequestDeleteRange(_)) => {}
            Some(Request::RequestTxn(inner)) => check_txn(inner, operations - count, depth - 1)?,
            // The same error as etcd.
            None => return Err(errors::key_not_found()),
        }
    }
    Ok(())
}

/// Whether the transaction only reads, and so needs no log entry.
pub(super) fn is_read_only(txn: &TxnRequest) -> bool {
    ranges(txn).all(|range| range.is_some())
}

/// Whether such a transaction may be answered from what this node has applied. A transaction that only compares has no
/// field to request that, so it is linearizable (in etcd it is not).
pub(super) fn is_serializable(txn: &TxnRequest) -> bool {
    let any = !(txn.success.is_empty() && txn.failure.is_empty());
    any && ranges(txn).all(|range| range.is_some_and(|range| range.serializable))
}

fn ranges(txn: &TxnRequest) -> impl Iterator<Item = Option<&RangeRequest>> {
    txn.success.iter().chain(&txn.failure).map(|operation| match &operation.request {
        Some(Request::RequestRange(range)) => Some(range),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use disco_proto::etcdserverpb::{Compare, DeleteRangeRequest};

    use super::*;

    fn of(requests: Vec<Request>) -> TxnRequest {
        let success = requests.into_iter().map(|request| RequestOp { request: Some(request) }).collect();
        TxnRequest { success, ..TxnRequest::default() }
    }

    fn a_put() -> Request {
        Request::RequestPut(PutRequest { key: "a".into(), ..PutRequest::default() })
    }

    #[test]
    fn operations_are_counted_as_etcd_does() {
        assert!(txn(&of(vec![a_put(); 128])).is_ok());
        assert_eq!(txn(&of(vec![a_put(); 129])).unwrap_err().message(), errors::too_many_operations().message());
        let nested = of(vec![a_put(); 64]);
        let mut outer = vec![a_put(); 63];
        outer.push(Request::RequestTxn(nested));
        assert!(txn(&of(outer.clone())).is_ok());
        outer.push(a_put());
        assert!(txn(&of(outer)).is_err(), "65 of its own leave 63 for those within");
        let deep = (0..40).fold(of(vec![]), |inner, _| of(vec![Request::RequestTxn(inner)]));
        assert!(txn(&deep).is_err());
    }

    #[test]
    fn each_error_has_its_own_text() {
        let words = |request: Request| txn(&of(vec![request])).unwrap_err().message().to_owned();
        assert_eq!(words(Request::RequestPut(PutRequest::default())), "etcdserver: key is not provided");
        assert_eq!(
            words(Request::RequestDeleteRange(DeleteRangeRequest::default())),
            "etcdserver: key is not provided"
        );
        let put = PutRequest { key: "a".into(), value: "v".into(), ignore_value: true, ..PutRequest::default() };
        assert_eq!(words(Request::RequestPut(put)), "etcdserver: value is provided");
        let put = PutRequest { key: "a".into(), lease: 1, ignore_lease: true, ..PutRequest::default() };
        assert_eq!(words(Request::RequestPut(put)), "etcdserver: lease is provided");
        let range = RangeRequest { key: "a".into(), sort_order: 7, ..RangeRequest::default() };
        assert_eq!(words(Request::RequestRange(range)), "etcdserver: invalid sort option");
        let empty = TxnRequest { failure: vec![RequestOp::default()], ..TxnRequest::default() };
        assert_eq!(txn(&empty).unwrap_err().message(), "etcdserver: key not found");
        let compare = TxnRequest { compare: vec![Compare::default()], ..TxnRequest::default() };
        assert_eq!(txn(&compare).unwrap_err().message(), "etcdserver: key is not provided");
    }

    #[test]
    fn reads_are_distinguished_from_writes() {
        let range = |serializable| {
            Request::RequestRange(RangeRequest { key: "a".into(), serializable, ..RangeRequest::default() })
        };
        assert!(is_read_only(&of(vec![range(true), range(false)])) && !is_read_only(&of(vec![range(true), a_put()])));
        assert!(is_serializable(&of(vec![range(true)])) && !is_serializable(&of(vec![range(true), range(false)])));
        assert!(is_read_only(&of(vec![])) && !is_serializable(&of(vec![])));
        assert!(!is_read_only(&of(vec![Request::RequestTxn(of(vec![range(true)]))])), "etcd does not look into them");
    }
}
