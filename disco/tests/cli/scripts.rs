use serde_json::json;

use super::support::Folder;

const INIT: &str = "export async function init() {
  const provider = await LocalProvider.init({ name: 'x' });
  return new Cluster({ name: 'x', provider });
}
";

fn with(rest: &str) -> Folder {
    Folder::with_client(&format!("{INIT}{rest}"))
}

#[test]
fn a_syntax_error_has_its_place_and_its_line() {
    let folder = Folder::with_client("export async function init() {\n  const a = ;\n}\n");
    for command in [vec!["bootstrap", "-y"], vec!["do"]] {
        folder.run(&command).expect(2).stderr_contains(&[
            "error: SyntaxError",
            "--> client.js:2:13",
            "2 |   const a = ;",
            "            ^",
        ]);
    }
    let doctor = folder.run(&["doctor"]).expect(1);
    assert!(doctor.stdout.contains("client.js:2:13"), "{doctor}");
}

#[test]
fn a_script_error_has_its_place_and_stack_frames() {
    let folder = with(
        "function inner() {\n  throw new TypeError('no such luck');\n}\nexport function fail(cluster) {\n  inner();\n}\n",
    );
    folder.run(&["do", "fail"]).expect(2).stderr_contains(&[
        "error: TypeError: no such luck",
        "--> client.js:6:",
        "6 |   throw new TypeError('no such luck');",
        "at fail (client.js:9:",
    ]);
}

#[test]
fn errors_in_imported_files_name_that_file() {
    let folder = Folder::with_client("import { oops } from './lib/oops.js';\nexport async function init() { oops(); }");
    std::fs::create_dir(folder.path("lib")).unwrap();
    folder.write("lib/oops.js", "export function oops() {\n  nothing();\n}\n");
    folder.run(&["do"]).expect(2).stderr_contains(&["lib/oops.js:2:", "nothing"]);
    folder.write("client.js", "import '../outside.js';\n");
    folder.run(&["do"]).expect(2).stderr_contains(&["outside.js"]);
}

#[test]
fn an_init_that_returns_no_cluster_is_reported() {
    Folder::with_client("export async function init() {}")
        .run(&["bootstrap", "-y"])
        .expect(2)
        .stderr_contains(&["init", "Cluster"]);
    with("").run(&["bootstrap", "-y"]).expect(2).stderr_contains(&["bootstrap"]);
}

#[test]
fn providers_refuse_unknown_options() {
    let provider = |text: &str| {
        let source = format!(
            "export async function init() {{\n  return new Cluster({{ name: 'x', provider: await {text} }});\n}}"
        );
        Folder::with_client(&source).run(&["do"]).expect(2)
    };
    provider("AwsProvider.init({ name: 'x', regoin: 'us-west-2' })").stderr_contains(&[
        "regoin",
        "`region`",
        "client.js:2:",
    ]);
    provider("LocalProvider.init({ name: 'x', size: 3 })").stderr_contains(&["size"]);
    provider("HostsProvider.init({ name: 'x', hosts: ['me@host:port'] })").stderr_contains(&["me@host:port"]);
    provider("HostsProvider.init({ name: 'x', hosts: [] })").stderr_contains(&["hosts"]);
    provider("CloudProvider.init({})").stderr_contains(&["CloudProvider", "client.js:2:"]);
}

#[test]
fn functions_are_listed_and_called_and_unknown_ones_refused() {
    let folder = with(
        "export function greet(cluster, ...names) { return `${cluster} greets ${names.join(' and ')}`; }\nexport function answer(cluster) { return { n: 42 }; }\nexport function quiet(cluster) {}\n",
    );
    assert_eq!(folder.run(&["do"]).expect(0).stdout, "answer\ngreet\nquiet\n");
    assert_eq!(folder.run(&["do", "-o", "json"]).expect(0).json(), json!(["answer", "greet", "quiet"]));
    assert_eq!(folder.run(&["do", "greet", "a", "--b"]).expect(0).stdout, "Cluster(x) greets a and --b\n");
    assert_eq!(folder.run(&["-o", "json", "do", "answer"]).expect(0).json(), json!({ "n": 42 }));
    assert_eq!(folder.run(&["do", "quiet"]).expect(0).stdout, "");
    folder.run(&["do", "nope"]).expect(6).stderr_contains(&["nope", "answer, greet, quiet"]);
    folder.run(&["do", "init"]).expect(6);
    folder
        .run(&["do", "--dry-run", "greet", "you"])
        .expect(0)
        .stderr_contains(&["would call `greet(cluster, \"you\")`"]);
}

#[test]
fn the_console_goes_to_standard_error_and_only_the_result_to_standard_output() {
    let folder = with(
        "export function talk(cluster) {\n  console.log('log'); console.debug('debug'); console.warn('warn'); console.error('bad');\n  return 'result';\n}\n",
    );
    let ran = folder.run(&["do", "talk"]).expect(0).stderr_contains(&["log", "warn", "bad"]);
    assert_eq!(ran.stdout, "result\n");
    assert!(!ran.stderr.contains("debug"), "{ran}");
    folder.run(&["-v", "do", "talk"]).expect(0).stderr_contains(&["debug"]);
    let quiet = folder.run(&["-q", "do", "talk"]).expect(0).stderr_contains(&["warn", "bad"]);
    assert!(!quiet.stderr.contains("log"), "{quiet}");
}

#[test]
fn a_failure_of_the_cluster_keeps_its_exit_code_through_a_script() {
    let folder = with(
        "export async function look(cluster) { return (await cluster.nodes()).length; }\nexport async function care(cluster) {\n  try { await cluster.nodes(); } catch (error) { return error.code; }\n}\n",
    );
    folder.run(&["do", "look"]).expect(6).stderr_contains(&["does not exist yet", "client.js:", "disco bootstrap"]);
    assert_eq!(folder.run(&["do", "care"]).expect(0).stdout, "NOT_FOUND\n");
    assert_eq!(
        with("export function healthy(cluster) { return cluster.healthy(); }").run(&["do", "healthy"]).expect(0).stdout,
        "false\n"
    );
}

#[test]
fn names_of_clusters_are_checked() {
    let source = INIT.replace("new Cluster({ name: 'x'", "new Cluster({ name: 'No Name!'");
    Folder::with_client(&source).run(&["do"]).expect(2).stderr_contains(&["No Name!"]);
}
