//! `prepare_process`: asked for, and it keeps the engine from leaving compiled scripts in the user's home.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod support;

use disco_runtime_js::*;
use serde_json::json;
use std::sync::Arc;
use support::*;

#[tokio::test]
async fn an_engine_wants_a_prepared_process_and_leaves_no_files() {
    let options = || EngineOptions::new(Hosts::new(Arc::new(Record::default())));
    let error = ScriptEngine::start(options()).err().unwrap();
    assert_eq!((error.kind, error.message.as_str()), (ScriptErrorKind::Load, "`prepare_process` was not called first"));

    let home = tempfile::tempdir().unwrap();
    #[expect(unsafe_code, reason = "the home is what is tested")]
    // SAFETY: this file has one test, and no thread reads the environment yet.
    unsafe {
        std::env::set_var("HOME", home.path());
        std::env::remove_var("XDG_CACHE_HOME");
    }
    prepare_process();
    let engine = ScriptEngine::start(options()).unwrap();
    // Large enough that a cache would be worth it.
    let functions: String = (0..2000).map(|n| format!("export function f{n}() {{ return {n}; }}\n")).collect();
    let text = format!("export const main = () => 1;\n{functions}");
    engine.load(script(&text), LoadOptions::default()).await.unwrap();
    assert_eq!(engine.call("main", vec![], limited()).await.unwrap(), Some(json!(1)));
    let left: Vec<_> = std::fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "{left:?}");
}
