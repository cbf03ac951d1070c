//! Scripts that break each limit, and an engine that goes on serving.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod support;

use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use disco_runtime_js::*;
use serde_json::json;
use support::*;

/// A small heap, and the time to fill it on any machine.
fn small() -> Bench {
    bench_with(|options| {
        options.limits.cpu_without_yield = Duration::from_secs(60);
        options.limits.heap_bytes = 16 << 20;
    })
}

fn tight() -> Bench {
    bench_with(|options| {
        options.limits.cpu_without_yield = Duration::from_millis(200);
        options.limits.heap_bytes = 16 << 20;
    })
}

const SCRIPT: &str = "
let count = 0;
export function add() { return ++count; }
export function loop() {
  for (;;) { count++; }
}
export async function loop_later() {
  await delay(1);
  for (;;) { count++; }
}
export async function microtasks() {
  for (;;) await null;
}
export async function promises() {
  const all = [];
  for (;;) { all.push(Promise.resolve(1).then(() => all)); }
}
export function heap() {
  const all = [];
  for (;;) all.push('x'.repeat(1000) + all.length);
}
export async function heap_later() {
  await delay(1);
  const all = [];
  for (;;) all.push({ a: all.length });
}
export function buffers() {
  const all = [];
  for (;;) all.push(new Uint8Array(1 << 20).fill(1));
}
export function buffers_caught() {
  const all = [];
  try {
    for (;;) all.push(new Uint8Array(1 << 20));
  } catch {}
  return all.length;
}
export function large() {
  return new ArrayBuffer(1 << 30).byteLength;
}
const keep = [];
export function below() {
  const fill = () => { keep.push(new Array(10).fill(0)); };
  for (;;) fill();
}
export function stack() {
  const down = (n) => down(n + 1) + 1;
  return down(0);
}
export function stack_caught() {
  const down = (n) => down(n + 1) + 1;
  try { return down(0); } catch (error) { return error.name; }
}
export async function forever() { await new Promise(() => {}); }
export function regexp() { return /^(a+)+$/.test('a'.repeat(60) + 'b'); }
export function stubborn() {
  for (;;) { try { for (;;) {} } catch {} finally { for (;;) {} } }
}
";

#[tokio::test]
async fn loops_are_stopped_and_the_engine_goes_on() {
    let bench = tight();
    bench.load(SCRIPT).await;
    for hook in ["loop", "loop_later", "microtasks", "regexp", "stubborn"] {
        assert_eq!(bench.call("add").await.unwrap(), Some(json!(1)), "a new isolate before `{hook}`");
        let started = Instant::now();
        let error = bench.call(hook).await.unwrap_err();
        assert_eq!(error.kind, ScriptErrorKind::CpuLimit, "{hook}: {error:?}");
        assert!(error.message.contains("ran 0.2 s without yielding"), "{error}");
        assert!(error.message.contains(&format!("`{hook}`")), "{error}");
        assert!(started.elapsed() < Duration::from_secs(20), "{hook} took {:?}", started.elapsed());
    }
    assert_eq!(bench.call("add").await.unwrap(), Some(json!(1)));
}

#[tokio::test]
async fn a_call_that_computes_is_stopped_by_its_own_limit_if_that_is_shorter() {
    let bench = bench_with(|options| options.limits.cpu_without_yield = Duration::from_secs(60));
    bench.load(SCRIPT).await;
    for hook in ["loop", "loop_later", "microtasks"] {
        let started = Instant::now();
        let options = CallOptions::new().timeout(Duration::from_millis(300));
        let error = bench.engine.call(hook, Vec::new(), options).await.unwrap_err();
        assert!(matches!(error.kind, ScriptErrorKind::CpuLimit | ScriptErrorKind::Timeout), "{hook}: {error:?}");
        // The thread is free again, or the next call would wait for a minute.
        assert_eq!(bench.call("add").await.unwrap(), Some(json!(1)));
        assert!(started.elapsed() < Duration::from_secs(20), "{hook} took {:?}", started.elapsed());
    }
}

#[tokio::test]
async fn calls_that_were_given_up_while_another_computed_are_not_made() {
    let bench = bench_with(|options| options.limits.cpu_without_yield = Duration::from_secs(2));
    bench
        .load(
            "let count = 0; export const add = () => ++count;
            export function loop() { console.log('begun'); for (;;) { count++; } }",
        )
        .await;
    let looping = tokio::spawn({
        let engine = bench.engine.clone();
        async move { engine.call("loop", Vec::new(), CallOptions::new()).await }
    });
    bench.console.wait_for("begun").await;
    // All of them wait for the thread, and are given up long before the loop is stopped.
    for _ in 0..10 {
        let call = bench.engine.call("loop", Vec::new(), CallOptions::new());
        let given_up = tokio::time::timeout(Duration::from_millis(5), call).await;
        assert!(given_up.is_err());
    }
    let error = looping.await.unwrap().unwrap_err();
    assert_eq!(error.kind, ScriptErrorKind::CpuLimit);
    assert_eq!(bench.call("add").await.unwrap(), Some(json!(1)));
    // Had one of them been made, it would have broken the limit too, and the third time the function is left alone.
    for _ in 0..2 {
        let error = bench.call("loop").await.unwrap_err();
        assert_eq!(error.message, "`loop` ran 2 s without yielding", "the thread computed for nobody");
    }
}

#[tokio::test]
async fn a_loop_that_was_stopped_is_shown() {
    let bench = tight();
    bench.load(SCRIPT).await;
    let error = bench.call("loop").await.unwrap_err();
    assert_eq!(error.file.as_deref(), Some("cluster.js"), "{error:?}");
    assert_eq!(error.line, Some(5), "{error:?}");
    assert!(error.render().contains("for (;;) { count++; }"), "{}", error.render());
}

#[tokio::test]
async fn heaps_are_bounded() {
    let bench = small();
    bench.load(SCRIPT).await;
    for hook in ["heap", "heap_later", "buffers"] {
        assert_eq!(bench.call("add").await.unwrap(), Some(json!(1)), "a new isolate before `{hook}`");
        let error = bench.call(hook).await.unwrap_err();
        assert_eq!(error.kind, ScriptErrorKind::HeapLimit, "{hook}: {error:?}");
        assert!(error.message.contains("needed more than 16 MiB of memory"), "{error}");
    }
    let error = bench.call("promises").await.unwrap_err();
    assert!(matches!(error.kind, ScriptErrorKind::HeapLimit | ScriptErrorKind::CpuLimit), "{error:?}");
    assert_eq!(bench.call("add").await.unwrap(), Some(json!(1)));
}

#[tokio::test]
async fn a_heap_that_is_full_is_shown() {
    let bench = small();
    bench.load(SCRIPT).await;
    // Where it takes many kilobytes at a time, only the function is named: what is left until a loop that counts is used up.
    let places = [("heap", "all.push('x'"), ("heap_later", "all.push({ a"), ("below", "keep.push(new Array(10)")];
    for (hook, text) in places {
        let error = bench.call(hook).await.unwrap_err();
        assert_eq!(error.kind, ScriptErrorKind::HeapLimit, "{hook}: {error:?}");
        let line = SCRIPT.lines().position(|line| line.contains(text)).unwrap() + 1;
        assert_eq!((error.file.as_deref(), error.line), (Some("cluster.js"), Some(line as u32)), "{hook}: {error:?}");
        assert!(error.render().contains(text), "{}", error.render());
    }
    // What is too large by itself is refused at once.
    let error = bench.call("large").await.unwrap_err();
    assert!(
        error.message.contains("out of memory") && error.render().contains("new ArrayBuffer(1 << 30)"),
        "{error:?}"
    );
    // Nor does it help to catch what is thrown then.
    let error = bench.call("buffers_caught").await.unwrap_err();
    assert_eq!(error.kind, ScriptErrorKind::HeapLimit, "{error:?}");
    assert_eq!(bench.call("add").await.unwrap(), Some(json!(1)));
}

#[tokio::test]
async fn deep_recursion_is_an_error_of_the_call() {
    let bench = small();
    bench.load(SCRIPT).await;
    assert_eq!(bench.call("add").await.unwrap(), Some(json!(1)));
    let error = bench.call("stack").await.unwrap_err();
    assert_eq!(error.kind, ScriptErrorKind::StackLimit, "{error:?}");
    let line = SCRIPT.lines().position(|line| line.contains("const down")).unwrap() + 1;
    assert_eq!(error.line, Some(line as u32), "{error:?}");
    assert_eq!(bench.call("stack_caught").await.unwrap(), Some(json!("RangeError")));
    assert_eq!(bench.call("add").await.unwrap(), Some(json!(2)), "the isolate is the same");
}

#[tokio::test]
async fn only_the_guilty_call_is_blamed() {
    let bench = tight();
    bench.load(SCRIPT).await;
    for hook in ["loop", "loop_later", "heap_later"] {
        let innocent = {
            let engine = bench.engine.clone();
            tokio::spawn(async move { engine.call("forever", vec![], limited()).await })
        };
        // It is under way once another call came back.
        bench.call("add").await.unwrap();
        let guilty = bench.call(hook).await.unwrap_err();
        assert!(matches!(guilty.kind, ScriptErrorKind::CpuLimit | ScriptErrorKind::HeapLimit), "{guilty:?}");
        let innocent = innocent.await.unwrap().unwrap_err();
        assert_eq!(innocent.kind, ScriptErrorKind::Cancelled, "{innocent:?}");
        assert!(innocent.message.contains(&format!("`{hook}`")), "{innocent}");
    }
}

#[tokio::test]
async fn computing_below_the_limit_is_left_alone() {
    let bench = tight();
    bench
        .load(
            "export async function work() {
      let sum = 0;
      for (let round = 0; round < 30; round++) {
        const until = Date.now() + 30;
        while (Date.now() < until) sum++;
        await delay(0);
      }
      return 'done';
    }",
        )
        .await;
    assert_eq!(bench.call("work").await.unwrap(), Some(json!("done")));
}

#[tokio::test]
async fn a_module_that_loops_is_refused() {
    let bench = tight();
    bench.load("export const answer = () => 1;").await;
    let error = bench.engine.load(script("for (;;) {}"), LoadOptions::default()).await.unwrap_err();
    assert_eq!(error.kind, ScriptErrorKind::CpuLimit, "{error:?}");
    assert_eq!(bench.call("answer").await.unwrap(), Some(json!(1)));
}

#[tokio::test]
async fn a_hook_that_breaks_limits_again_and_again_is_left_alone() {
    let bench = tight();
    bench.load(SCRIPT).await;
    for _ in 0..3 {
        let error = bench.call("loop").await.unwrap_err();
        assert_eq!(error.message, "`loop` ran 0.2 s without yielding");
    }
    let error = bench.call("loop").await.unwrap_err();
    assert_eq!(error.kind, ScriptErrorKind::CpuLimit);
    let left = error.message.strip_prefix("`loop` is not called for another ");
    let left = left.and_then(|left| left.strip_suffix(" s: it ran 0.2 s without yielding repeatedly"));
    assert!(left.is_some_and(|seconds| (1..=60).contains(&seconds.parse::<u32>().unwrap())), "{error}");
    assert_eq!(bench.call("add").await.unwrap(), Some(json!(1)), "others are called");
    bench.load(SCRIPT).await;
    assert_eq!(bench.call("loop").await.unwrap_err().message, "`loop` ran 0.2 s without yielding");
}

#[tokio::test]
async fn init_runs_again_in_a_new_isolate() {
    let bench = tight();
    let source = script(
        "
      export async function init() { return new Cluster({ name: 'c' }); }
      export function name(cluster) { return `${cluster}`; }
      export function loop() { for (;;) {} }
    ",
    );
    let loaded = bench.engine.load(source, with_init()).await.unwrap();
    assert_eq!(loaded.cluster.unwrap().name, "c");
    bench.call("loop").await.unwrap_err();
    let name = bench.engine.call("name", vec![Arg::Cluster], limited()).await.unwrap();
    assert_eq!(name, Some(json!("Cluster(c)")));
}

/// A console that does not come back before it is let go, as a function of the engine does that cannot be interrupted: it computes or
/// waits.
#[derive(Clone, Default)]
struct Stubborn {
    gone: Arc<(Mutex<bool>, Condvar)>,
}

impl Stubborn {
    fn let_go(&self) {
        *self.gone.0.lock().unwrap() = true;
        self.gone.1.notify_all();
    }
}

impl console::Console for Stubborn {
    fn write(&self, _: console::ConsoleLevel, text: &str) {
        match text {
            "compute" => while !*self.gone.0.lock().unwrap() {},
            "wait" => drop(self.gone.1.wait_while(self.gone.0.lock().unwrap(), |gone| !*gone).unwrap()),
            _ => {}
        }
    }
}

const STUCK: &str = "
let count = 0;
export const add = () => ++count;
export const stuck = (how) => console.log(how);
export const also = (how) => console.log(how);
export const again = (how) => console.log(how);
export async function waits() { await ask('?'); }
";

/// Says when the script's question is dropped.
struct Asked(Record);

#[async_trait::async_trait]
impl ask::Prompt for Asked {
    async fn ask(&self, _: &str, _: Option<Json>) -> Result<Json, HostError> {
        struct Dropped(Record);
        impl Drop for Dropped {
            fn drop(&mut self) {
                self.0.add("dropped");
            }
        }
        let _guard = Dropped(self.0.clone());
        self.0.add("asked");
        std::future::pending().await
    }
}

/// Threads of this process with this name.
fn threads(name: &str) -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|other| other.trim() == name).count()
}

#[tokio::test]
async fn what_cannot_be_interrupted_ends_its_isolate_and_not_the_engine() {
    for (how, did, name) in [("compute", "ran", "stuck-compute"), ("wait", "was blocked", "stuck-wait")] {
        let (console, asked) = (Stubborn::default(), Record::default());
        let bench = bench_with(|options| {
            options.limits.cpu_without_yield = Duration::from_millis(200);
            options.hosts.console = Arc::new(console.clone());
            options.hosts.prompt = Some(Arc::new(Asked(asked.clone())));
            options.name = name.to_owned();
        });
        bench.load(STUCK).await;
        assert_eq!(bench.call("add").await.unwrap(), Some(json!(1)));
        let innocent = {
            let engine = bench.engine.clone();
            tokio::spawn(async move { engine.call("waits", vec![], limited()).await })
        };
        asked.wait_for("asked").await;
        let started = Instant::now();
        let error = bench.engine.call("stuck", vec![Arg::Json(json!(how))], limited()).await.unwrap_err();
        assert_eq!(error.kind, ScriptErrorKind::CpuLimit, "{error:?}");
        assert_eq!(error.message, format!("`stuck` {did} for 0.2 s where it could not be interrupted"));
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
        let innocent = innocent.await.unwrap().unwrap_err();
        assert!(innocent.kind == ScriptErrorKind::Cancelled && innocent.message.contains("`stuck`"), "{innocent}");
        // Its question has ended, though the thread has not.
        asked.wait_for("dropped").await;
        assert_eq!(bench.call("add").await.unwrap(), Some(json!(1)), "a new isolate");
        assert_eq!(threads(name), 2);
        let error = bench.engine.call("stuck", vec![Arg::Json(json!(how))], limited()).await.unwrap_err();
        let left = error.message.strip_prefix("`stuck` is not called for another ");
        let (seconds, why) = left.and_then(|left| left.split_once(" s: ")).expect("how long, and why");
        assert!((3500..=3600).contains(&seconds.parse::<u32>().unwrap()), "{error}");
        assert!(why.contains(&format!("{did} for 0.2 s where it could not be interrupted")), "{error}");
        console.let_go();
        let deadline = Instant::now() + Duration::from_secs(60);
        while threads(name) > 1 {
            assert!(Instant::now() < deadline, "the thread that came back goes on");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(bench.call("add").await.unwrap(), Some(json!(2)));
    }
}

#[tokio::test]
async fn threads_that_do_not_come_back_are_few() {
    let console = Stubborn::default();
    let bench = bench_with(|options| {
        options.limits.cpu_without_yield = Duration::from_millis(200);
        options.hosts.console = Arc::new(console.clone());
        options.name = "stuck-few".to_owned();
    });
    bench.load(STUCK).await;
    for hook in ["stuck", "also", "again"] {
        let error = bench.engine.call(hook, vec![Arg::Json(json!("wait"))], limited()).await.unwrap_err();
        assert!(error.message.contains("could not be interrupted"), "{error}");
    }
    let error = bench.call("add").await.unwrap_err();
    assert!(error.message.starts_with("no script can run: 3 threads are still in scripts"), "{error}");
    assert_eq!(threads("stuck-few"), 3);
    console.let_go();
    let deadline = Instant::now() + Duration::from_secs(60);
    while bench.call("add").await.is_err() {
        assert!(Instant::now() < deadline, "no thread comes back");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn waits_that_block_and_shared_memory_are_refused() {
    let bench = bench();
    let result = bench
        .eval(
            "const refused = [];
            const acts = [() => Atomics.wait(new Int32Array(2), 0, 0), () => new SharedArrayBuffer(8), () => SharedArrayBuffer(8)];
            for (const act of acts) {
              try { act(); refused.push('was not'); } catch (error) { refused.push(`${error.name} ${error.code}`); }
            }
            return [refused, typeof Atomics.waitAsync, Atomics.add(new Int32Array(2), 0, 5)];",
        )
        .await
        .unwrap();
    let refused = "TypeError UNSUPPORTED";
    assert_eq!(result, json!([[refused, refused, refused], "undefined", 0]));
}

#[tokio::test]
async fn buffers_count_as_memory_however_they_are_made() {
    let bench = small();
    bench
        .load(
            "const keep = [];
            const fill = (make) => { for (;;) keep.push(make()); };
            export const typed = () => fill(() => new Float64Array(1 << 17));
            export const plain = () => fill(() => new ArrayBuffer(1 << 20));
            export const resizable = () => fill(() => { const b = new ArrayBuffer(8, { maxByteLength: 1 << 20 }); b.resize(1 << 20); return b; });
            export const moved = () => fill(() => new ArrayBuffer(1 << 20).transfer());
            export const sliced = () => fill(() => new Uint8Array(1 << 20).slice());
            export const encoded = () => { const text = 'x'.repeat(1 << 20); fill(() => new TextEncoder().encode(text)); };
            export const encoded_wide = () => { const text = 'é'.repeat(6 << 20); fill(() => new TextEncoder().encode(text)); };
            export const decoded = () => { const bytes = new Uint8Array(10 << 20).fill(97); fill(() => new TextDecoder().decode(bytes)); };
            export const cloned = () => { const text = 'x'.repeat(5 << 20); fill(() => structuredClone({ text, list: [text] })); };
            export const large = () => new ArrayBuffer(1 << 30).byteLength;",
        )
        .await;
    for hook in
        ["typed", "plain", "resizable", "moved", "sliced", "encoded", "encoded_wide", "decoded", "cloned", "large"]
    {
        let error = bench.call(hook).await.unwrap_err();
        assert!(
            error.kind == ScriptErrorKind::HeapLimit || error.message.contains("out of memory"),
            "{hook}: {error:?}"
        );
    }
}
