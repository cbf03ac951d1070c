use std::sync::Arc;

use async_trait::async_trait;
use disco_proto::v1::{
    Compare, DeleteRangeRequest, KeyValue, PutRequest, RangeRequest, RequestOp, ResponseOp, TxnRequest, command,
    command_response, compare, request_op, response_op,
};
use disco_runtime_js::{
    HostError,
    kv::{
        Kv, KvCompare, KvDeleted, KvEntry, KvOp, KvOpResult, KvOperator, KvPut, KvSelect, KvTarget, KvTxn, KvTxnResult,
        KvWatch,
    },
};

use super::{cluster::ClientHost, failures::Failures, keys_watch::ClientWatch};
use crate::{
    client::Client,
    error::{Failure, Outcome},
};

/// `cluster.kv` over gRPC. That of a plan is [`PlannedKeys`](super::planned::PlannedKeys).
pub(super) struct ClientKeys {
    host: Arc<ClientHost>,
    failures: Failures,
}

impl ClientKeys {
    pub(super) fn new(host: Arc<ClientHost>, failures: Failures) -> Self {
        Self { host, failures }
    }

    fn client(&self) -> Result<Client, HostError> {
        self.for_script(self.host.founder().and_then(|founder| founder.existing()))
    }

    fn for_script<T>(&self, outcome: Outcome<T>) -> Result<T, HostError> {
        outcome.map_err(|failure| self.failures.for_script(failure))
    }

    async fn propose(&self, operation: command::Operation) -> Result<(i64, command_response::Result), HostError> {
        self.host.begin();
        let response = self.for_script(self.client()?.propose(operation).await)?;
        let result = response.result.ok_or_else(|| Failure::failed("unexpected response: no result"));
        Ok((response.revision, self.for_script(result)?))
    }
}

#[async_trait]
impl Kv for ClientKeys {
    async fn get(&self, select: KvSelect) -> Result<Vec<KvEntry>, HostError> {
        let answer = self.for_script(self.client()?.range(range(select), false).await)?;
        Ok(answer.kvs.into_iter().map(entry).collect())
    }

    async fn put(&self, put: KvPut) -> Result<i64, HostError> {
        Ok(self.propose(command::Operation::Put(put_request(put))).await?.0)
    }

    async fn delete(&self, select: KvSelect) -> Result<KvDeleted, HostError> {
        let (revision, result) = self.propose(command::Operation::DeleteRange(delete(select))).await?;
        let deleted = match result {
            command_response::Result::DeleteRange(answer) => answer.deleted,
            _ => 0,
        };
        Ok(KvDeleted { revision, deleted })
    }

    async fn txn(&self, txn: KvTxn) -> Result<KvTxnResult, HostError> {
        let request = TxnRequest {
            compare: txn.compare.into_iter().map(comparison).collect(),
            success: txn.success.into_iter().map(step).collect(),
            failure: txn.failure.into_iter().map(step).collect(),
        };
        let (revision, result) = self.propose(command::Operation::Txn(request)).await?;
        match result {
            command_response::Result::Txn(answer) => Ok(KvTxnResult {
                succeeded: answer.succeeded,
                revision,
                responses: answer.responses.into_iter().map(step_result).collect(),
            }),
            _ => self.for_script(Err(Failure::failed("unexpected response: expected the result of a transaction"))),
        }
    }

    async fn watch(&self, select: KvSelect, start_revision: i64) -> Result<Box<dyn KvWatch>, HostError> {
        let watch = ClientWatch::start(self.client()?, select, start_revision, self.failures.clone());
        Ok(Box::new(self.for_script(watch.await)?))
    }
}

pub(super) fn range_end(select: &KvSelect) -> Vec<u8> {
    if select.prefix { disco_store::prefix_end(&select.key) } else { Vec::new() }
}

/// Keys are never empty: "all keys" start at the smallest one.
pub(super) fn first_key(select: &KvSelect) -> Vec<u8> {
    if select.prefix && select.key.is_empty() { vec![0] } else { select.key.clone() }
}

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

fn range(select: KvSelect) -> RangeRequest {
    RangeRequest {
        range_end: range_end(&select).into(),
        key: first_key(&select).into(),
        limit: select.limit.into(),
        ..RangeRequest::default()
    }
}

fn put_request(put: KvPut) -> PutRequest {
    PutRequest { key: put.key.into(), value: put.value.into(), lease: put.lease, ..PutRequest::default() }
}

fn delete(select: KvSelect) -> DeleteRangeRequest {
    DeleteRangeRequest { range_end: range_end(&select).into(), key: first_key(&select).into(), prev_kv: false }
}

fn comparison(one: KvCompare) -> Compare {
    let result = match one.operator {
        KvOperator::Equal => compare::Result::Equal,
        KvOperator::NotEqual => compare::Result::NotEqual,
        KvOperator::Greater => compare::Result::Greater,
        KvOperator::Less => compare::Result::Less,
    };
    let target = match one.target {
        KvTarget::Value(value) => compare::Target::Value(value.into()),
        KvTarget::Version(version) => compare::Target::Version(version),
        KvTarget::CreateRevision(revision) => compare::Target::CreateRevision(revision),
        KvTarget::ModRevision(revision) => compare::Target::ModRevision(revision),
    };
    Compare { result: result.into(), key: one.key.into(), target: Some(target), ..Compare::default() }
}

fn step(one: KvOp) -> RequestOp {
    let request = match one {
        KvOp::Get(select) => request_op::Request::Range(range(select)),
        KvOp::Put(put) => request_op::Request::Put(put_request(put)),
        KvOp::Delete(select) => request_op::Request::DeleteRange(delete(select)),
    };
    RequestOp { request: Some(request) }
}

fn step_result(one: ResponseOp) -> KvOpResult {
    match one.response {
        Some(response_op::Response::Range(answer)) => KvOpResult::Get(answer.kvs.into_iter().map(entry).collect()),
        Some(response_op::Response::DeleteRange(answer)) => KvOpResult::Delete(answer.deleted),
        _ => KvOpResult::Put,
    }
}
