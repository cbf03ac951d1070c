//! `cluster.kv` on a node.

use async_trait::async_trait;
use bytes::Bytes;
use disco_proto::v1::command::Operation;
use disco_proto::v1::compare::{Result as Comparison, Target};
use disco_proto::v1::request_op::Request as Op;
use disco_proto::v1::response_op::Response as Answer;
use disco_proto::v1::{
    CommandResponse, Compare, DeleteRangeRequest, KeyValue, PutRequest, RangeRequest, RequestOp, TxnRequest,
    command_response,
};
use disco_runtime_js::kv::{
    Kv, KvCompare, KvDeleted, KvEntry, KvOp, KvOpResult, KvOperator, KvPut, KvSelect, KvTarget, KvTxn, KvTxnResult,
    KvWatch,
};
use disco_runtime_js::{ErrorCode, HostError};
use disco_store::prefix_end;

use super::errors;
use super::watch::StoreWatch;
use crate::node::{Node, check_own_range};

/// The cluster's keys.
pub(super) struct NodeKv {
    node: Node,
}

// === impl NodeKv ===

impl NodeKv {
    pub(super) fn new(node: Node) -> Self {
        Self { node }
    }

    async fn write(&self, operation: Operation) -> Result<CommandResponse, HostError> {
        self.node.write(operation).await.map_err(errors::write)
    }
}

#[async_trait]
impl Kv for NodeKv {
    async fn get(&self, select: KvSelect) -> Result<Vec<KvEntry>, HostError> {
        let answer = self.node.read_when_led(&range(select)).await.map_err(errors::operation)?;
        Ok(answer.kvs.into_iter().map(entry).collect())
    }

    async fn put(&self, put: KvPut) -> Result<i64, HostError> {
        let put = put_request(put)?;
        Ok(self.write(Operation::Put(put)).await?.revision)
    }

    async fn delete(&self, select: KvSelect) -> Result<KvDeleted, HostError> {
        let delete = delete_request(select)?;
        let response = self.write(Operation::DeleteRange(delete)).await?;
        let deleted = match response.result {
            Some(command_response::Result::DeleteRange(answer)) => answer.deleted,
            _ => return Err(unexpected()),
        };
        Ok(KvDeleted { revision: response.revision, deleted })
    }

    async fn txn(&self, txn: KvTxn) -> Result<KvTxnResult, HostError> {
        let request = TxnRequest {
            compare: txn.compare.into_iter().map(compare).collect(),
            success: txn.success.into_iter().map(operation).collect::<Result<_, _>>()?,
            failure: txn.failure.into_iter().map(operation).collect::<Result<_, _>>()?,
        };
        let response = self.write(Operation::Txn(request)).await?;
        let Some(command_response::Result::Txn(answer)) = response.result else { return Err(unexpected()) };
        let responses = answer.responses.into_iter().map(|response| match response.response {
            Some(Answer::Range(range)) => Ok(KvOpResult::Get(range.kvs.into_iter().map(entry).collect())),
            Some(Answer::Put(_)) => Ok(KvOpResult::Put),
            Some(Answer::DeleteRange(delete)) => Ok(KvOpResult::Delete(delete.deleted)),
            Some(Answer::Txn(_)) | None => Err(unexpected()),
        });
        let responses = responses.collect::<Result<_, _>>()?;
        Ok(KvTxnResult { succeeded: answer.succeeded, revision: response.revision, responses })
    }

    async fn watch(&self, select: KvSelect, start_revision: i64) -> Result<Box<dyn KvWatch>, HostError> {
        let RangeRequest { key, range_end, .. } = range(select);
        Ok(Box::new(StoreWatch::new(self.node.raft().store().clone(), key, range_end, start_revision)?))
    }
}

fn unexpected() -> HostError {
    HostError::new("the store returned an unexpected kind of response")
}

fn range(select: KvSelect) -> RangeRequest {
    let range_end = range_end(&select);
    RangeRequest { key: select.key.into(), range_end, limit: i64::from(select.limit), ..RangeRequest::default() }
}

fn range_end(select: &KvSelect) -> Bytes {
    if select.prefix { prefix_end(&select.key).into() } else { Bytes::new() }
}

fn put_request(put: KvPut) -> Result<PutRequest, HostError> {
    guard(&put.key, &[])?;
    Ok(PutRequest { key: put.key.into(), value: put.value.into(), lease: put.lease, ..PutRequest::default() })
}

fn delete_request(select: KvSelect) -> Result<DeleteRangeRequest, HostError> {
    let range_end = range_end(&select);
    guard(&select.key, &range_end)?;
    if select.limit != 0 {
        return Err(HostError::invalid("`delete` does not support `limit`"));
    }
    Ok(DeleteRangeRequest { key: select.key.into(), range_end, ..DeleteRangeRequest::default() })
}

/// Refuses changes of Disco's own records.
fn guard(key: &[u8], range_end: &[u8]) -> Result<(), HostError> {
    check_own_range(key, range_end).map_err(|denied| HostError::from_error(&denied).with_code(ErrorCode::NotAllowed))
}

fn compare(compare: KvCompare) -> Compare {
    let result = match compare.operator {
        KvOperator::Equal => Comparison::Equal,
        KvOperator::NotEqual => Comparison::NotEqual,
        KvOperator::Greater => Comparison::Greater,
        KvOperator::Less => Comparison::Less,
    };
    let target = match compare.target {
        KvTarget::Value(value) => Target::Value(value.into()),
        KvTarget::Version(version) => Target::Version(version),
        KvTarget::CreateRevision(revision) => Target::CreateRevision(revision),
        KvTarget::ModRevision(revision) => Target::ModRevision(revision),
    };
    Compare { result: result.into(), key: compare.key.into(), target: Some(target), ..Compare::default() }
}

fn operation(operation: KvOp) -> Result<RequestOp, HostError> {
    let request = match operation {
        KvOp::Get(select) => Op::Range(range(select)),
        KvOp::Put(put) => Op::Put(put_request(put)?),
        KvOp::Delete(select) => Op::DeleteRange(delete_request(select)?),
    };
    Ok(RequestOp { request: Some(request) })
}

/// A key as scripts see it.
pub(super) fn entry(kv: KeyValue) -> KvEntry {
    KvEntry {
        key: kv.key.into(),
        value: kv.value.into(),
        create_revision: kv.create_revision,
        mod_revision: kv.mod_revision,
        version: kv.version,
        lease: kv.lease,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn select(key: &[u8]) -> KvSelect {
        KvSelect { key: key.to_vec(), prefix: false, limit: 0 }
    }

    #[test]
    fn own_records_are_not_written() {
        let all = |prefix: &[u8]| delete_request(KvSelect { prefix: true, ..select(prefix) });
        assert!(delete_request(select(b"/disco/nodes/1")).is_err());
        for prefix in [b"".as_slice(), b"/", b"/dis", b"/disco/", b"/disco/x"] {
            assert!(all(prefix).is_err(), "{prefix:?}");
        }
        for key in [b"/disco".as_slice(), b"/", b"", b"/discos/x"] {
            assert!(delete_request(select(key)).is_ok(), "{key:?}");
        }
        assert!(all(b"/discos/").is_ok());
    }
}
