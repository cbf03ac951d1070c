//! Measures the engine: time to start, memory, growth with each version of a script.
//!
//! `cargo run --release -p disco-runtime-js --example measure`
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a command for developers")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use disco_runtime_js::console::{Console, ConsoleLevel};
use disco_runtime_js::{CallOptions, EngineOptions, Hosts, LoadOptions, ModuleSource, ScriptEngine, prepare_process};

struct Silent;

impl Console for Silent {
    fn write(&self, _level: ConsoleLevel, _text: &str) {}
}

const SCRIPT: &str = "
export async function health() { await null; return true; }
export async function leader(cluster, node, signal) { await delay(1); }
export async function place(service, nodes) { return nodes[0]; }
export function loop() { for (;;); }
";

/// `VmRSS`, `RssAnon`, `RssFile` of this process, in kB.
fn memory() -> [u64; 3] {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ["VmRSS:", "RssAnon:", "RssFile:"].map(|name| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    })
}

fn show(what: &str) {
    let [rss, anonymous, file] = memory();
    println!("{what:<44} {rss:>7} kB  (anonymous {anonymous}, file {file})");
}

fn source(version: u32) -> ModuleSource {
    let text = format!("{SCRIPT}export const version = {version};");
    ModuleSource::memory("cluster.js", [("cluster.js".to_owned(), Arc::from(text.into_bytes()))].into())
}

fn main() {
    prepare_process();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        show("before the engine");
        let started = Instant::now();
        let mut options = EngineOptions::new(Hosts::new(Arc::new(Silent)));
        options.limits.cpu_without_yield = Duration::from_millis(100);
        let engine = ScriptEngine::start(options).unwrap();
        show("thread started, no isolate");
        engine.load(source(0), LoadOptions::default()).await.unwrap();
        println!("{:<44} {:>7.1} ms", "start to loaded script", started.elapsed().as_secs_f64() * 1e3);
        show("script loaded");

        let call = || engine.call("health", vec![], CallOptions::new());
        call().await.unwrap();
        let started = Instant::now();
        for _ in 0..10_000 {
            call().await.unwrap();
        }
        println!("{:<44} {:>7.1} us", "a call", started.elapsed().as_secs_f64() * 1e6 / 10_000.0);
        show("after 10000 calls");
        tokio::time::sleep(Duration::from_secs(1)).await;
        show("idle for a second");

        let [_, before, _] = memory();
        for version in 1..=100 {
            engine.load(source(version), LoadOptions::default()).await.unwrap();
        }
        let [_, after, _] = memory();
        println!("{:<44} {:>7.1} kB", "a further version", after.saturating_sub(before) as f64 / 100.0);
        let started = Instant::now();
        engine.load(source(101), LoadOptions::default()).await.unwrap();
        println!("{:<44} {:>7.2} ms", "loading it", started.elapsed().as_secs_f64() * 1e3);
        show("after 101 versions");

        let broken = || engine.call("loop", vec![], CallOptions::new());
        broken().await.unwrap_err();
        call().await.unwrap();
        let [_, before, _] = memory();
        for version in 200..210 {
            // A function that breaks limits again and again is refused; that of another version is not.
            engine.load(source(version), LoadOptions::default()).await.unwrap();
            broken().await.unwrap_err();
            call().await.unwrap();
        }
        let [_, after, _] = memory();
        println!("{:<44} {:>7.1} kB", "a limit broken, a new isolate", after.saturating_sub(before) as f64 / 10.0);
        show("after 11 isolates");
    });
}
