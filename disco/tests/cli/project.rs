use std::fs;

use super::support::Folder;

#[test]
fn outside_of_a_project_commands_print_the_next_step() {
    let folder = Folder::new();
    let here = folder.path("");
    for command in [vec!["status"], vec!["bootstrap", "-y"], vec!["deploy"], vec!["doctor"], vec!["kv", "get", "a"]] {
        let words = ["not in a project", here.to_str().unwrap().trim_end_matches('/'), "hint: ", "disco init"];
        folder.run(&command).expect(2).stderr_contains(&words);
    }
}

#[test]
fn a_project_is_found_from_below_and_by_its_folder() {
    let folder = Folder::with_client("");
    fs::create_dir_all(folder.path("deep/er")).unwrap();
    // The project is found, but has no cluster.
    folder.run(&["-C", "deep/er", "status"]).expect(6).stderr_contains(&["disco bootstrap"]);
    let outside = Folder::new();
    let dir = folder.path("");
    outside.run(&["status", "-C", dir.to_str().unwrap()]).expect(6);
    let by_environment = outside.command(&["status"]).env("DISCO_DIRECTORY", &dir).output().unwrap();
    assert_eq!(by_environment.status.code(), Some(6));
    outside.run(&["-C", "nowhere", "status"]).expect(2).stderr_contains(&["nowhere"]);
}

#[test]
fn without_a_cluster_commands_suggest_bootstrap() {
    let folder = Folder::with_client("");
    let commands: [&[&str]; 12] = [
        &["status"],
        &["nodes"],
        &["events"],
        &["logs", "1"],
        &["scale", "nodes=3"],
        &["node", "rm", "1"],
        &["node", "ssh", "1"],
        &["deploy"],
        &["script", "push"],
        &["script", "ls"],
        &["kv", "get", "a"],
        &["env"],
    ];
    for command in commands {
        let ran = folder.run(command).expect(6).stderr_contains(&[
            "error: no cluster was created",
            "hint: ",
            "disco bootstrap",
        ]);
        assert_eq!(ran.stdout, "", "{ran}");
    }
    assert!(!folder.path(".disco").exists(), "reading created state");
}

#[test]
fn settings_of_the_project_come_after_flags_and_environment() {
    let folder = Folder::with_client(
        "export async function init() { return new Cluster({ name: 'x', provider: await LocalProvider.init({ name: 'x' }) }); }\nexport function one(cluster) { return [1]; }",
    );
    folder.write("disco.json", r#"{ "output": "json" }"#);
    assert_eq!(folder.run(&["do", "one"]).expect(0).stdout, "[\n  1\n]\n");
    assert_eq!(folder.run(&["do", "one", "-o", "jsonl"]).expect(0).stdout, "1\n");
    assert_eq!(folder.run(&["-o", "jsonl", "do", "one"]).expect(0).stdout, "1\n");
    let by_environment = folder.command(&["do", "one"]).env("DISCO_OUTPUT", "name").output().unwrap();
    assert_eq!(by_environment.stdout, b"1\n");
    let flag_wins = folder.command(&["-o", "jsonl", "do", "one"]).env("DISCO_OUTPUT", "json").output().unwrap();
    assert_eq!(flag_wins.stdout, b"1\n");
}

#[test]
fn unknown_settings_are_named_with_their_place() {
    let folder = Folder::with_client("");
    folder.write("disco.json", "{\n  \"outptu\": \"json\"\n}");
    folder.run(&["status"]).expect(2).stderr_contains(&["disco.json", "outptu", "line 2"]);
    folder.write("disco.json", r#"{ "timeout": "soon" }"#);
    folder.run(&["status"]).expect(2).stderr_contains(&["timeout", "disco.json"]);
}

#[test]
fn damaged_state_is_named() {
    let folder = Folder::with_client("");
    fs::create_dir(folder.path(".disco")).unwrap();
    folder.write(".disco/cluster.json", "{ \"id\": ");
    folder.run(&["destroy", "-y"]).expect(1).stderr_contains(&["cluster.json", "damaged"]);
    let doctor = folder.run(&["doctor", "-o", "json"]).expect(1);
    let checks = doctor.json();
    let state = checks.as_array().unwrap().iter().find(|check| check["name"] == "state").expect("a check of the state");
    assert_eq!(state["state"], "fail");
    assert!(folder.path(".disco/cluster.json").exists(), "nothing was removed");
}

#[test]
fn there_is_nothing_to_destroy_without_a_cluster() {
    let folder = Folder::with_client("");
    folder.run(&["destroy"]).expect(0).stderr_contains(&["nothing to destroy"]);
    folder.run(&["destroy", "--dry-run"]).expect(0);
}

#[test]
fn destroy_terminates_machines_even_if_the_record_is_damaged() {
    let folder = Folder::with_client(
        "export async function init() {
  return new Cluster({ name: 'x', provider: await LocalProvider.init({ name: 'x' }) });
}
export async function bootstrap(cluster) {
  await cluster.start_instance({});
}
",
    );
    folder.run(&["bootstrap", "-y"]).expect(0);
    let process: serde_json::Value = serde_json::from_str(&folder.read(".disco/local/local-1/process.json")).unwrap();
    let alive = format!("/proc/{}", process["pid"]);
    assert!(std::path::Path::new(&alive).exists(), "the machine runs");
    folder.write(".disco/cluster.json", "{");
    let dry = folder.run(&["destroy", "--dry-run"]).expect(0).stderr_contains(&["damaged", "machine local-1"]);
    assert!(std::path::Path::new(&alive).exists(), "{dry}");
    folder.run(&["destroy", "-y"]).expect(0).stderr_contains(&["damaged", "local-1 terminated"]);
    super::support::wait_for("the machine's end", || {
        if std::path::Path::new(&alive).exists() { Err("it runs".to_owned()) } else { Ok(()) }
    });
    assert!(!folder.path(".disco").exists());
}

#[test]
fn an_expired_operator_certificate_is_renewed_by_the_next_bootstrap() {
    use disco_identity::Credentials;
    let folder = Folder::expired(
        "export async function init() {
  return new Cluster({ name: 'x', provider: await LocalProvider.init({ name: 'x' }) });
}
export async function bootstrap(cluster) {}
",
    );
    let own = || {
        Credentials::load(
            &folder.path(".disco/ca.pem"),
            &folder.path(".disco/operator.pem"),
            &folder.path(".disco/operator.key"),
        )
        .unwrap()
        .own()
        .not_after
    };
    assert_eq!(own(), 2_000_000);
    folder.run(&["bootstrap", "-y"]).expect(0);
    assert!(own() > disco_identity::unix_now());
}
