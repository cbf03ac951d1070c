//! What `kv.js` calls. Keys are text; values are text, or bytes in hexadecimal.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use deno_core::{OpState, op2};
use serde::Deserialize;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{Kv, KvCompare, KvEntry, KvEvent, KvOp, KvOpResult, KvOperator, KvPut, KvSelect, KvTarget, KvTxn};
use crate::engine::{OpError, Shared, SharedWatch};
use crate::{HostError, Json};

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Value {
    Text(String),
    Hex(String),
}

impl Value {
    fn bytes(self) -> Result<Vec<u8>, HostError> {
        match self {
            Self::Text(text) => Ok(text.into_bytes()),
            Self::Hex(hex) => hex::decode(hex).map_err(|error| HostError::invalid(error.to_string())),
        }
    }
}

#[derive(Deserialize)]
struct Select {
    key: String,
    prefix: bool,
    limit: u32,
    #[serde(default)]
    start_revision: i64,
}

impl From<Select> for KvSelect {
    fn from(Select { key, prefix, limit, .. }: Select) -> Self {
        Self { key: key.into_bytes(), prefix, limit }
    }
}

#[derive(Deserialize)]
struct Put {
    key: String,
    value: Value,
    lease: i64,
}

impl TryFrom<Put> for KvPut {
    type Error = HostError;

    fn try_from(Put { key, value, lease }: Put) -> Result<Self, HostError> {
        Ok(Self { key: key.into_bytes(), value: value.bytes()?, lease })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Step {
    Get(Select),
    Put(Put),
    Delete(Select),
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Target {
    Value(Value),
    Version(i64),
    CreateRevision(i64),
    ModRevision(i64),
}

#[derive(Deserialize)]
struct Compare {
    key: String,
    op: String,
    target: Target,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Request {
    Get(Select),
    Put(Put),
    Delete(Select),
    Txn { compare: Vec<Compare>, success: Vec<Step>, failure: Vec<Step> },
}

fn compare(Compare { key, op, target }: Compare) -> Result<KvCompare, HostError> {
    let operator = match op.as_str() {
        "=" => KvOperator::Equal,
        "!=" => KvOperator::NotEqual,
        ">" => KvOperator::Greater,
        "<" => KvOperator::Less,
        other => return Err(HostError::invalid(format!("unknown comparison `{other}`: expected =, !=, > or <"))),
    };
    let target = match target {
        Target::Value(value) => KvTarget::Value(value.bytes()?),
        Target::Version(number) => KvTarget::Version(number),
        Target::CreateRevision(number) => KvTarget::CreateRevision(number),
        Target::ModRevision(number) => KvTarget::ModRevision(number),
    };
    Ok(KvCompare { key: key.into_bytes(), operator, target })
}

fn step(step: Step) -> Result<KvOp, HostError> {
    Ok(match step {
        Step::Get(select) => KvOp::Get(select.into()),
        Step::Put(put) => KvOp::Put(put.try_into()?),
        Step::Delete(select) => KvOp::Delete(select.into()),
    })
}

fn entry(entry: KvEntry) -> Json {
    let value = match String::from_utf8(entry.value) {
        Ok(text) => json!({ "text": text }),
        Err(bytes) => json!({ "hex": hex::encode(bytes.as_bytes()) }),
    };
    json!({
        "key": String::from_utf8_lossy(&entry.key),
        "value": value,
        "create_revision": entry.create_revision,
        "mod_revision": entry.mod_revision,
        "version": entry.version,
        "lease": entry.lease,
    })
}

fn event(change: KvEvent) -> Json {
    match change {
        KvEvent::Put(put) => {
            let mut json = entry(put);
            json["type"] = "put".into();
            json
        }
        KvEvent::Delete { key, mod_revision } => {
            json!({ "type": "delete", "key": String::from_utf8_lossy(&key), "mod_revision": mod_revision })
        }
    }
}

async fn run(kv: &dyn Kv, request: Request) -> Result<Json, HostError> {
    Ok(match request {
        Request::Get(select) => kv.get(select.into()).await?.into_iter().map(entry).collect(),
        Request::Put(put) => json!({ "revision": kv.put(put.try_into()?).await? }),
        Request::Delete(select) => {
            let done = kv.delete(select.into()).await?;
            json!({ "revision": done.revision, "deleted": done.deleted })
        }
        Request::Txn { compare: comparisons, success, failure } => {
            let txn = KvTxn {
                compare: comparisons.into_iter().map(compare).collect::<Result<_, _>>()?,
                success: success.into_iter().map(step).collect::<Result<_, _>>()?,
                failure: failure.into_iter().map(step).collect::<Result<_, _>>()?,
            };
            let done = kv.txn(txn).await?;
            let responses = done.responses.into_iter().map(|response| match response {
                KvOpResult::Get(entries) => json!({ "get": entries.into_iter().map(entry).collect::<Json>() }),
                KvOpResult::Put => json!({ "put": true }),
                KvOpResult::Delete(deleted) => json!({ "delete": deleted }),
            });
            json!({
                "succeeded": done.succeeded,
                "revision": done.revision,
                "responses": responses.collect::<Json>(),
            })
        }
    })
}

fn parts(state: &RefCell<OpState>) -> Result<(Rc<Shared>, Arc<dyn Kv>), HostError> {
    let shared = state.borrow().borrow::<Rc<Shared>>().clone();
    let kv = shared.options.hosts.kv.clone().ok_or_else(|| HostError::unsupported("`kv` is not available here"))?;
    Ok((shared, kv))
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, HostError> {
    serde_json::from_str(text).map_err(|error| HostError::invalid(error.to_string()))
}

/// One operation: JSON in, JSON out.
#[op2]
#[string]
pub(crate) async fn op_kv(
    state: Rc<RefCell<OpState>>,
    #[smi] call: u32,
    #[string] request: String,
) -> Result<String, OpError> {
    let (shared, kv) = parts(&state)?;
    let request: Request = parse(&request)?;
    let result = shared.host(call, async move { run(&*kv, request).await }).await?;
    Ok(result.to_string())
}

/// Starts a watch; returns its number.
#[op2]
#[smi]
pub(crate) async fn op_kv_watch(
    state: Rc<RefCell<OpState>>,
    #[smi] call: u32,
    #[string] request: String,
) -> Result<u32, OpError> {
    let (shared, kv) = parts(&state)?;
    let select: Select = parse(&request)?;
    let start_revision = select.start_revision;
    if start_revision < 0 {
        let message =
            format!("`start_revision` must be a revision, or 0 for changes from now on, not {start_revision}");
        return Err(HostError::invalid(message).into());
    }
    let watch = shared.host(call, async move { kv.watch(select.into(), start_revision).await }).await?;
    let watch = SharedWatch { watch: Arc::new(tokio::sync::Mutex::new(watch)), closed: CancellationToken::new() };
    Ok(shared.watches.borrow_mut().add(call, watch)?)
}

/// The next change as JSON; empty when the watch has ended, even while this waits.
#[op2]
#[string]
pub(crate) async fn op_kv_watch_next(
    state: Rc<RefCell<OpState>>,
    #[smi] call: u32,
    #[smi] watch: u32,
) -> Result<String, OpError> {
    let shared = state.borrow().borrow::<Rc<Shared>>().clone();
    let Some(watch) = shared.watches.borrow().get(watch).cloned() else { return Ok(String::new()) };
    let SharedWatch { watch, closed } = watch;
    let change = shared.host(call, async move {
        tokio::select! {
            biased;
            () = closed.cancelled() => Ok(None),
            change = async { watch.lock().await.next().await } => change,
        }
    });
    let change = change.await?;
    Ok(change.map(|change| event(change).to_string()).unwrap_or_default())
}

/// Ends a watch.
#[op2(fast)]
pub(crate) fn op_kv_watch_close(state: &mut OpState, #[smi] watch: u32) {
    let removed = state.borrow::<Rc<Shared>>().watches.borrow_mut().remove(watch);
    if let Some(watch) = removed {
        watch.closed.cancel();
    }
}
