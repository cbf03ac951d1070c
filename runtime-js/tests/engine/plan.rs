//! A call in a plan: nothing is done that could change something.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use crate::support::*;
use disco_runtime_js::plan::{Plan, WouldRun};
use disco_runtime_js::*;
use serde_json::json;

/// The recorded actions, as lines.
struct Recorded(Record);

impl Plan for Recorded {
    fn would_run(&self, what: WouldRun) {
        self.0.add(format!("{} {} ({})", what.kind, what.name, what.details));
    }
}

#[tokio::test]
async fn commands_and_requests_are_told_and_not_done() {
    let folder = tempfile::tempdir().unwrap();
    let recorded = Record::default();
    let plan = Arc::new(Recorded(recorded.clone()));
    let bench = bench_with(|options| {
        options.root = Some(folder.path().to_path_buf());
        options.hosts.plan = Some(plan);
    });
    // Nothing listens there: a request that is made fails.
    let text = "
        await $`touch top-level`;
        export async function init() { await $`touch ${'by init'}`; return new Cluster({ name: 'c' }); }
        export async function main() {
          const result = await $`touch made; exit 1`;
          const posted = await fetch('http://127.0.0.1:9/x', { method: 'post', body: 'y' });
          const read = await fetch('http://127.0.0.1:9/x').then(() => 'answered', () => 'refused');
          const { field } = await $`cat state`.json();
          return [result.code, `${result}`, await $`ls`.lines(), typeof field, posted.status, (await posted.json()).x === undefined, read];
        }";
    let capabilities = Capabilities::ALL | Capabilities::PLAN;
    let options = LoadOptions { init: Some(CallOptions::new().capabilities(capabilities)), ..LoadOptions::default() };
    bench.engine.load(script(text), options).await.unwrap();
    let result = bench.engine.call("main", vec![], limited().capabilities(capabilities)).await.unwrap().unwrap();
    assert_eq!(result, json!([0, "", [], "undefined", 200, true, "refused"]));
    let here = |command: &str| format!("command {command} (on this machine)");
    let expected = [
        here("touch top-level"),
        here("touch 'by init'"),
        here("touch made; exit 1"),
        "request POST http://127.0.0.1:9/x (from this machine)".to_owned(),
        here("cat state"),
        here("ls"),
    ];
    assert_eq!(recorded.all(), expected);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    // What a call may not do at all is not planned either.
    let denied = bench.engine.call("main", vec![], limited().capabilities(Capabilities::PLAN)).await.unwrap_err();
    assert_eq!(denied.code.as_deref(), Some("NOT_ALLOWED"));
}
