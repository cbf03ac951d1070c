//! Calls: arguments, results, concurrency, signals, time limits.
#![allow(missing_docs, reason = "tests")]

mod support;

use serde_json::json;
use support::*;

#[tokio::test]
async fn a_function_returns_a_value() {
    let bench = bench();
    assert_eq!(
        bench.eval("return { a: [1, 'zwei', null], b: 1.5 }").await.unwrap(),
        json!({ "a": [1, "zwei", null], "b": 1.5 })
    );
}
