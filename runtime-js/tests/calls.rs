//! Calls: arguments, results, concurrency, signals, time limits, capabilities.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use disco_runtime_js::*;
use serde_json::json;
use support::*;

#[tokio::test]
async fn a_function_returns_a_value() {
    let bench = bench();
    let value = bench.eval("return { a: [1, 'zwei', null, '日本'], b: 1.5 }").await.unwrap();
    assert_eq!(value, json!({ "a": [1, "zwei", null, "日本"], "b": 1.5 }));
    bench.load("export function nothing() {} export async function later() { return true }").await;
    assert_eq!(bench.call("nothing").await.unwrap(), None);
    assert_eq!(bench.call("later").await.unwrap(), Some(json!(true)));
}

#[tokio::test]
async fn arguments_are_objects_with_methods() {
    let bench = bench();
    let source = script(
        "export async function init() { return new Cluster({ name: 'c', provider: await LocalProvider.init({ name: 'p' }) }); }
        export async function hook(cluster, node, nodes, signal, data) {
          return [`${cluster}`, `${node}`, nodes.map(String), node instanceof Node, cluster instanceof Cluster,
            signal instanceof AbortSignal, signal.aborted, data, (await node.run('x')).stdout];
        }",
    );
    let loaded = bench.engine.load(source, with_init()).await.unwrap();
    assert_eq!(loaded.exports, ["hook", "init"]);
    let spec = loaded.cluster.unwrap();
    assert_eq!((spec.name.as_str(), spec.provider.unwrap().name.as_str()), ("c", "p"));
    let args = vec![
        Arg::Cluster,
        Arg::Node(node(3)),
        Arg::Nodes(vec![node(1), node(2)]),
        Arg::Signal,
        Arg::Json(json!({ "x": [1] })),
    ];
    let result = bench.engine.call("hook", args, limited()).await.unwrap().unwrap();
    let nodes = ["Node(1 web-1 10.0.0.1)", "Node(2 web-2 10.0.0.2)"];
    let expected =
        json!(["Cluster(c)", "Node(3 web-3 10.0.0.3)", nodes, true, true, true, false, { "x": [1] }, "out\n"]);
    assert_eq!(result, expected);
}

#[tokio::test]
async fn a_hook_that_waits_does_not_hold_up_others() {
    let bench = bench();
    bench
        .load(
            "let release;
        export async function leader() { await new Promise((resolve) => { release = resolve }); return 'led'; }
        export function health() { return true; }
        export function finish() { release(); }",
        )
        .await;
    let leader = tokio::spawn({
        let engine = bench.engine.clone();
        async move { engine.call("leader", vec![], limited()).await }
    });
    for _ in 0..100 {
        assert_eq!(bench.call("health").await.unwrap(), Some(json!(true)));
    }
    assert!(!leader.is_finished());
    bench.call("finish").await.unwrap();
    assert_eq!(leader.await.unwrap().unwrap(), Some(json!("led")));
}

#[tokio::test]
async fn many_calls_are_under_way_at_once() {
    let bench = bench();
    // None returns before all have begun.
    bench
        .load(
            "let begun = 0, open; const all = new Promise((resolve) => { open = resolve; });
            export async function wait(n) { if (++begun === 100) open(); await all; return n; }",
        )
        .await;
    let calls: Vec<_> = (0..100)
        .map(|n| {
            let engine = bench.engine.clone();
            tokio::spawn(async move { engine.call("wait", vec![Arg::Json(json!(n))], limited()).await })
        })
        .collect();
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.unwrap().unwrap(), Some(json!(n)));
    }
}

#[tokio::test]
async fn too_many_calls_are_refused() {
    let bench = bench();
    bench.load("export async function wait() { await delay(60000); } export function now() { return 1; }").await;
    let calls: Vec<_> = (0..256)
        .map(|_| {
            let engine = bench.engine.clone();
            // The call of `now` below may take the last place for a moment.
            tokio::spawn(async move {
                while let Err(error) = engine.call("wait", vec![], CallOptions::new()).await
                    && error.message.contains("was not called")
                {
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    let deadline = Instant::now() + Duration::from_secs(60);
    while bench.call("now").await.is_ok() {
        assert!(Instant::now() < deadline, "all calls are taken");
    }
    let error = bench.call("now").await.unwrap_err();
    assert_eq!(error.message, "`now` was not called: 256 calls are under way");
    // Those who give up make room.
    calls.iter().for_each(tokio::task::JoinHandle::abort);
    while bench.call("now").await.is_err() {
        assert!(Instant::now() < deadline, "no room is made");
    }
}

#[tokio::test]
async fn the_signal_of_a_hook_that_has_returned_still_aborts_and_ends_what_it_left_behind() {
    let bench = bench();
    let source = script(
        "export function init() { return new Cluster({ name: 'c' }); }
        export function leader(cluster, signal) {
          signal.addEventListener('abort', () => console.log(`aborted: ${signal.reason.message}`));
          setInterval(() => { ticks++; cluster.healthy().then(() => console.log('tick')); }, 20);
          return 'back';
        }
        let ticks = 0;
        export async function quiet() {
          const before = ticks;
          await delay(100);
          return ticks === before;
        }",
    );
    bench.engine.load(source, with_init()).await.unwrap();
    let abort = AbortHandle::new();
    let options = CallOptions::new().signal(abort.clone());
    let result = bench.engine.call("leader", vec![Arg::Cluster, Arg::Signal], options).await.unwrap();
    assert_eq!(result, Some(json!("back")));
    bench.console.wait_for("tick").await;
    abort.abort("leadership lost");
    bench.console.wait_for("aborted: leadership lost").await;
    let deadline = Instant::now() + Duration::from_secs(60);
    while bench.call("quiet").await.unwrap() != Some(json!(true)) {
        assert!(Instant::now() < deadline, "its interval goes on");
    }
}

#[tokio::test]
async fn an_abort_handle_aborts_the_signal() {
    let bench = bench();
    bench
        .load(
            "export async function leader(signal) {
          console.log('leading');
          await new Promise((resolve) => signal.addEventListener('abort', resolve));
          return [signal.aborted, signal.reason.name, signal.reason.message];
        }
        export async function waits(signal) {
          console.log('waiting');
          try { await delay(60000, { signal }); } catch (error) { return error.message; }
        }
        export function already(signal) { return signal.aborted; }",
        )
        .await;
    let abort = AbortHandle::new();
    for (hook, said, expected) in [
        ("leader", "leading", json!([true, "AbortError", "leadership lost"])),
        ("waits", "waiting", json!("leadership lost")),
    ] {
        let abort = AbortHandle::new();
        let call = tokio::spawn({
            let (engine, options) = (bench.engine.clone(), CallOptions::new().signal(abort.clone()));
            async move { engine.call(hook, vec![Arg::Signal], options).await }
        });
        bench.console.wait_for(said).await;
        abort.abort("leadership lost");
        abort.abort("a second reason does not count");
        assert_eq!(call.await.unwrap().unwrap(), Some(expected));
    }
    abort.abort("before");
    bench
        .engine
        .call("already", vec![Arg::Signal], CallOptions::new().signal(abort).timeout(Duration::from_secs(5)))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_time_limit_ends_a_call_and_refuses_what_it_still_does() {
    let bench = bench();
    bench.load(
        "export async function slow(signal) {
          signal.addEventListener('abort', () => console.log('told: ' + signal.reason.message));
          try { await delay(60000); } catch (error) { console.log(error.code + ' ' + error.message); }
          try { await new Cluster({ name: 'c' }).scale(9); } catch (error) { console.log(error.code + ' ' + error.message); }
          try { setTimeout(() => console.log('later'), 0); } catch (error) { console.log(error.code + ' ' + error.message); }
        }",
    )
    .await;
    let options = CallOptions::new().timeout(Duration::from_millis(50));
    let error = bench.engine.call("slow", vec![Arg::Signal], options).await.unwrap_err();
    assert_eq!(error.kind, ScriptErrorKind::Timeout);
    bench.console.wait_for("told: it took longer than 0.05 s").await;
    for what in ["delay", "scale", "setTimeout"] {
        bench.console.wait_for(&format!("CANCELLED `{what}` is refused: `slow` has ended")).await;
    }
    assert!(!bench.effects.all().iter().any(|line| line.starts_with("scale")));
}

#[tokio::test]
async fn a_host_operation_ends_with_its_call() {
    struct Guard(Record);
    impl Drop for Guard {
        fn drop(&mut self) {
            self.0.add("dropped");
        }
    }
    struct Slow(Record);
    #[async_trait::async_trait]
    impl ask::Prompt for Slow {
        async fn ask(&self, _: &str, _: Option<Json>) -> Result<Json, HostError> {
            let _guard = Guard(self.0.clone());
            self.0.add("asked");
            std::future::pending().await
        }
    }
    let record = Record::default();
    let bench = bench_with(|options| options.hosts.prompt = Some(Arc::new(Slow(record.clone()))));
    bench.load("export async function waits() { await ask('?'); }").await;
    let call = tokio::spawn({
        let engine = bench.engine.clone();
        async move { engine.call("waits", vec![], CallOptions::new()).await }
    });
    record.wait_for("asked").await;
    call.abort();
    record.wait_for("dropped").await;
}

#[tokio::test]
async fn a_call_may_do_only_what_it_is_allowed() {
    let bench = bench();
    let source = script(include_str!("scripts/capabilities.js"));
    bench.engine.load(source, with_init()).await.unwrap();
    let denied = async |capabilities: Capabilities| {
        let options = limited().capabilities(capabilities);
        bench.engine.call("all", vec![Arg::Node(node(1))], options).await.unwrap().unwrap()
    };
    assert_eq!(denied(Capabilities::ALL).await, json!([]));
    assert_eq!(denied(Capabilities::NONE).await.as_array().unwrap().len(), 7);
    assert_eq!(
        denied(Capabilities::HEALTH).await,
        json!([
            "`scale` is not allowed in `all`",
            "`kv.put` is not allowed in `all`",
            "`node.run` is not allowed in `all`",
            "`ask` is not allowed in `all`",
        ])
    );
    // What the call leaves behind is bound in the same way.
    let options = limited().capabilities(Capabilities::NONE);
    bench.engine.call("sneaky", vec![], options).await.unwrap();
    bench.console.wait_for("timer: NOT_ALLOWED").await;
    bench.console.wait_for("promise: NOT_ALLOWED").await;
    assert!(!bench.effects.all().iter().any(|line| line == "scale 7"));
}

#[tokio::test]
async fn each_call_writes_to_its_own_console() {
    let bench = bench();
    bench
        .load(
            "export async function say(text) {
          console.log(text + ' 1');
          await delay(20);
          console.log(text + ' 2');
          await new Promise((resolve) => setTimeout(() => { console.log(text + ' 3'); resolve(); }, 1));
          await Promise.all([1, 2].map(async () => { await null; console.log(text + ' 4'); }));
          await new Cluster({ name: 'c' }).healthy();
          console.log(text + ' 5');
        }",
        )
        .await;
    let consoles: Vec<Record> = (0..3).map(|_| Record::default()).collect();
    let calls = consoles.iter().enumerate().map(|(n, console)| {
        let (engine, options) = (bench.engine.clone(), limited().console(Arc::new(console.clone())));
        tokio::spawn(async move { engine.call("say", vec![Arg::Json(json!(format!("call {n}")))], options).await })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap().unwrap();
    }
    for (n, console) in consoles.iter().enumerate() {
        let expected: Vec<String> = [1, 2, 3, 4, 4, 5].iter().map(|step| format!("call {n} {step}")).collect();
        assert_eq!(console.all(), expected);
    }
    assert_eq!(bench.console.all(), Vec::<String>::new());
}

#[tokio::test]
async fn init_must_return_a_cluster() {
    let bench = bench();
    for (text, message) in [
        ("export function init() { return { name: 'c' } }", "TypeError: `init` must return a Cluster"),
        ("export function init() {}", "TypeError: `init` must return a Cluster"),
        ("export async function init() { throw new Error('no credentials') }", "no credentials"),
        (
            "export function init() { return new Cluster({}) }",
            "TypeError: `name` of new Cluster must be a non-empty string",
        ),
    ] {
        let error = bench.engine.load(script(text), with_init()).await.unwrap_err();
        assert_eq!(error.message, message);
        assert_eq!(error.file.as_deref(), Some("cluster.js"), "{error:?}");
    }
}

#[tokio::test]
async fn an_engine_needs_a_script() {
    let bench = bench();
    let error = bench.call("health").await.unwrap_err();
    assert_eq!((error.kind, error.message.as_str()), (ScriptErrorKind::NotFound, "no script is loaded"));
}

#[tokio::test]
async fn the_thread_ends_with_the_engine() {
    let bench = bench_with(|options| options.name = "ends-with".into());
    bench.load("export async function forever(signal) { await new Promise(() => {}); }").await;
    let running = || {
        std::fs::read_dir("/proc/self/task")
            .unwrap()
            .filter(|task| {
                let path = task.as_ref().unwrap().path().join("comm");
                std::fs::read_to_string(path).is_ok_and(|name| name.trim() == "ends-with")
            })
            .count()
    };
    assert_eq!(running(), 1);
    drop(bench);
    let deadline = Instant::now() + Duration::from_secs(60);
    while running() > 0 {
        assert!(Instant::now() < deadline, "the thread is still there");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
