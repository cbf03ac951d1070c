//! `cluster.kv`, over a small store in memory.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::support::*;
use async_trait::async_trait;
use disco_runtime_js::kv::*;
use disco_runtime_js::*;
use serde_json::json;
use tokio::sync::broadcast;

/// A revision that is no longer kept.
const COMPACTED: i64 = 5;

/// Puts, gets, deletes and compares as the real store does.
struct Store {
    state: Mutex<(i64, BTreeMap<Vec<u8>, KvEntry>)>,
    changes: broadcast::Sender<KvEvent>,
    watches: Arc<Mutex<usize>>,
}

impl Store {
    fn new() -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), changes: broadcast::Sender::new(16), watches: Arc::default() })
    }

    fn selected(entries: &BTreeMap<Vec<u8>, KvEntry>, select: &KvSelect) -> Vec<KvEntry> {
        let matches = |key: &[u8]| if select.prefix { key.starts_with(&select.key) } else { key == select.key };
        let limit = if select.limit == 0 { usize::MAX } else { select.limit as usize };
        entries.values().filter(|entry| matches(&entry.key)).take(limit).cloned().collect()
    }
}

#[async_trait]
impl Kv for Store {
    async fn get(&self, select: KvSelect) -> Result<Vec<KvEntry>, HostError> {
        Ok(Self::selected(&self.state.lock().unwrap().1, &select))
    }

    async fn put(&self, put: KvPut) -> Result<i64, HostError> {
        let mut state = self.state.lock().unwrap();
        state.0 += 1;
        let revision = state.0;
        let before = state.1.get(&put.key);
        let entry = KvEntry {
            create_revision: before.map_or(revision, |entry| entry.create_revision),
            version: before.map_or(1, |entry| entry.version + 1),
            mod_revision: revision,
            key: put.key.clone(),
            value: put.value,
            lease: put.lease,
        };
        state.1.insert(put.key, entry.clone());
        let _ = self.changes.send(KvEvent::Put(entry));
        Ok(revision)
    }

    async fn delete(&self, select: KvSelect) -> Result<KvDeleted, HostError> {
        let mut state = self.state.lock().unwrap();
        state.0 += 1;
        let gone = Self::selected(&state.1, &select);
        for entry in &gone {
            state.1.remove(&entry.key);
            let _ = self.changes.send(KvEvent::Delete { key: entry.key.clone(), mod_revision: state.0 });
        }
        Ok(KvDeleted { revision: state.0, deleted: gone.len() as i64 })
    }

    async fn txn(&self, txn: KvTxn) -> Result<KvTxnResult, HostError> {
        let holds = |compare: &KvCompare| {
            let state = self.state.lock().unwrap();
            let entry = state.1.get(&compare.key);
            let order = match &compare.target {
                KvTarget::Value(value) => entry.map(|entry| entry.value.cmp(value)),
                KvTarget::Version(number) => Some(entry.map_or(0, |entry| entry.version).cmp(number)),
                KvTarget::CreateRevision(number) => Some(entry.map_or(0, |entry| entry.create_revision).cmp(number)),
                KvTarget::ModRevision(number) => Some(entry.map_or(0, |entry| entry.mod_revision).cmp(number)),
            };
            order.is_some_and(|order| match compare.operator {
                KvOperator::Equal => order.is_eq(),
                KvOperator::NotEqual => order.is_ne(),
                KvOperator::Greater => order.is_gt(),
                KvOperator::Less => order.is_lt(),
            })
        };
        let succeeded = txn.compare.iter().all(holds);
        let mut responses = Vec::new();
        for op in if succeeded { txn.success } else { txn.failure } {
            responses.push(match op {
                KvOp::Get(select) => KvOpResult::Get(self.get(select).await?),
                KvOp::Put(put) => self.put(put).await.map(|_| KvOpResult::Put)?,
                KvOp::Delete(select) => KvOpResult::Delete(self.delete(select).await?.deleted),
            });
        }
        Ok(KvTxnResult { succeeded, revision: self.state.lock().unwrap().0, responses })
    }

    async fn watch(&self, select: KvSelect, start_revision: i64) -> Result<Box<dyn KvWatch>, HostError> {
        if start_revision == COMPACTED {
            return Err(HostError::new("compacted").with_code(ErrorCode::Compacted));
        }
        *self.watches.lock().unwrap() += 1;
        Ok(Box::new(Watch { changes: self.changes.subscribe(), select, open: self.watches.clone() }))
    }
}

struct Watch {
    changes: broadcast::Receiver<KvEvent>,
    select: KvSelect,
    open: Arc<Mutex<usize>>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        *self.open.lock().unwrap() -= 1;
    }
}

#[async_trait]
impl KvWatch for Watch {
    async fn next(&mut self) -> Result<Option<KvEvent>, HostError> {
        loop {
            let Ok(change) = self.changes.recv().await else { return Ok(None) };
            let key = match &change {
                KvEvent::Put(entry) => &entry.key,
                KvEvent::Delete { key, .. } => key,
            };
            if key == b"end" {
                return Ok(None);
            }
            if key.starts_with(&self.select.key) {
                return Ok(Some(change));
            }
        }
    }
}

fn bench_with_store() -> (Bench, Arc<Store>) {
    let store = Store::new();
    let kv = store.clone();
    (bench_with(|options| options.hosts.kv = Some(kv)), store)
}

const HEAD: &str = "const { kv } = new Cluster({ name: 'c' });\n";

#[tokio::test]
async fn put_get_list_delete() {
    let (bench, _) = bench_with_store();
    let result = bench
        .eval(&format!(
            "{HEAD} return [
              await kv.get('a'), await kv.put('a', 'ä'), await kv.put('a', '2', {{ lease: 7 }}), await kv.put('b/1', new Uint8Array([0, 255])),
              await kv.put('b/2', 'x'), await kv.get('a'), [...(await kv.get('b/1')).value], (await kv.list('b/')).map((entry) => entry.key),
              (await kv.list('b/', {{ limit: 1 }})).length, await kv.delete('b/', {{ prefix: true }}), await kv.list('b/'), await kv.delete('absent'),
            ];"
        ))
        .await
        .unwrap();
    let entry = json!({ "key": "a", "value": "2", "create_revision": 1, "mod_revision": 2, "version": 2, "lease": 7 });
    let expected = json!([
        null, { "revision": 1 }, { "revision": 2 }, { "revision": 3 }, { "revision": 4 }, entry, [0, 255], ["b/1", "b/2"],
        1, { "revision": 5, "deleted": 2 }, [], { "revision": 6, "deleted": 0 }
    ]);
    assert_eq!(result, expected);
}

#[tokio::test]
async fn transactions() {
    let (bench, _) = bench_with_store();
    let result = bench
        .eval(&format!(
            "{HEAD}
            const claim = (who) => kv.txn({{
              if: [{{ key: 'lock', create_revision: 0 }}],
              then: [{{ put: 'lock', value: who }}, {{ get: 'lock' }}],
              else: [{{ get: 'lock' }}, {{ delete: 'x' }}],
            }});
            const first = await claim('me'), second = await claim('you');
            const third = await kv.txn({{ if: [{{ key: 'lock', value: 'me' }}, {{ key: 'lock', version: 5, op: '<' }}] }});
            return [first.succeeded, first.responses[1].get[0].value, second.succeeded, second.responses[0].get[0].value, second.responses[1], third.succeeded];"
        ))
        .await
        .unwrap();
    assert_eq!(result, json!([true, "me", false, "me", { "delete": 0 }, true]));
}

#[tokio::test]
async fn watches_are_async_iterators() {
    let (bench, store) = bench_with_store();
    bench
        .load(&format!(
            "{HEAD}
            export async function watch() {{
              for await (const event of kv.watch('w/', {{ prefix: true }})) {{
                console.log(event.type, event.key, event.value, event.mod_revision);
                if (event.value === 'stop') break;
              }}
              return 'stopped';
            }}
            export async function put(key, value) {{ await kv.put(key, value); }}
            export async function remove(key) {{ await kv.delete(key); }}
            export async function bad() {{ for await (const _ of kv.watch('w', {{ start_revision: 5 }})); }}"
        ))
        .await;
    let call = |hook: &str, args: &[&str]| {
        let (engine, hook) = (bench.engine.clone(), hook.to_owned());
        let args = args.iter().map(|arg| Arg::Json(json!(arg))).collect();
        async move { engine.call(&hook, args, limited()).await }
    };
    let wait_open = async |wanted: usize| {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while *store.watches.lock().unwrap() != wanted {
            assert!(std::time::Instant::now() < deadline, "the watch is not {wanted}");
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    };
    for end in ["stop", "end"] {
        let watch = tokio::spawn(call("watch", &[]));
        wait_open(1).await;
        call("put", &["other", "x"]).await.unwrap();
        call("put", &["w/a", "1"]).await.unwrap();
        call("remove", &["w/a"]).await.unwrap();
        if end == "stop" {
            call("put", &["w/a", "stop"]).await.unwrap();
        } else {
            call("put", &["end", ""]).await.unwrap();
        }
        assert_eq!(watch.await.unwrap().unwrap(), Some(json!("stopped")));
        wait_open(0).await;
    }
    assert_eq!(bench.console.all()[..3], ["put w/a 1 2", "delete w/a undefined 3", "put w/a stop 4"]);

    // One that is given up lets go of its watch when the isolate of its call ends what it waits for.
    let watch = tokio::spawn(call("watch", &[]));
    wait_open(1).await;
    watch.abort();
    let error = call("bad", &[]).await.unwrap_err();
    assert_eq!(error.code.as_deref(), Some("COMPACTED"));
}

#[tokio::test]
async fn a_watch_begins_when_it_is_made_and_ends_while_it_waits() {
    let (bench, store) = bench_with_store();
    let result = bench
        .eval(&format!(
            "{HEAD}
            const seen = kv.watch('seen');
            await kv.put('seen', '1');
            const first = (await seen.next()).value.value;
            const idle = kv.watch('never'), waiting = [idle.next(), idle.next()];
            const ended = await Promise.all([...waiting, idle.return(), idle.next()]);
            const controller = new AbortController(), stopped = kv.watch('never', {{ signal: controller.signal }});
            const next = stopped.next().then(() => 'none', (error) => error);
            controller.abort('enough');
            const late = await kv.watch('never', {{ signal: AbortSignal.abort('before') }}).next().catch((error) => error);
            const unread = kv.watch('never');
            await unread.return();
            await seen.return();
            return [first, ended.map((one) => one.done), await next, await stopped.next().catch((error) => error), late];"
        ))
        .await
        .unwrap();
    assert_eq!(result, json!(["1", [true, true, true, true], "enough", "enough", "before"]));
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while *store.watches.lock().unwrap() != 0 {
        assert!(std::time::Instant::now() < deadline, "{} watches are left open", store.watches.lock().unwrap());
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn wrong_arguments() {
    let (bench, _) = bench_with_store();
    for (code, message) in [
        ("kv.get('')", "key must be a non-empty string"),
        ("kv.get(5)", "key must be a non-empty string"),
        ("kv.put('a', { b: 1 })", "value must be a string or a Uint8Array: use JSON.stringify for anything else"),
        (
            "kv.txn({ if: [{ key: 'a' }] })",
            "a comparison needs a key and one of value, version, create_revision, mod_revision",
        ),
        ("kv.txn({ if: [{ key: 'a', version: 1, op: '~' }] })", "`op` must be one of = != > <"),
        (
            "kv.watch('a', { start_revision: -1 }).next()",
            "`start_revision` must be a revision, or 0 for changes from now on, not -1",
        ),
        (
            "kv.watch('a', { start_revision: 1.5 }).next()",
            "`start_revision` must be a revision, or 0 for changes from now on, not 1.5",
        ),
        ("kv.txn({ then: [{ pot: 'a' }] })", "a step must be { get: key }, { put: key, value } or { delete: key }"),
    ] {
        let error = bench.eval(&format!("{HEAD} await {code};")).await.unwrap_err();
        assert_eq!(error.message, format!("TypeError: {message}"), "{code}");
    }
}

#[tokio::test]
async fn large_bytes_take_little_memory() {
    let store = Store::new();
    let kv = store.clone();
    let bench = bench_with(|options| {
        options.hosts.kv = Some(kv);
        options.limits.heap_bytes = 16 << 20;
    });
    let result = bench
        .eval(&format!(
            "{HEAD} await kv.put('bytes', new Uint8Array(700_000).fill(255));
            const {{ value }} = await kv.get('bytes');
            return [value.length, value.every((byte) => byte === 255)];"
        ))
        .await
        .unwrap();
    assert_eq!(result, json!([700_000, true]));
}

#[tokio::test]
async fn options_that_are_not_known_are_refused() {
    let (bench, _) = bench_with_store();
    for code in [
        "kv.get('a', { limit: 1 })",
        "kv.list('a', { prefix: true })",
        "kv.put('a', 'b', { ttl: 5 })",
        "kv.delete('a', { limit: 1 })",
        "kv.watch('a', { form: 1 })",
        "kv.txn({ then: [], esle: [] })",
        "kv.txn({ then: [{ delete: 'a', limit: 1 }] })",
        "kv.put('a', 'b', 'c')",
    ] {
        let error = bench.eval(&format!("{HEAD} await {code};")).await.unwrap_err();
        assert_eq!(error.code.as_deref(), Some("INVALID"), "{code}: {error}");
    }
}
