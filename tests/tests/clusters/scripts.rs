//! `cluster.js` in a running cluster: replaced, refused, looping, deploying.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use disco_proto::v1::{CompactRequest, MoveLeaderRequest, command};
use disco_tests::{Api, Binaries, Project, SOON, Shared, Status, Turn, block, wait_for};
use sha2::{Digest, Sha256};

static CLUSTER: Shared<Project> = Shared::new(|| Project::bootstrapped("scripts"));
/// For tests that measure times.
static ALONE: Shared<Project> = Shared::alone(|| Project::bootstrapped("scripts-alone"));

/// The cluster, with the plain script again.
fn whole() -> (Turn<Project>, Status) {
    whole_of(&CLUSTER)
}

fn whole_of(shared: &'static Shared<Project>) -> (Turn<Project>, Status) {
    let project = shared.take();
    project.write_hooks("");
    project.disco(&["script", "push"]).ok();
    let status = project.wait_until_healthy(SOON, 3);
    (project, status)
}

/// Pushes these hooks, which must be accepted. Returns the version.
#[track_caller]
fn push(project: &Project, hooks: &str) -> String {
    project.write_hooks(hooks);
    let pushed = project.disco(&["script", "push", "-o", "json"]).ok().json();
    pushed["script"].as_str().unwrap_or_else(|| panic!("{pushed}")).to_owned()
}

/// Waits for an event whose JSON has all these texts.
#[track_caller]
fn wait_for_event(project: &Project, texts: &[&str]) -> serde_json::Value {
    wait_for(SOON, &format!("an event with {texts:?}"), || {
        let events = project.disco(&["events", "-o", "jsonl", "-n", "200"]).ok();
        let found =
            events.jsonl().into_iter().rev().find(|event| texts.iter().all(|text| event.to_string().contains(text)));
        found.ok_or(events.stdout)
    })
}

#[test]
fn a_new_version_is_used_by_all_nodes_while_they_run() {
    let (project, before) = whole();
    let version = push(&project, "export function health() { return { healthy: true, reason: 'v2' } }");
    assert_ne!(before.script.as_deref(), Some(version.as_str()));
    let after = project.wait_for_status(SOON, "the new version on all nodes", |now| {
        now.script.as_deref() == Some(&version) && now.nodes.iter().all(|node| node.script.as_deref() == Some(&version))
    });
    assert_eq!(after.pids(), before.pids(), "a node was restarted");
    let again = project.disco(&["script", "push", "-o", "json"]).ok().json();
    assert_eq!((again["script"].as_str(), again["changed"].as_bool()), (Some(version.as_str()), Some(false)));
    let versions = project.disco(&["script", "ls", "-o", "json"]).ok().json();
    let current: Vec<_> = versions.as_array().unwrap().iter().filter(|one| one["current"] == true).collect();
    assert_eq!(current.len(), 1, "{versions:#}");
    assert_eq!(current[0]["script"], version);
}

#[test]
fn imported_files_are_pushed_too() {
    let (project, _) = whole();
    project.write("lib/words.js", "export const words = 'from a file beside';\n");
    let script =
        disco_tests::cluster_script("scripts", "export function health() { return { healthy: false, reason: words } }");
    project.write("cluster.js", &format!("import {{ words }} from './lib/words.js';\n{script}"));
    project.disco(&["script", "push"]).ok();
    project.wait_for_status(SOON, "the imported words", |now| {
        now.nodes.iter().all(|node| {
            !node.healthy && node.reason.as_deref().is_some_and(|reason| reason.contains("from a file beside"))
        })
    });
}

#[test]
fn a_version_that_does_not_load_is_refused_with_its_position_and_the_old_one_stays() {
    let (project, before) = whole();
    let bad = [
        // The error, the file, the line.
        ("export function health( { return true }\n", "cluster.js:1:", "export function health( {"),
        (
            "const a = 1;\nexport function init() {\n  throw new Error('not today');\n}\n",
            "cluster.js:3:",
            "throw new Error('not today')",
        ),
        ("const a = 1;\nundefined_function();\n", "cluster.js:2:", "undefined_function()"),
        ("import './missing.js';\n", "missing.js", ""),
        ("import '../outside.js';\n", "outside.js", ""),
        ("export function init() {\n  while (true) {}\n}\n", "cluster.js", ""),
    ];
    // The loop runs for its whole time limit; the node that forwards the request waits for longer.
    let follower = before.nodes.iter().find(|node| Some(node.id) != before.leader).unwrap();
    for (source, place, line) in bad {
        project.write("cluster.js", source);
        let push = ["--address", &follower.address, "script", "push"];
        let output = project.disco(&push).expect(2).says(&[place, line]);
        assert!(!output.stderr.contains("panicked"), "{output}");
        // A node that checks a loop may be late for a moment; one that took the script or was restarted stays different.
        project.wait_for_status(SOON, &format!("the old script and the same processes after `{source}`"), |now| {
            now.script == before.script && now.pids() == before.pids()
        });
    }
    std::fs::remove_file(project.path("cluster.js")).unwrap();
    project.disco(&["script", "push"]).expect(6);
}

#[test]
fn a_dry_run_checks_and_changes_nothing() {
    let (project, before) = whole();
    let made = project.path("made-by-a-dry-run");
    let command = format!("await $`touch {}`;\n", made.display());
    project.write_hooks(&format!("{command}export function health() {{ return false }}"));
    project.disco(&["script", "push", "--dry-run"]).ok();
    assert!(!made.exists(), "a dry run runs commands");
    assert_eq!(project.status().script, before.script);
    project.write("cluster.js", "nonsense(");
    project.disco(&["script", "push", "--dry-run"]).expect(2);
}

#[test]
fn the_status_shows_the_result_of_the_health_hook() {
    let (project, _) = whole();
    push(
        &project,
        "export function health(cluster, node) { return node.id === 2 ? { healthy: false, reason: 'the disk is full' } : true }",
    );
    let sick = project.wait_for_status(SOON, "node 2 alone not healthy, with the hook's reason", |now| {
        !now.healthy
            && !now.node(2).healthy
            && now.node(2).reason.as_deref() == Some("the disk is full")
            && now.node(1).healthy
            && now.node(3).healthy
    });
    // The hook's result concerns the node's work, not its membership.
    assert_eq!(sick.voters(), 3);
    push(&project, "export function health() { return true }");
    project.wait_until_healthy(SOON, 3);
    // A hook that throws is reported with its position, and the built-in default applies.
    push(&project, "export function health() {\n  throw new Error('hook fell over');\n}");
    wait_for_event(&project, &["hook fell over", "cluster.js"]);
}

/// The longest of some writes, one after the other.
fn slowest_write(api: &Api, addresses: &[String]) -> Duration {
    (0..50)
        .map(|n| {
            let start = Instant::now();
            api.put(addresses, &format!("latency/{n}"), "x", SOON).unwrap();
            start.elapsed()
        })
        .max()
        .unwrap_or_default()
}

#[test]
fn hooks_that_loop_exhaust_memory_or_recurse_affect_nothing_else() {
    let (project, before) = whole_of(&ALONE);
    let api = Api::operator(&project);
    let addresses: Vec<_> = before.nodes.iter().map(|node| node.address.clone()).collect();
    let limit = Duration::from_millis(if Binaries::optimised() { 300 } else { 1500 });
    for hook in [
        "export function health() { while (true) {} }",
        "export function health() { const all = []; while (true) all.push(new Array(10000).fill(1)) }",
        "export function health() { const again = () => again() + 1; return again() }",
        "export async function health() { await new Promise(() => {}) }",
        "export function health() { let s = 'x'; while (true) s += s }",
    ] {
        push(&project, hook);
        let slowest = slowest_write(&api, &addresses);
        assert!(slowest < limit, "a write took {slowest:?} while the hook was `{hook}`");
        let now = project.wait_for_status(SOON, &format!("the same processes after `{hook}`"), |now| {
            now.leader.is_some() && now.pids() == before.pids()
        });
        assert_eq!(now.leader, before.leader, "leadership was lost to `{hook}`");
    }
    wait_for_event(&project, &["script.failed", "health"]);
    // After every failure the next version runs.
    push(&project, "export function health() { return { healthy: false, reason: 'works again' } }");
    let after = project.wait_for_status(SOON, "the next version's word", |now| {
        now.nodes.iter().all(|node| node.reason.as_deref() == Some("works again"))
    });
    for node in &after.nodes {
        assert!(node.rss_kb < before.node(node.id).rss_kb + 65_536, "node {} kept {} kB", node.id, node.rss_kb);
    }
}

#[test]
fn the_leader_hook_runs_on_the_new_leader_and_its_signal_aborts_when_leadership_is_lost() {
    let (project, before) = whole();
    push(
        &project,
        "export async function leader(cluster, node, signal) {
           await cluster.kv.put(`led/${node.id}`, `${cluster} ${node.role}`);
           await new Promise((resolve) => signal.addEventListener('abort', resolve));
           await cluster.kv.put(`lost/${node.id}`, 'aborted');
         }",
    );
    let old = before.leader.unwrap();
    // A new version's hook runs on the present leader.
    wait_for(SOON, "the hook on the leader", || project.get(&format!("led/{old}")).ok_or("no key"));
    let api = Api::operator(&project);
    block(api.control(&before.leading().address).move_leader(MoveLeaderRequest { to: 0 })).unwrap();
    let new =
        project.wait_for_status(SOON, "another leader", |now| now.leader.is_some_and(|id| id != old)).leader.unwrap();
    let word = wait_for(SOON, "the hook on the new leader", || project.get(&format!("led/{new}")).ok_or("no key"));
    assert_eq!(word, "Cluster(scripts) leader");
    let word = wait_for(SOON, "the abort on the old leader", || project.get(&format!("lost/{old}")).ok_or("no key"));
    assert_eq!(word, "aborted");
    // No other node has run it.
    let third = before.nodes.iter().map(|node| node.id).find(|id| ![old, new].contains(id)).unwrap();
    assert_eq!(project.get(&format!("led/{third}")), None);
}

#[test]
fn deploy_streams_its_console_runs_and_copies_on_every_node_and_sends_only_what_is_new() {
    let (project, status) = whole();
    project.write("app/config.txt", "version one\n");
    project.write("secret.txt", "not for the cluster\n");
    project.write("id_test", "-----BEGIN OPENSSH PRIVATE KEY-----\nx\n-----END OPENSSH PRIVATE KEY-----\n");
    project.write(".discoignore", "secret.*\n");
    project.write_hooks(
        "export async function deploy(cluster, deployment) {
           console.log(`deployment ${deployment.id} of ${cluster}`);
           for (const node of await cluster.nodes()) {
             const where = (await node.run('echo $HOME')).stdout.trim();
             await node.copy('app/config.txt', `${where}/config.txt`, { mode: 0o640 });
             const { code, stdout, stderr } = await node.run(`cat $HOME/config.txt; echo to-stderr >&2; exit 7`);
             console.log(`${node.id}: ${code} ${stdout.trim()} ${stderr.trim()}`);
           }
           return { nodes: (await cluster.nodes()).length };
         }",
    );
    let blobs = |project: &Project| {
        let api = Api::operator(project);
        let list = api.list(&status.leading().address, "/disco/blobs/", false).unwrap();
        let mut hashes: Vec<_> =
            list.iter().map(|kv| String::from_utf8_lossy(&kv.key).split('/').nth(3).unwrap().to_owned()).collect();
        hashes.dedup();
        hashes
    };
    let first = project.disco(&["deploy", "-o", "json"]).ok();
    let result = first.json();
    assert_eq!(result["result"]["nodes"], 3, "{first}");
    let number = result["deployment"].as_u64().expect("a number");
    assert!(first.stderr.contains(&format!("deployment {number} of Cluster(scripts)")), "{first}");
    for node in &status.nodes {
        assert!(first.stderr.contains(&format!("{}: 7 version one to-stderr", node.id)), "{first}");
        let copied = project.machine(node.instance.as_deref()).folder.join("home/config.txt");
        assert_eq!(std::fs::read_to_string(&copied).unwrap(), "version one\n");
        assert_eq!(std::fs::metadata(&copied).unwrap().permissions().mode() & 0o777, 0o640);
    }
    let after_first = blobs(&project);
    let hash = |text: &str| hex::encode(Sha256::digest(text));
    assert!(after_first.contains(&hash("version one\n")), "{after_first:?}");
    assert!(!after_first.contains(&hash("not for the cluster\n")), "an ignored file was sent");
    let key = std::fs::read_to_string(project.path("id_test")).unwrap();
    assert!(!after_first.contains(&hash(&key)), "a private key was sent");

    project.write("app/config.txt", "version two\n");
    let second = project.disco(&["deploy", "-o", "json"]).ok();
    assert_eq!(second.json()["deployment"].as_u64(), Some(number + 1));
    let new: Vec<_> = blobs(&project).into_iter().filter(|hash| !after_first.contains(hash)).collect();
    assert_eq!(new, [hash("version two\n")], "only the changed file is sent");
    for name in ["app/config.txt", "secret.txt", "id_test", ".discoignore"] {
        std::fs::remove_file(project.path(name)).unwrap();
    }
}

#[test]
fn a_deploy_that_throws_exits_with_2_its_position_and_its_earlier_output() {
    let (project, before) = whole();
    project.write_hooks(
        "export async function deploy(cluster, deployment) {
  console.log('half way');
  await delay(10);
  throw new Error(`no ${deployment.variables?.what ?? 'thing'} today`);
}",
    );
    let line = 1 + std::fs::read_to_string(project.path("cluster.js"))
        .unwrap()
        .lines()
        .position(|line| line.contains("throw"))
        .unwrap();
    let output = project.disco(&["deploy", "--set", "what=cake"]).expect(2);
    let output = output.says(&["half way", "no cake today", &format!("cluster.js:{line}:"), "throw new Error("]);
    assert!(!output.stderr.contains("panicked"), "{output}");
    project.wait_for_same_processes(&before);
    // The limit ends a deploy that loops, not the operator; other requests are answered meanwhile.
    project.write_hooks("export function deploy() {\n  while (true) {}\n}");
    let running = project.start(&["deploy"]);
    project.put("meanwhile", "1");
    assert!(project.status().nodes.len() == 3);
    running.signal(rustix::process::Signal::INT);
    running.wait(SOON).expect(8);
    // A script that does not load deploys nothing.
    project.write("cluster.js", "export function deploy( {");
    project.disco(&["deploy"]).expect(2).says(&["cluster.js:1:"]);
}

#[test]
fn disco_do_calls_a_function_of_client_js() {
    let (project, status) = whole();
    let said = project.disco(&["do", "greet", "world"]).ok().stdout;
    assert!(said.starts_with("Hello world, from Node("), "{said}");
    assert!(said.contains(&status.leading().name), "{said}");
    assert_eq!(project.disco(&["do"]).ok().stdout, "greet\n");
    project.disco(&["do", "nothing"]).expect(6).says(&["greet"]);
}

/// One table of faults, executed by `client.js` and by a hook of `cluster.js`.
#[test]
fn an_error_has_the_same_code_in_both_scripts() {
    let (project, status) = whole();
    let api = Api::operator(&project);
    let leader = status.leading().address.clone();
    let compact = CompactRequest { revision: api.put(std::slice::from_ref(&leader), "c", "1", SOON).unwrap() };
    api.propose(&leader, Api::command(command::Operation::Compact(compact))).unwrap();

    let import = "import { codes } from './codes.js';\n";
    project.write("codes.js", include_str!("../../fixtures/codes.js"));
    let hooks = "export const deploy = (cluster) => codes(cluster);";
    project.write("cluster.js", &format!("{import}{}", disco_tests::cluster_script("scripts", hooks)));
    let before = std::fs::read_to_string(project.path("client.js")).unwrap();
    let client = "export const both = async (cluster) =>
        ({ client: await codes(cluster), node: (await cluster.deploy()).result });";
    project.write("client.js", &format!("{import}{before}\n{client}"));
    let said = project.disco(&["do", "both", "-o", "json"]).ok().json();
    project.write("client.js", &before);
    let faults = said["client"].as_object().unwrap_or_else(|| panic!("{said:#}"));
    assert!(faults.len() > 25, "{said:#}");
    let expected: serde_json::Map<_, _> =
        faults.keys().map(|fault| (fault.clone(), fault.split(' ').next().unwrap_or_default().into())).collect();
    let expected = serde_json::Value::Object(expected);
    assert_eq!(said["client"], expected, "in `client.js`");
    assert_eq!(said["node"], expected, "in `cluster.js`");
}
