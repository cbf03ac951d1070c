//! Conversion between etcd's messages and the store's, which mean the same. Only the frames around keys and values are
//! copied.

use disco_proto::etcdserverpb as etcd;
use disco_proto::v1;
use etcd::request_op::Request as EtcdRequest;
use etcd::response_op::Response as EtcdResponse;
use v1::compare::Target;
use v1::request_op::Request;
use v1::response_op::Response;

use super::header::inner;

pub(super) fn range(range: etcd::RangeRequest) -> v1::RangeRequest {
    v1::RangeRequest {
        key: range.key,
        range_end: range.range_end,
        limit: range.limit,
        revision: range.revision,
        // The numbers are the same.
        sort_order: range.sort_order,
        sort_target: range.sort_target,
        keys_only: range.keys_only,
        count_only: range.count_only,
        min_mod_revision: range.min_mod_revision,
        max_mod_revision: range.max_mod_revision,
        min_create_revision: range.min_create_revision,
        max_create_revision: range.max_create_revision,
    }
}

pub(super) fn put(put: etcd::PutRequest) -> v1::PutRequest {
    v1::PutRequest {
        key: put.key,
        value: put.value,
        lease: put.lease,
        prev_kv: put.prev_kv,
        ignore_value: put.ignore_value,
        ignore_lease: put.ignore_lease,
    }
}

pub(super) fn delete(delete: etcd::DeleteRangeRequest) -> v1::DeleteRangeRequest {
    v1::DeleteRangeRequest { key: delete.key, range_end: delete.range_end, prev_kv: delete.prev_kv }
}

/// The transaction was [checked](super::check::txn): no operation is empty.
pub(super) fn txn(txn: etcd::TxnRequest) -> v1::TxnRequest {
    let operations = |operations: Vec<etcd::RequestOp>| operations.into_iter().map(operation).collect();
    v1::TxnRequest {
        compare: txn.compare.into_iter().map(compare).collect(),
        success: operations(txn.success),
        failure: operations(txn.failure),
    }
}

fn operation(operation: etcd::RequestOp) -> v1::RequestOp {
    let request = operation.request.map(|request| match request {
        EtcdRequest::RequestRange(request) => Request::Range(range(request)),
        EtcdRequest::RequestPut(request) => Request::Put(put(request)),
        EtcdRequest::RequestDeleteRange(request) => Request::DeleteRange(delete(request)),
        EtcdRequest::RequestTxn(request) => Request::Txn(txn(request)),
    });
    v1::RequestOp { request }
}

/// `target` selects what is compared; a value that belongs to another target counts as absent, and so as 0 or empty.
fn compare(compare: etcd::Compare) -> v1::Compare {
    use etcd::compare::CompareTarget;
    use etcd::compare::TargetUnion;
    let union = compare.target_union;
    let target = match etcd::compare::CompareTarget::try_from(compare.target) {
        Ok(CompareTarget::Version) => Some(Target::Version(match union {
            Some(TargetUnion::Version(version)) => version,
            _ => 0,
        })),
        Ok(CompareTarget::Create) => Some(Target::CreateRevision(match union {
            Some(TargetUnion::CreateRevision(revision)) => revision,
            _ => 0,
        })),
        Ok(CompareTarget::Mod) => Some(Target::ModRevision(match union {
            Some(TargetUnion::ModRevision(revision)) => revision,
            _ => 0,
        })),
        Ok(CompareTarget::Value) => Some(Target::Value(match union {
            Some(TargetUnion::Value(value)) => value,
            _ => bytes::Bytes::new(),
        })),
        Ok(CompareTarget::Lease) => Some(Target::Lease(match union {
            Some(TargetUnion::Lease(lease)) => lease,
            _ => 0,
        })),
        // The store refuses it.
        Err(_) => None,
    };
    v1::Compare { result: compare.result, key: compare.key, range_end: compare.range_end, target }
}

/// Has the header of an answer within another; a caller that sends it alone sets its own header.
pub(super) fn range_response(response: v1::RangeResponse) -> etcd::RangeResponse {
    let v1::RangeResponse { revision, kvs, more, count } = response;
    etcd::RangeResponse { header: inner(revision), kvs, more, count }
}

pub(super) fn put_response(response: v1::PutResponse) -> etcd::PutResponse {
    etcd::PutResponse { header: inner(response.revision), prev_kv: response.prev_kv }
}

pub(super) fn delete_response(response: v1::DeleteRangeResponse) -> etcd::DeleteRangeResponse {
    let v1::DeleteRangeResponse { revision, deleted, prev_kvs } = response;
    etcd::DeleteRangeResponse { header: inner(revision), deleted, prev_kvs }
}

pub(super) fn txn_response(response: v1::TxnResponse) -> etcd::TxnResponse {
    let responses = response.responses.into_iter().map(|one| etcd::ResponseOp {
        response: one.response.map(|response| match response {
            Response::Range(response) => EtcdResponse::ResponseRange(range_response(response)),
            Response::Put(response) => EtcdResponse::ResponsePut(put_response(response)),
            Response::DeleteRange(response) => EtcdResponse::ResponseDeleteRange(delete_response(response)),
            Response::Txn(response) => EtcdResponse::ResponseTxn(txn_response(response)),
        }),
    });
    etcd::TxnResponse {
        header: inner(response.revision),
        succeeded: response.succeeded,
        responses: responses.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comparison_takes_what_belongs_to_its_target() {
        let etcd_compare = |target, union| etcd::Compare {
            target,
            target_union: Some(union),
            result: 3,
            key: "a".into(),
            range_end: "b".into(),
        };
        use etcd::compare::TargetUnion;
        for (number, union, target) in [
            (0, TargetUnion::Version(5), Target::Version(5)),
            (1, TargetUnion::CreateRevision(5), Target::CreateRevision(5)),
            (2, TargetUnion::ModRevision(5), Target::ModRevision(5)),
            (3, TargetUnion::Value("v".into()), Target::Value("v".into())),
            (4, TargetUnion::Lease(5), Target::Lease(5)),
            (2, TargetUnion::Version(5), Target::ModRevision(0)),
            (3, TargetUnion::Version(5), Target::Value(bytes::Bytes::new())),
        ] {
            let found = compare(etcd_compare(number, union));
            assert_eq!(found.target, Some(target));
            assert_eq!((found.result, &*found.key, &*found.range_end), (3, &b"a"[..], &b"b"[..]));
        }
        assert_eq!(compare(etcd_compare(9, TargetUnion::Version(5))).target, None);
        assert_eq!(
            compare(etcd::Compare { target: 0, target_union: None, ..Default::default() }).target,
            Some(Target::Version(0))
        );
    }
}
