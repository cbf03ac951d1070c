//! Where modules come from: folders, memory, and nothing outside; versions after one another.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use crate::support::*;
use disco_runtime_js::*;
use serde_json::json;

#[tokio::test]
async fn a_folder_is_a_project() {
    let bench = bench();
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write(
        "client.js",
        "import { a } from './lib/ä b.js';\nimport data from './data.json' with { type: 'json' };\nexport const main = () => [a, data];",
    );
    write("lib/ä b.js", "\u{feff}import { c } from '../c.js'; export const a = `ä ${c}`;");
    write("c.js", "export const c = 'c';");
    write("data.json", "{ \"n\": [1] }");
    let loaded =
        bench.engine.load(ModuleSource::directory("client.js", folder.path()), LoadOptions::default()).await.unwrap();
    assert_eq!(loaded.exports, ["main"]);
    assert_eq!(bench.call("main").await.unwrap(), Some(json!(["ä c", { "n": [1] }])));
}

#[tokio::test]
async fn dynamic_imports_stay_in_their_version() {
    let bench = bench();
    let source = |n: u32| {
        files(&[
            ("cluster.js", "export async function main() { const { n } = await import('./n.js'); return n; }"),
            ("n.js", &format!("export const n = {n};")),
        ])
    };
    for n in 1..4 {
        bench.engine.load(source(n), LoadOptions::default()).await.unwrap();
        assert_eq!(bench.call("main").await.unwrap(), Some(json!(n)));
    }
}

#[tokio::test]
async fn imports_out_of_the_project_are_refused() {
    let bench = bench();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret.js"), "export const secret = 1;").unwrap();
    let project = outside.path().join("project");
    std::fs::create_dir_all(project.join("lib")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("secret.js"), project.join("link.js")).unwrap();
    std::os::unix::fs::symlink(outside.path(), project.join("lib/up")).unwrap();
    std::fs::write(project.join("inside.js"), "export const inside = 1;").unwrap();
    std::os::unix::fs::symlink("inside.js", project.join("fine.js")).unwrap();
    let secret = outside.path().join("secret.js").display().to_string();
    for (specifier, reason) in [
        ("../secret.js", "leads out of the project"),
        ("./lib/../../secret.js", "leads out of the project"),
        ("./link.js", "leads out of the project"),
        ("./lib/up/secret.js", "leads out of the project"),
        (secret.as_str(), "begins with ./ or ../"),
        ("file:///etc/passwd", "begins with ./ or ../"),
        ("https://example.com/a.js", "begins with ./ or ../"),
        ("data:text/javascript,export default 1", "begins with ./ or ../"),
        ("disco://1/cluster.js", "begins with ./ or ../"),
        ("ext:core/ops", "begins with ./ or ../"),
        ("ext:disco/engine/invoke.js", "begins with ./ or ../"),
        ("lodash", "begins with ./ or ../"),
        ("./absent.js", "`absent.js` does not exist"),
        ("./lib", "`lib` is not a file"),
    ] {
        for text in
            [format!("// a comment\nimport '{specifier}';\n"), format!("// a comment\nawait import('{specifier}');\n")]
        {
            std::fs::write(project.join("cluster.js"), &text).unwrap();
            let error = bench
                .engine
                .load(ModuleSource::directory("cluster.js", &project), LoadOptions::default())
                .await
                .unwrap_err();
            assert!(error.message.contains(reason), "{specifier}: {error:?}");
            assert!(error.message.contains(&format!("cannot import `{specifier}`")), "{specifier}: {error:?}");
            assert_eq!((error.file.as_deref(), error.line), (Some("cluster.js"), Some(2)), "{specifier}: {error:?}");
            assert!(matches!(error.kind, ScriptErrorKind::Load | ScriptErrorKind::NotFound), "{error:?}");
        }
    }
    std::fs::write(project.join("cluster.js"), "export { inside } from './fine.js'; export function main() {}")
        .unwrap();
    bench.engine.load(ModuleSource::directory("cluster.js", &project), LoadOptions::default()).await.unwrap();
}

#[tokio::test]
async fn the_entry_itself_must_be_there() {
    let bench = bench();
    let folder = tempfile::tempdir().unwrap();
    let error = bench
        .engine
        .load(ModuleSource::directory("client.js", folder.path()), LoadOptions::default())
        .await
        .unwrap_err();
    assert_eq!((error.kind, error.message.as_str()), (ScriptErrorKind::NotFound, "`client.js` does not exist"));
    std::fs::write(folder.path().join("client.js"), [0xff, 0xfe, 0x00]).unwrap();
    let error = bench
        .engine
        .load(ModuleSource::directory("client.js", folder.path()), LoadOptions::default())
        .await
        .unwrap_err();
    assert_eq!((error.kind, error.message.as_str()), (ScriptErrorKind::Load, "`client.js` is not UTF-8 text"));
    for entry in ["../client.js", "lib/../../client.js"] {
        let error =
            bench.engine.load(ModuleSource::directory(entry, folder.path()), LoadOptions::default()).await.unwrap_err();
        assert!(matches!(error.kind, ScriptErrorKind::Load | ScriptErrorKind::NotFound), "{error:?}");
    }
}

#[tokio::test]
async fn a_version_that_fails_leaves_the_one_before() {
    let bench = bench();
    let good =
        script("export function init() { return new Cluster({ name: 'good' }) } export function which() { return 1 }");
    bench.engine.load(good, with_init()).await.unwrap();
    for bad in [
        "export function which() { return",
        "throw new Error('at the top')",
        "export function init() { throw new Error('in init') } export function which() { return 2 }",
        "import './absent.js'",
    ] {
        bench.engine.load(script(bad), with_init()).await.unwrap_err();
        assert_eq!(bench.call("which").await.unwrap(), Some(json!(1)), "after {bad}");
    }
    let check = LoadOptions { check_only: true, ..with_init() };
    bench.engine.load(script("export function which() { return 3 }"), check).await.unwrap();
    assert_eq!(bench.call("which").await.unwrap(), Some(json!(1)));
    bench.load("export function which() { return 4 }").await;
    assert_eq!(bench.call("which").await.unwrap(), Some(json!(4)));
}

#[tokio::test]
async fn a_call_goes_on_in_its_own_version() {
    let bench = bench();
    bench.load("
      let go;
      export async function old() { await new Promise((resolve) => { go = resolve }); return (await import('./n.js').catch((e) => e.message)); }
      export function poke() { go(); }
      globalThis.poke_old = poke;
    ").await;
    let old = tokio::spawn({
        let engine = bench.engine.clone();
        async move { engine.call("old", vec![], limited()).await }
    });
    // The call has begun once another one came back.
    while bench.eval("return typeof poke_old").await.unwrap() != json!("function") {}
    assert!(!old.is_finished());
    bench.eval("poke_old(); return 1").await.unwrap();
    let result = old.await.unwrap().unwrap().unwrap();
    assert_eq!(result, json!("cannot import `./n.js`: `n.js` does not exist"));
}

#[tokio::test]
async fn after_many_loads_a_new_isolate() {
    let bench = bench_with(|options| options.limits.loads_per_isolate = 5);
    for n in 1..=12 {
        bench
            .load(
                "globalThis.loads = (globalThis.loads ?? 0) + 1; export function loads() { return globalThis.loads; }",
            )
            .await;
        let loads = bench.call("loads").await.unwrap().unwrap().as_u64().unwrap();
        assert_eq!(loads, (n - 1) % 5 + 1, "after {n} loads");
    }
}

#[tokio::test]
async fn two_loads_at_once_leave_one_of_them() {
    let bench = bench();
    let load = |n: u32| {
        let engine = bench.engine.clone();
        let text = format!(
            "await delay(5); export function n() {{ return {n} }} export function init() {{ return new Cluster({{ name: 'c{n}' }}) }}"
        );
        tokio::spawn(async move { engine.load(script(&text), with_init()).await })
    };
    let (a, b) = (load(1), load(2));
    assert_eq!(a.await.unwrap().unwrap().cluster.unwrap().name, "c1");
    assert_eq!(b.await.unwrap().unwrap().cluster.unwrap().name, "c2");
    let n = bench.call("n").await.unwrap().unwrap();
    assert!(n == json!(1) || n == json!(2));
}
