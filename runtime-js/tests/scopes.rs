//! What a call or a version has started ends with it.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod support;

use std::time::{Duration, Instant};

use disco_runtime_js::*;
use serde_json::json;
use support::*;

/// Other branches than the one that fails: a loop of effects, a command, an operation of the host, an interval.
const BRANCHES: &str = "
let done = 0;
async function again(cluster) { for (;;) { await cluster.scale(1); done++; await delay(5); } }
export async function deploy() {
  const cluster = new Cluster({ name: 'c' });
  const [node] = await cluster.nodes();
  setInterval(() => { done++; cluster.scale(2); }, 5);
  await Promise.all([
    again(cluster),
    $`sleep 600; echo woken`.then((result) => console.log(`${result}`)),
    node.run('forever'),
    delay(50).then(() => { throw new Error('this branch fails'); }),
  ]);
}
export async function returns() {
  const cluster = new Cluster({ name: 'c' });
  const [node] = await cluster.nodes();
  again(cluster);
  node.run('forever');
  setInterval(() => { done++; cluster.scale(2); }, 5);
  await delay(20);
}
export async function quiet() {
  const before = done;
  await delay(100);
  return done === before;
}
";

/// Children of this process that sleep for so long.
fn sleepers(seconds: &str) -> usize {
    let own = std::process::id().to_string();
    let stat = |pid: &str| {
        let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?.replace('\0', " ");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().to_owned();
        Some((line, parent))
    };
    let processes = std::fs::read_dir("/proc").unwrap();
    let names = processes.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter_map(|pid| stat(&pid)).filter(|(line, parent)| *parent == own && line.contains(seconds)).count()
}

async fn until_quiet(bench: &Bench) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while bench.call("quiet").await.unwrap() != Some(json!(true)) {
        assert!(Instant::now() < deadline, "it goes on: {:?}", bench.effects.all());
    }
}

#[tokio::test]
async fn a_run_that_has_failed_or_returned_does_nothing_more() {
    for hook in ["deploy", "returns"] {
        let bench = bench();
        bench.load(BRANCHES).await;
        let outcome = bench.engine.call(hook, vec![], CallOptions::new()).await;
        let effects = bench.effects.all().len();
        assert!(effects > 2, "{:?}", bench.effects.all());
        match outcome {
            Ok(_) => assert_eq!(hook, "returns"),
            Err(error) => assert_eq!(error.message, if hook == "deploy" { "this branch fails" } else { "" }),
        }
        until_quiet(&bench).await;
        // Each of the two may have been on its way while the call ended.
        assert!(bench.effects.all().len() <= effects + 2, "{:?}", bench.effects.all());
        let deadline = Instant::now() + Duration::from_secs(60);
        while sleepers("sleep 600") > 0 {
            assert!(Instant::now() < deadline, "its command goes on");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(!bench.console.all().iter().any(|line| line.contains("CANCELLED")), "{:?}", bench.console.all());
    }
}

const TICKING: &str = "
const cluster = new Cluster({ name: 'c' });
setInterval(() => console.log('tick NAME'), 5);
(async () => { await $`sleep SECONDS`; })();
export function init() { setInterval(() => console.log('init NAME'), 5); END }
export const alive = () => 'NAME';
export async function pass() { for (let round = 0; round < 10; round++) await delay(6); }
";

fn ticking(name: &str, seconds: &str, end: &str) -> ModuleSource {
    script(&TICKING.replace("NAME", name).replace("SECONDS", seconds).replace("END", end))
}

/// Whether lines with this text are written no more, while other timers of the same thread come ten times.
async fn falls_silent(bench: &Bench, text: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let count = || bench.console.all().iter().filter(|line| line.contains(text)).count();
        let before = count();
        bench.call("pass").await.unwrap();
        if count() == before {
            return;
        }
        assert!(Instant::now() < deadline, "`{text}` goes on");
    }
}

#[tokio::test]
async fn a_version_that_was_only_tried_or_refused_or_replaced_leaves_nothing_behind() {
    let bench = bench();
    let good = "return cluster;";
    bench.engine.load(ticking("used", "701", good), with_init()).await.unwrap();
    bench.console.wait_for("tick used").await;
    bench.console.wait_for("init used").await;

    let tried = LoadOptions { check_only: true, ..with_init() };
    bench.engine.load(ticking("tried", "702", good), tried).await.unwrap();
    let refused = bench.engine.load(ticking("refused", "703", "throw new Error('not today')"), with_init()).await;
    assert_eq!(refused.unwrap_err().message, "not today");
    for name in ["tick tried", "init tried", "tick refused", "init refused"] {
        falls_silent(&bench, name).await;
    }
    let deadline = Instant::now() + Duration::from_secs(60);
    while sleepers("sleep 702") + sleepers("sleep 703") > 0 {
        assert!(Instant::now() < deadline, "their commands go on");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // The one in use was not disturbed.
    assert_eq!(bench.call("alive").await.unwrap(), Some(json!("used")));
    let deadline = Instant::now() + Duration::from_secs(60);
    while sleepers("sleep 701") != 1 {
        assert!(Instant::now() < deadline, "its own command does not run");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    bench.load("export async function pass() { for (let round = 0; round < 10; round++) await delay(6); }").await;
    falls_silent(&bench, "used").await;
    let deadline = Instant::now() + Duration::from_secs(60);
    while sleepers("sleep 701") > 0 {
        assert!(Instant::now() < deadline, "the command of the version before goes on");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
