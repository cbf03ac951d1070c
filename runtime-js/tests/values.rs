//! Any value, thrown or passed on at any place, leaves the process alive: tried in a child process, which would end.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

mod support;

use std::io::Write;
use std::process::Command;

use disco_runtime_js::*;
use proptest::strategy::{BoxedStrategy, Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::json;
use support::*;

/// Set in the child; the name of the file in which it keeps the case that it is about to try.
const CHILD: &str = "DISCO_TEST_VALUES";
const CASES: usize = 10_000;
/// Every so many cases the value is thrown while a version is loaded, which takes longer.
const LOADED: usize = 100;

/// Expressions of values that have no parts.
const LEAVES: [&str; 40] = [
    "undefined",
    "null",
    "NaN",
    "-0",
    "1n",
    "'text'",
    "''",
    "'\\ud800'",
    "'a\\u0000b'",
    "'x'.repeat(5000)",
    "Symbol()",
    "Symbol('x')",
    "Symbol.iterator",
    "Object(Symbol())",
    "Object(1n)",
    "new String('s')",
    "Object.create(null)",
    "/(?<a>.)/.exec('a').groups",
    "Object.create(Error.prototype)",
    "Object.create(AggregateError.prototype)",
    "Object.setPrototypeOf(new Error('e'), null)",
    "Error.prototype",
    "function f() {}",
    "class A {}",
    "async () => {}",
    "() => { throw Symbol() }",
    "(function* () { yield 1 })()",
    "(() => { const { proxy, revoke } = Proxy.revocable({}, {}); revoke(); return proxy })()",
    "(() => { const { proxy, revoke } = Proxy.revocable(function () {}, {}); revoke(); return proxy })()",
    "new Proxy(new Error('p'), { getPrototypeOf() { throw Symbol() } })",
    "new Date(NaN)",
    "new WeakRef({})",
    "new Uint8Array(3)",
    "new DataView(new ArrayBuffer(8))",
    "(() => { const b = new ArrayBuffer(8); const v = new Uint8Array(b); b.transfer(); return v })()",
    "globalThis",
    "new Array(5)",
    "(() => { const e = new Error('loop'); e.cause = e; return e })()",
    // What the engine keeps of an error in properties of its own, as the script would have it.
    "(() => { const e = new Error('own'); for (const key of Object.getOwnPropertySymbols(Error.prototype)) Object.defineProperty(e, key, { value: 1 }); return e })()",
    "(() => { const e = new Error('own'); for (const key of Object.getOwnPropertySymbols(Error.prototype)) Object.defineProperty(e, key, { value: [] }); return e })()",
];

/// Expressions around another value, `V`.
const AROUND: [&str; 26] = [
    "{ a: V }",
    "[V, V]",
    "new Map([[V, V]])",
    "Promise.reject(V)",
    "{ toString() { throw V } }",
    "{ toString: null, valueOf() { throw V } }",
    "{ [Symbol.toPrimitive]() { throw V } }",
    "{ get message() { throw V } }",
    "{ toJSON() { throw V } }",
    "{ then(resolve, reject) { reject(V) } }",
    "{ get then() { throw V } }",
    "{ get [Symbol.iterator]() { throw V } }",
    "{ get timeout() { throw V } }",
    "new Error('e', { cause: V })",
    "new AggregateError([V, 1], 'a')",
    "Object.assign(new Error('e'), { message: V })",
    "Object.assign(new Error('e'), { name: V, code: V })",
    "Object.assign(new Error('e'), { stack: V })",
    "Object.assign(new AggregateError([]), { errors: V })",
    "Object.defineProperty(new Error('e'), 'message', { get() { throw V } })",
    "Object.defineProperty(new Error('e'), 'stack', { get() { throw V } })",
    "Object.defineProperty(new Error('e'), 'cause', { get() { throw V } })",
    "(() => { const a = new AggregateError([], 'loop'); a.errors.push(a, V); return a })()",
    "new (class extends Error { get name() { throw V } get constructor() { throw V } })('e')",
    "new Proxy({}, { get() { throw V }, ownKeys() { throw V }, getPrototypeOf() { throw V }, has() { throw V } })",
    "new Proxy(new Error('p'), { get() { throw V }, getOwnPropertyDescriptor() { throw V } })",
];

fn value() -> BoxedStrategy<String> {
    let leaf = proptest::sample::select(&LEAVES[..]).prop_map(str::to_owned);
    leaf.prop_recursive(3, 6, 1, |inner| {
        (proptest::sample::select(&AROUND[..]), inner)
            .prop_map(|(around, inner)| around.replace('V', &format!("({inner})")))
    })
    .boxed()
}

#[test]
fn no_value_of_a_script_ends_the_process() {
    if let Some(last) = std::env::var_os(CHILD) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        return runtime.block_on(try_all(std::fs::File::create(last).unwrap()));
    }
    let folder = tempfile::tempdir().unwrap();
    let last = folder.path().join("last");
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "no_value_of_a_script_ends_the_process", "--nocapture"])
        .env(CHILD, &last)
        .output()
        .unwrap();
    let case = std::fs::read_to_string(&last).unwrap_or_default();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} at {}\n{stderr}", output.status, case.trim_end());
    assert!(String::from_utf8_lossy(&output.stdout).contains(&format!("tried {CASES} cases")), "{output:?}");
}

async fn try_all(mut last: std::fs::File) {
    let bench = bench_with(|options| options.limits.loads_per_isolate = 40);
    let source = || script(include_str!("scripts/values.js"));
    bench.engine.load(source(), with_init()).await.unwrap();
    let names = bench.call("names").await.unwrap().unwrap();
    let places: Vec<String> = serde_json::from_value(names).unwrap();
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let case = (
        value(),
        proptest::sample::select(places),
        proptest::sample::select(&["plain", "asynchronous", "concurrent"][..]),
    );
    let (mut failed, mut ended) = (0, 0);
    for number in 0..CASES {
        let (value, place, hook) = case.new_tree(&mut runner).unwrap().current();
        last.set_len(0).unwrap();
        std::io::Seek::rewind(&mut last).unwrap();
        writeln!(last, "{number}: {hook} {place} {value}").unwrap();
        if number % LOADED == LOADED - 1 {
            let at_load = script_that_throws(&value, number);
            let error = bench.engine.load(script(&at_load), with_init()).await.unwrap_err();
            assert!(!error.message.contains("does not start"), "{error:?}");
            continue;
        }
        let args = vec![Arg::Json(json!(place)), Arg::Json(json!(value))];
        match bench.engine.call(hook, args, CallOptions::new()).await {
            Ok(_) => ended += 1,
            Err(error) => {
                assert!(
                    matches!(
                        error.kind,
                        ScriptErrorKind::Thrown
                            | ScriptErrorKind::Syntax
                            | ScriptErrorKind::Load
                            | ScriptErrorKind::NotFound
                    ),
                    "{error:?}"
                );
                assert!(!error.message.is_empty() || value.contains("''"), "{error:?}");
                failed += 1;
            }
        }
    }
    assert!(failed > CASES / 4 && ended > CASES / 20, "{failed} failed, {ended} ended");
    assert_eq!(bench.call("alive").await.unwrap(), Some(json!(1)));
    println!("tried {CASES} cases");
}

/// At the top level, later in it, or in `init`.
fn script_that_throws(value: &str, number: usize) -> String {
    match number / LOADED % 4 {
        0 => format!("throw ({value});"),
        1 => format!("await null; throw new Error('e', {{ cause: ({value}) }});"),
        2 => format!("export function init() {{ throw ({value}) }}"),
        _ => format!(
            "Promise.reject({value}); export async function init() {{ await null; throw new AggregateError([({value})]) }}"
        ),
    }
}
