//! The reported places of errors.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use crate::support::*;
use disco_runtime_js::*;

async fn load_error(list: &[(&str, &str)]) -> ScriptError {
    bench().engine.load(files(list), LoadOptions::default()).await.unwrap_err()
}

#[track_caller]
fn assert_place(error: &ScriptError, place: &str, source_line: &str) {
    assert_eq!(error.place().as_deref(), Some(place), "{error:?}");
    assert_eq!(error.source_line.as_deref(), Some(source_line), "{error:?}");
}

#[tokio::test]
async fn syntax_errors() {
    let error = load_error(&[("cluster.js", "export function a() {\n  return 1 +* 2;\n}\n")]).await;
    assert_eq!(error.kind, ScriptErrorKind::Syntax, "{error:?}");
    assert_place(&error, "cluster.js:2:13", "  return 1 +* 2;");

    let error = load_error(&[("cluster.js", "import './lib/b.js';"), ("lib/b.js", "\n\nlet = ;")]).await;
    assert_eq!(error.kind, ScriptErrorKind::Syntax, "{error:?}");
    assert_eq!((error.file.as_deref(), error.line), (Some("lib/b.js"), Some(3)), "{error:?}");

    let error = load_error(&[("cluster.js", "export function a() {\n  if (true) {\n")]).await;
    assert_eq!(error.kind, ScriptErrorKind::Syntax, "{error:?}");
    assert_eq!(error.file.as_deref(), Some("cluster.js"), "{error:?}");
    assert!(error.line.is_some(), "{error:?}");
}

#[tokio::test]
async fn an_import_of_a_name_that_does_not_exist() {
    let error = load_error(&[
        ("cluster.js", "\nimport { nothing } from './b.js';\nnothing();"),
        ("b.js", "export const a = 1;"),
    ])
    .await;
    assert_eq!(error.kind, ScriptErrorKind::Syntax, "{error:?}");
    assert!(error.message.contains("nothing"), "{error:?}");
    assert_eq!((error.file.as_deref(), error.line), (Some("cluster.js"), Some(2)), "{error:?}");
}

#[tokio::test]
async fn thrown_at_the_top_level() {
    let error = load_error(&[("cluster.js", "const a = 1;\n\nnull.x;\n")]).await;
    assert_eq!(error.kind, ScriptErrorKind::Thrown, "{error:?}");
    assert!(error.message.starts_with("TypeError: "), "{error:?}");
    assert_eq!((error.file.as_deref(), error.line), (Some("cluster.js"), Some(3)), "{error:?}");
}

const SCRIPT: &str = r#"
import { fail } from "./lib/fail.js";
export function plain() {
  throw new Error("plain");
}
export async function later() {
  await delay(1);
  const x = undefined;
  x.y = 1;
}
export async function imported() {
  await fail();
}
export async function host() {
  const cluster = new Cluster({ name: "c" });
  await cluster.scale(3);
}
export async function host_later() {
  await delay(1);
  const cluster = new Cluster({ name: "c" });
  await delay(1);
  await cluster.scale(3);
}
export function text() { throw "just text"; }
export function object() { throw { a: 1, code: "MINE" }; }
export function nothing() { throw undefined; }
export async function misspelt() {
  const cluster = new Cluster({ name: "c" });
  await cluster.scael(3);
}
export async function own_class() {
  class NotReady extends Error { name = "NotReady"; }
  throw new NotReady("wait");
}
export async function unhandled() {
  (async () => { await delay(1); throw new Error("not awaited"); })();
  await delay(1000);
}
export async function in_timer() {
  setTimeout(() => { throw new Error("in a timer"); }, 1);
  await delay(1000);
}
export function cause() { throw new Error("outer", { cause: new Error("inner") }); }
export function big() { return 1n; }
export function circular() { const a = {}; a.a = a; return a; }
export async function umlaut() { const grüße = "ä𝒳"; throw new Error(`${grüße} 日本`); }
"#;

#[tokio::test]
async fn thrown_by_hooks() {
    let bench = bench();
    let refused = HostError::new("would lose quorum").with_code(ErrorCode::Refused);
    bench.cluster.failures.lock().unwrap().insert("scale".into(), refused);
    let source = files(&[
        ("cluster.js", SCRIPT),
        ("lib/fail.js", "export async function fail() {\n\tthrow new RangeError('far');\n}"),
    ]);
    bench.engine.load(source, LoadOptions::default()).await.unwrap();
    let call = async |hook: &str| bench.call(hook).await.unwrap_err();

    let error = call("plain").await;
    assert_eq!(error.to_string(), "cluster.js:4:9: plain");
    assert_place(&error, "cluster.js:4:9", "  throw new Error(\"plain\");");

    let error = call("later").await;
    assert_eq!((error.kind, error.line), (ScriptErrorKind::Thrown, Some(9)), "{error:?}");

    let error = call("imported").await;
    assert_eq!(error.file.as_deref(), Some("lib/fail.js"), "{error:?}");
    assert_eq!((error.message.as_str(), error.line), ("RangeError: far", Some(2)), "{error:?}");

    for (hook, line) in [("host", 16), ("host_later", 22)] {
        let error = call(hook).await;
        assert_eq!(error.message, "would lose quorum", "{error:?}");
        assert_eq!(error.code.as_deref(), Some("REFUSED"), "{error:?}");
        assert_eq!((error.file.as_deref(), error.line), (Some("cluster.js"), Some(line)), "{error:?}");
        assert_eq!(error.source_line.as_deref(), Some("  await cluster.scale(3);"), "{error:?}");
    }

    assert_eq!(call("text").await.message, "just text");
    assert_eq!(call("object").await.code.as_deref(), Some("MINE"));
    assert_eq!(call("nothing").await.message, "undefined");

    let error = call("misspelt").await;
    assert_eq!(error.line, Some(29), "{error:?}");
    assert!(error.message.contains("not a function"), "{error:?}");

    assert_eq!(call("own_class").await.message, "NotReady: wait");
    let error = call("unhandled").await;
    assert_eq!(error.message, "uncaught: not awaited");
    assert_eq!(error.line, Some(36), "{error:?}");
    let error = call("in_timer").await;
    assert_eq!((error.message.as_str(), error.line), ("uncaught: in a timer", Some(40)), "{error:?}");
    assert_eq!(call("cause").await.message, "outer");
    assert!(call("big").await.message.contains("BigInt"));
    assert!(call("circular").await.message.contains("circular"));
    assert_eq!(call("umlaut").await.message, "ä𝒳 日本");

    let error = call("absent").await;
    assert_eq!(error.kind, ScriptErrorKind::NotFound);
    assert_eq!(error.to_string(), "cluster.js: exports no function `absent`");
}

#[tokio::test]
async fn rendered_with_the_source_line() {
    let bench = bench();
    bench.load("export function a() {\n\tb('ä');\n}\nfunction b(x) {\n\t/* ä𝒳 */ throw new Error(x);\n}").await;
    let error = bench.call("a").await.unwrap_err();
    let rendered = error.render();
    let lines: Vec<&str> = rendered.lines().collect();
    assert!(lines[0].starts_with("cluster.js:5:"), "{rendered}");
    assert!(lines[0].ends_with(": ä"), "{rendered}");
    assert_eq!(lines[1], "    5 | \t/* ä𝒳 */ throw new Error(x);", "{rendered}");
    // The caret stands beneath the column, whatever comes before.
    let column = error.column.unwrap() as usize;
    let text: Vec<u16> = lines[1][8..].encode_utf16().collect();
    let before = String::from_utf16(&text[..column - 1]).unwrap();
    assert_eq!(lines[2].trim_end_matches('^')[8..].chars().count(), before.chars().count(), "{rendered}");
    assert!(lines[3].contains("at a (cluster.js:2:"), "{rendered}");
}

#[tokio::test]
async fn scripts_see_codes_and_names_of_host_errors() {
    let bench = bench();
    let named = HostError { name: "NoQuorum".into(), message: "lost".into(), code: ErrorCode::Unavailable };
    bench.cluster.failures.lock().unwrap().insert("healthy".into(), named);
    bench.cluster.failures.lock().unwrap().insert("scale".into(), HostError::invalid("bad number"));
    let result = bench
        .eval(
            r#"
            const cluster = new Cluster({ name: "c" });
            const seen = [];
            for (const method of ["healthy", "scale"]) {
              try { await cluster[method](1); } catch (error) {
                seen.push([error instanceof Error, error instanceof TypeError, error.name, error.message, error.code, String(error)]);
                seen.push(error.stack.split("\n")[0]);
              }
            }
            return seen;
            "#,
        )
        .await
        .unwrap();
    let expected = serde_json::json!([
        [true, false, "NoQuorum", "lost", "UNAVAILABLE", "NoQuorum: lost"],
        "NoQuorum: lost",
        [true, true, "TypeError", "bad number", "INVALID", "TypeError: bad number"],
        "TypeError: bad number",
    ]);
    assert_eq!(result, expected);
}

#[tokio::test]
async fn what_can_never_settle_is_an_error_unless_it_can_be_ended() {
    let bench = bench();
    bench.load("export async function forever() { await new Promise(() => {}); }").await;
    let error = bench.engine.call("forever", vec![], CallOptions::new()).await.unwrap_err();
    assert_eq!(error.message, "`forever` waits for a promise that nothing can settle any more");
    let timeout = CallOptions::new().timeout(std::time::Duration::from_millis(50));
    let error = bench.engine.call("forever", vec![], timeout).await.unwrap_err();
    assert_eq!((error.kind, error.message.as_str()), (ScriptErrorKind::Timeout, "`forever` took longer than 0.05 s"));
}

#[tokio::test]
async fn an_uncaught_error_after_the_call_is_told() {
    let bench = bench();
    bench.load("export function start() {\n  setTimeout(() => {\n    throw new Error('late');\n  }, 5);\n}").await;
    // Its leftovers continue as long as a handle could abort its signal.
    let signal = AbortHandle::new();
    bench.engine.call("start", vec![], CallOptions::new().signal(signal.clone())).await.unwrap();
    bench.console.wait_for("error: cluster.js:3:").await;
    bench.console.wait_for("uncaught: late").await;
}

#[tokio::test]
async fn what_caused_an_error_is_told_with_it() {
    let bench = bench();
    bench
        .load(
            "export function cause() {\n  throw new Error('outer', { cause: inner() });\n}\nfunction inner() {\n  return new TypeError('inner', { cause: Symbol('why') });\n}\n\
             export async function several() {\n  await Promise.any([Promise.reject(new Error('one')), Promise.reject({ b: 2 })]);\n}",
        )
        .await;
    let rendered = bench.call("cause").await.unwrap_err().render();
    assert!(rendered.contains("\n    caused by TypeError: inner (cluster.js:5:"), "{rendered}");
    assert!(rendered.contains("\n      caused by Symbol(why)"), "{rendered}");
    let rendered = bench.call("several").await.unwrap_err().render();
    assert!(rendered.contains("one of them: Error: one (cluster.js:8:"), "{rendered}");
    assert!(rendered.contains("one of them: { b: 2 }"), "{rendered}");
    // Errors take causes as everywhere.
    let result = bench.eval("const e = new Error('e'); const before = e.cause; e.cause = 1; return [before ?? null, e.cause, Object.keys(e)]").await;
    assert_eq!(result.unwrap(), serde_json::json!([null, 1, ["cause"]]));
}
