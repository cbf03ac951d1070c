//! `disco.d.ts`, by the TypeScript compiler: it fits the scripts, and catches what is misspelt.
//!
//! The compiler comes from npm. Where there is none, these tests say that they are skipped.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

use std::path::{Path, PathBuf};
use std::process::Command;

use disco_runtime_js::{DISCO_D_TS, JSCONFIG_JSON};

const TYPESCRIPT: &str = "typescript@5.9.3";

/// The compiler, installed once into the build folder; none where npm or its registry is out of reach.
fn compiler() -> Option<PathBuf> {
    static COMPILER: std::sync::OnceLock<Option<PathBuf>> = std::sync::OnceLock::new();
    COMPILER.get_or_init(install).clone()
}

fn install() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(TYPESCRIPT.replace('@', "-"));
    let compiler = folder.join("node_modules/typescript/bin/tsc");
    if !compiler.exists() {
        std::fs::create_dir_all(&folder).unwrap();
        let npm = Command::new("npm")
            .args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"])
            .arg(&folder)
            .arg(TYPESCRIPT)
            .output();
        match npm {
            Ok(output) if output.status.success() => {}
            _ => return None,
        }
    }
    Some(compiler)
}

/// What the compiler says about these scripts; none where it is not there.
fn check(test: &str, scripts: &[(&str, String)]) -> Option<String> {
    let Some(compiler) = compiler() else {
        println!("skipped: {test}: npm cannot install {TYPESCRIPT} here");
        return None;
    };
    let project = tempfile::tempdir().unwrap();
    for (name, text) in scripts {
        std::fs::write(project.path().join(name), text).unwrap();
    }
    std::fs::write(project.path().join("disco.d.ts"), DISCO_D_TS).unwrap();
    std::fs::write(project.path().join("jsconfig.json"), JSCONFIG_JSON).unwrap();
    let output =
        Command::new("node").arg(compiler).arg("-p").arg(project.path().join("jsconfig.json")).output().unwrap();
    Some(String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

#[test]
fn scripts_fit_the_types() {
    let mut scripts = vec![("everything.js", read("tests/scripts/types/everything.js"))];
    for (name, path) in [
        ("seed-client.js", "tests/scripts/seed/client.js"),
        ("seed-cluster.js", "tests/scripts/seed/cluster.js"),
        ("sample-client.js", "../test-deployment/client.js"),
        ("sample-cluster.js", "../test-deployment/cluster.js"),
    ] {
        if Path::new(env!("CARGO_MANIFEST_DIR")).join(path).exists() {
            scripts.push((name, read(path)));
        }
    }
    if let Some(said) = check("scripts_fit_the_types", &scripts) {
        assert_eq!(said, "");
    }
}

#[test]
fn misspelt_scripts_are_told() {
    let head = "/** @param {Cluster} cluster @param {Node} node */\nexport async function f(cluster, node) {\n";
    for (code, complaint) in [
        ("await cluster.scael(3);", "Property 'scael' does not exist on type 'Cluster'. Did you mean 'scale'?"),
        ("await cluster.scale('3');", "Argument of type 'string' is not assignable to parameter of type 'number'"),
        ("await node.exec('x');", "Property 'exec' does not exist on type 'Node'"),
        ("await AwsProvider.init({ name: 'a', regoin: 'b' });", "'regoin' does not exist"),
        (
            "new Cluster({ name: 'c', provider: LocalProvider.init({ name: 'p' }) });",
            "Type 'Promise<LocalProvider>' is missing the following properties from type 'Provider'",
        ),
        ("await cluster.start_instance({}).then((i) => i.ip);", "Property 'ip' does not exist on type 'Instance'"),
        ("new WebAssembly.Module(new Uint8Array());", "Cannot find name 'WebAssembly'"),
        ("await sleep(5);", "Cannot find name 'sleep'"),
        ("document.title;", "Cannot find name 'document'"),
    ] {
        let script = format!("{head}  {code}\n}}\n");
        let Some(said) = check("misspelt_scripts_are_told", &[("bad.js", script)]) else { return };
        assert!(said.contains("bad.js(3,"), "{code}: {said}");
        assert!(said.contains(complaint), "{code}: {said}");
    }
}

/// What is declared is there, so that the types promise nothing.
#[tokio::test]
async fn every_declared_global_exists() {
    let names: Vec<&str> = DISCO_D_TS
        .lines()
        .filter_map(|line| line.strip_prefix("declare ")?.split_once(' '))
        .map(|(kind, rest)| if kind == "abstract" { rest.trim_start_matches("class ") } else { rest })
        .map(|rest| rest.split(['(', '<', ':', ' ']).next().unwrap())
        .filter(|name| *name != "Provider")
        .collect();
    assert!(names.len() > 25, "{names:?}");
    disco_runtime_js::prepare_process();
    struct Silent;
    impl disco_runtime_js::console::Console for Silent {
        fn write(&self, _: disco_runtime_js::console::ConsoleLevel, _: &str) {}
    }
    let hosts = disco_runtime_js::Hosts::new(std::sync::Arc::new(Silent));
    let engine = disco_runtime_js::ScriptEngine::start(disco_runtime_js::EngineOptions::new(hosts)).unwrap();
    let text = format!("export const main = () => {names:?}.filter((name) => globalThis[name] === undefined);");
    let files = [("a.js".to_owned(), std::sync::Arc::from(text.into_bytes()))].into();
    engine.load(disco_runtime_js::ModuleSource::memory("a.js", files), Default::default()).await.unwrap();
    let missing = engine.call("main", vec![], Default::default()).await.unwrap().unwrap();
    assert_eq!(missing, serde_json::json!([]));
}
