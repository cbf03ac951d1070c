//! `disco.d.ts`, by the TypeScript compiler: it fits the scripts, and catches what is misspelt.
//!
//! The compiler comes from npm. Where there is none, these tests say that they are skipped.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
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

/// What TypeScript sees in `disco.d.ts`; none where it is not there.
fn declared(test: &str, lib: &str) -> Option<Declared> {
    let Some(compiler) = compiler() else {
        println!("skipped: {test}: npm cannot install {TYPESCRIPT} here");
        return None;
    };
    let package = compiler.parent().unwrap().parent().unwrap();
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new("node")
        .arg(here.join("tests/scripts/types/declared.cjs"))
        .arg(package)
        .arg(here.join("disco.d.ts"))
        .arg(lib)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

#[derive(serde::Deserialize)]
struct Declared {
    own: BTreeMap<String, Shape>,
    interfaces: BTreeMap<String, BTreeSet<String>>,
    lib: BTreeMap<String, Shape>,
}

/// Names of members, of a global itself and of its instances.
#[derive(serde::Deserialize, serde::Serialize)]
struct Shape {
    statics: BTreeSet<String>,
    #[serde(default)]
    members: BTreeSet<String>,
}

/// How a thing of each interface that has methods is got, and of each class whose instances have members of their own. `base` is the
/// address of a web server.
const GOT_BY: [(&str, &str); 9] = [
    ("AbortSignal", "AbortSignal.abort()"),
    // Looked at, since one that is forgotten is an error.
    ("Command", "(() => { const command = $`true`; command.command; return command; })()"),
    ("CommandResult", "await $`true`"),
    ("Console", "console"),
    ("Kv", "cluster.kv"),
    ("KvWatch", "cluster.kv.watch('k')"),
    ("Node", "await cluster.leader()"),
    ("Response", "await fetch(base)"),
    ("Service", "await cluster.service('web')"),
];
/// Interfaces that scripts fulfil.
const OF_SCRIPTS: [&str; 2] = ["ClientScript", "ClusterScript"];
/// Members of the language that its instances have themselves, and what is declared though no engine has to have it, or is
/// taken away since it waits for other threads.
const NOT_OF_THE_ENGINE: [&str; 9] = [
    "cause",
    "code",
    "error",
    "errors",
    "lastIndex",
    "suppressed",
    "Function.prototype.prototype",
    "Symbol.metadata",
    "Atomics.waitAsync",
];
/// Old properties of `RegExp` about the last match, which this engine is without.
const OLD: &str = "RegExp.";
/// Of the interface that iterators fulfil, each in its own class.
const ITERATORS: &str = "Iterator.prototype.";

/// Gives `{ globals: { name: { statics, members } }, things: { name: members }, missing }`.
const ENUMERATE: &str = r#"
  const OF_FUNCTIONS = ["length", "name", "prototype", "arguments", "caller"];
  const isPlain = (value) => (typeof value !== "object" && typeof value !== "function") || value === null;
  const own = (value, ignored) => Object.getOwnPropertyNames(value).filter((name) => !ignored.includes(name));
  function members(value) {
    const names = new Set();
    for (let at = value; !isPlain(at) && at !== Object.prototype && at !== Function.prototype; at = Object.getPrototypeOf(at)) {
      for (const name of own(at, ["constructor"])) names.add(name);
    }
    return [...names].sort();
  }
  export async function main(base, lib) {
    const cluster = new Cluster({ name: "c" });
    const globals = {};
    for (const name of Object.getOwnPropertyNames(globalThis)) {
      const value = globalThis[name];
      const statics = isPlain(value) ? [] : own(value, typeof value === "function" ? OF_FUNCTIONS : []);
      globals[name] = { statics, members: typeof value === "function" ? members(value.prototype) : [] };
    }
    const things = {};
    // Within a list, since a command would be awaited otherwise.
    for (const [name, got] of Object.entries({ GOT_BY })) things[name] = members((await got(cluster, base))[0]);
    const missing = [];
    for (const [name, { statics, members }] of Object.entries(lib)) {
      const value = globalThis[name];
      if (!(name in globalThis)) missing.push(name);
      else {
        for (const one of statics) if (!(one in Object(value))) missing.push(`${name}.${one}`);
        for (const one of members) if (!(one in value.prototype)) missing.push(`${name}.prototype.${one}`);
      }
    }
    return { globals, things, missing };
  }
"#;

#[derive(serde::Deserialize)]
struct Found {
    globals: BTreeMap<String, Shape>,
    things: BTreeMap<String, BTreeSet<String>>,
    missing: BTreeSet<String>,
}

/// What is there when a script runs.
async fn enumerate(lib: &BTreeMap<String, Shape>) -> Found {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            // The request is small enough to come at once.
            let _ = stream.read(&mut [0; 4096]).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        }
    });
    let bench = crate::support::bench();
    let things: Vec<String> =
        GOT_BY.iter().map(|(name, how)| format!("{name}: async (cluster, base) => [{how}]")).collect();
    bench.load(&ENUMERATE.replace("GOT_BY", &things.join(", "))).await;
    let args = vec![disco_runtime_js::Arg::Json(base.into()), disco_runtime_js::Arg::Json(serde_json::json!(lib))];
    let found = bench.engine.call("main", args, crate::support::limited()).await.unwrap().unwrap();
    serde_json::from_value(found).unwrap()
}

/// What is there at run time is declared, and what is declared is there: names of globals and of all their members, both of Disco and of
/// the language at the level that `jsconfig.json` gives.
#[tokio::test]
async fn declarations_are_true() {
    let jsconfig: serde_json::Value = serde_json::from_str(JSCONFIG_JSON).unwrap();
    assert_eq!(jsconfig["compilerOptions"]["strict"], true);
    let lib = jsconfig["compilerOptions"]["lib"][0].as_str().unwrap();
    let Some(declared) = declared("declarations_are_true", lib) else { return };
    let known = |name: &&String| GOT_BY.iter().all(|(got, _)| got != name) && !OF_SCRIPTS.contains(&name.as_str());
    let unknown: Vec<&String> = declared.interfaces.keys().filter(known).collect();
    assert!(unknown.is_empty(), "{unknown:?} have methods: add to `GOT_BY` how one of each is got");
    let found = enumerate(&declared.lib).await;

    let mut undeclared = BTreeSet::new();
    let mut absent = BTreeSet::new();
    let mut compare = |what: &str, there: &BTreeSet<String>, said: &BTreeSet<String>| {
        undeclared.extend(there.difference(said).map(|name| format!("{what}.{name}")));
        absent.extend(said.difference(there).map(|name| format!("{what}.{name}")));
    };
    for (name, shape) in &declared.own {
        let Some(there) = found.globals.get(name) else { continue };
        // What `env` holds is the machine's.
        if name != "env" {
            compare(name, &there.statics, &shape.statics);
        }
        compare(name, found.things.get(name).unwrap_or(&there.members), &shape.members);
    }
    for (name, members) in &declared.interfaces {
        if let Some(there) = found.things.get(name) {
            compare(name, there, members);
        }
    }
    let is_declared = |name: &str| {
        declared.own.contains_key(name)
            || declared.lib.contains_key(name)
            || ["globalThis", "undefined"].contains(&name)
    };
    undeclared.extend(found.globals.keys().filter(|name| !is_declared(name)).cloned());
    // The base of the providers is no global.
    absent
        .extend(declared.own.keys().filter(|name| !found.globals.contains_key(*name) && *name != "Provider").cloned());
    let excused = |name: &str| {
        let member = name.rsplit_once(".prototype.").map_or(name, |(_, member)| member);
        NOT_OF_THE_ENGINE.contains(&name)
            || NOT_OF_THE_ENGINE.contains(&member)
            || (name.starts_with(OLD) && !name.contains(".prototype."))
            || name.starts_with(ITERATORS)
    };
    absent.extend(found.missing.into_iter().filter(|name| !excused(name)));
    assert!(
        undeclared.is_empty() && absent.is_empty(),
        "to be declared in disco.d.ts: {undeclared:#?}\ndeclared there or by lib.{lib}.d.ts, and not there at run time: {absent:#?}"
    );
}
