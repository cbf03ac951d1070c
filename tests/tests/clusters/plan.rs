//! `disco plan`: lists the changes in advance, and makes none.

use disco_tests::{Output, Project, SOON, cluster_script};
use serde_json::{Value, json};

/// `action kind name` of each change.
fn changes(output: &Output) -> Vec<String> {
    let text = |change: &Value, field: &str| change[field].as_str().expect("it is text").to_owned();
    let plan = output.json();
    let changes = plan["changes"].as_array().unwrap_or_else(|| panic!("no changes in {output}"));
    let line = |one| format!("{} {} {}", text(one, "action"), text(one, "kind"), text(one, "name"));
    changes.iter().map(line).collect()
}

fn plan(project: &Project, args: &[&str]) -> Output {
    project.disco(&[&["plan", "-o", "json"], args].concat())
}

#[test]
fn a_plan_is_what_bootstrap_and_scale_then_do() {
    let project = Project::new("planned");
    nothing_is_there_yet(&project);
    let status = project.bootstrap();
    let done = plan(&project, &["--exit-code"]).ok();
    assert_eq!(changes(&done), Vec::<String>::new(), "{done}");
    let told = project.disco(&["plan"]).ok();
    assert!(told.stdout.contains("nothing to do"), "{told}");

    a_new_script_is_a_change(&project);
    it_grows_and_shrinks(&project);
    project.wait_for_same_processes(&status);
    assert_eq!(project.machines().len(), 3);

    project.disco(&["scale", "nodes=4"]).ok();
    project.wait_until_healthy(SOON, 4);
    let names: Vec<_> = project.machines().into_iter().map(|machine| machine.id).collect();
    assert_eq!(names.len(), 4, "{names:?}");
    assert!(project.status().nodes.iter().any(|node| node.name == "planned-4"), "as it was planned");
}

fn nothing_is_there_yet(project: &Project) {
    // Also without a terminal: a plan asks no question.
    let output = plan(project, &["--exit-code"]).expect(7);
    let all = changes(&output);
    assert_eq!(all[0], "create machine planned-1", "{output}");
    assert!(all[1].starts_with("create keys ") && all[1].ends_with(" .disco"), "{output}");
    let rest =
        ["create node planned-1", "create machine planned-2", "create machine planned-3", "create script cluster.js"];
    assert_eq!(all[2..], rest, "{output}");
    let json = output.json();
    // Machines on this computer cost nothing.
    assert_eq!((&json["monthly_usd"], &json["unknown_prices"]), (&json!(0.0), &json!(0)), "{output}");
    let dry = project.disco(&["bootstrap", "--dry-run", "-o", "json"]).ok();
    assert_eq!(changes(&dry), all);
    let table = project.disco(&["plan"]).ok();
    assert!(table.stdout.contains("6 to create, 0 to change, 0 to delete"), "{table}");
    assert!(!project.path(".disco").exists(), "a plan has left something: {:?}", project.list(".disco"));
    assert_eq!(project.processes(), []);
}

fn a_new_script_is_a_change(project: &Project) {
    let before = project.status().script;
    project.write_hooks("export async function leader() {}");
    // `bootstrap` finds a healthy cluster, and pushes the script nevertheless.
    assert_eq!(changes(&plan(project, &["--exit-code"]).expect(7)), ["change script cluster.js"]);
    assert_eq!(project.status().script, before);
    project.disco(&["bootstrap", "-y"]).ok();
    assert_eq!(changes(&plan(project, &["--exit-code"]).ok()), Vec::<String>::new());
}

fn it_grows_and_shrinks(project: &Project) {
    let grown = plan(project, &["nodes=5", "--exit-code"]).expect(7);
    assert_eq!(changes(&grown), ["create machine planned-4", "create machine planned-5"]);
    let shrunk = project.disco(&["scale", "nodes=1", "--dry-run", "-o", "json"]).ok();
    let leader = project.status().leading().name.clone();
    let going = changes(&shrunk);
    assert_eq!(going.len(), 2, "{shrunk}");
    assert!(going.iter().all(|change| change.starts_with("delete machine ") && !change.ends_with(&leader)), "{shrunk}");
    // The plan refuses what the command would refuse.
    plan(project, &["nodes=51"]).expect(5).says(&["at most 50"]);
    plan(project, &["nodes=0"]).expect(2);
}

#[test]
fn a_plan_includes_the_scripts_other_effects() {
    let name = "by-the-way";
    let good = client_for(name);
    let never = format!("{}/never", std::env::temp_dir().display());
    let more = format!(
        "await cluster.kv.put('greeting', 'hello');
  const [node] = await cluster.nodes();
  await node.run('touch {never}');
  await node.copy('client.js', '{never}.js');"
    );
    let eager = good.replace("// MORE", &more);
    let project = Project::builder(name).client(eager.clone()).no_cluster_script().build();
    // The cluster would exist by then, and its node is the planned one.
    let founding = plan(&project, &[]).ok();
    let rest = ["change key greeting".to_owned(), format!("run command touch {never}"), "change file client.js".into()];
    assert_eq!(changes(&founding)[3..], rest, "{founding}");
    assert!(!project.path(".disco").exists());
    project.write("client.js", &format!("{good}{FOLLOW}"));
    project.bootstrap();
    let followed = project.disco(&["do", "follow", "-o", "json"]).ok();
    assert_eq!(followed.json(), json!(["1", true, true, "INVALID"]), "{followed}");
    project.write("client.js", &eager);
    let output = plan(&project, &["--exit-code"]).expect(7);
    let planned =
        ["change key greeting".to_owned(), format!("run command touch {never}"), "change file client.js".into()];
    assert_eq!(changes(&output), planned, "{output}");
    assert_eq!(project.get("greeting"), None);
    assert!(!std::path::Path::new(&never).exists() && !std::path::Path::new(&format!("{never}.js")).exists());
}

/// With a real node: a watch sees writes after its creation, and can be ended while it waits.
const FOLLOW: &str = "export async function follow(cluster) {
  const seen = cluster.kv.watch('seen');
  await cluster.kv.put('seen', '1');
  const first = (await seen.next()).value.value;
  const idle = cluster.kv.watch('never'), next = idle.next();
  const ended = await idle.return();
  let backwards = 'none';
  try { cluster.kv.watch('seen', { start_revision: -1 }); } catch (error) { backwards = error.code; }
  return [first, ended.done, (await next).done, backwards];
}
";

#[test]
fn a_plan_runs_no_commands_and_goes_as_far_as_it_can() {
    let name = "dry";
    let good = client_for(name);
    let steps = "await $`touch made-by-plan`;
  await fetch('http://127.0.0.1:9/hook', { method: 'POST' });
  if (await $`cat version`.text() !== '1.2') throw new Error('not 1.2');
  await $`touch later`;";
    let init = "const provider = await LocalProvider";
    let client = good.replace("// MORE", steps).replace(init, &format!("await $`touch by-init`;\n  {init}"));
    let client = format!("{client}export async function greet() {{ await $`touch greeted`; }}\n");
    let project = Project::builder(name).client(client).no_cluster_script().build();
    let output = plan(&project, &["--exit-code"]).expect(7);
    let all = changes(&output);
    assert_eq!(all[0], "run command touch by-init", "{output}");
    let last =
        ["run command touch made-by-plan", "run request POST http://127.0.0.1:9/hook", "run command cat version"];
    assert_eq!(all[all.len() - 3..], last, "{output}");
    let warnings = output.json()["warnings"].to_string();
    assert!(warnings.contains("the plan ends here") && warnings.contains("not 1.2 (client.js:"), "{output}");
    let dry = project.disco(&["bootstrap", "--dry-run"]).ok();
    assert!(dry.stdout.contains("4 to run") && dry.stdout.contains("touch made-by-plan"), "{dry}");
    project.disco(&["do", "greet", "--dry-run"]).ok();
    project.disco(&["do"]).ok();
    project.disco(&["doctor"]);
    for file in ["made-by-plan", "by-init", "later", "greeted", ".disco"] {
        assert!(!project.path(file).exists(), "a plan has made {file}");
    }
}

/// A `client.js` that founds a cluster of one node; the test adds lines after `// MORE`.
fn client_for(name: &str) -> String {
    let bootstrap = "export async function bootstrap(cluster) {
  if (!(await cluster.healthy())) {
    await cluster.start_instance();
    await cluster.ssh_install();
  }
  // MORE
}";
    cluster_script(name, bootstrap)
}

#[test]
fn a_plan_reports_a_cluster_that_does_not_answer() {
    let project = Project::builder("silent").nodes(1).no_cluster_script().build();
    let status = project.bootstrap();
    let machine = project.machine(status.nodes[0].instance.as_deref());
    project.kill(machine.pid);
    let output = plan(&project, &["--exit-code", "--timeout", "60s"]).expect(7);
    let all = changes(&output);
    assert_eq!(all, ["change machine silent-1", "change node silent-1"], "{output}");
    let warnings = output.json()["warnings"].to_string();
    assert!(warnings.contains("does not answer"), "{output}");
}
