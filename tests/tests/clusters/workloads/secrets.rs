//! Secrets and configs: how tasks get them, what a change does, and who sees them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use disco_proto::v1::{SecretsKeys, TaskValuesRequest};
use disco_tests::{Api, Output, Project, SOON, block, wait_for};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tonic::Code;

use super::support::{Bed, array, wait_for_capacities};

/// It prints the beginnings of the hashes of what it was given, and again after a signal.
const PROGRAM: &str = "#!/bin/sh
show() {
  echo \"$1 token $(sha256sum < \"$DISCO_SECRETS/token\" | cut -c1-12) db $(printf %s \"$DB\" | sha256sum | cut -c1-12) app $(cat \"$DISCO_CONFIGS/app.conf\")\"
}
trap 'show changed' HUP
show ready
while :; do sleep 0.1; done
";

fn short_hash(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))[..12].to_owned()
}

/// A stack whose service uses a cluster's secret, one of its own, a config, and a cluster's secret as a variable.
fn stack(copies: u32, more: &str) -> String {
    format!(
        "name: shop
services:
  app:
    secrets: [token, own]
    configs: [{{source: app, target: app.conf}}]
    stop_grace_period: 1s
    x-disco:
      process: {{path: ./bin/app.sh}}
      secret_environment: {{DB: db}}
      rollout: {{limit: 8s}}
      {more}
    deploy: {{replicas: {copies}}}
secrets: {{token: {{external: true}}, db: {{external: true}}, own: {{file: ./own.txt}}}}
configs: {{app: {{content: \"level 3\"}}}}
"
    )
}

/// Nothing is set or deployed yet.
fn bed() -> Bed {
    let bed = Bed::new();
    bed.project.write("bin/app.sh", PROGRAM);
    fs::set_permissions(bed.project.path("bin/app.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    bed.project.write("own.txt", "canary-own-7c1f");
    bed
}

/// Sets a secret from a file.
#[track_caller]
fn set(bed: &Bed, name: &str, value: &str) -> Output {
    let file = bed.project.outside("tmp").join(format!("{name}.value"));
    fs::write(&file, value).unwrap();
    bed.project.disco(&["secret", "set", name, "--file", file.to_str().unwrap(), "-o", "json"])
}

#[track_caller]
fn deploy(bed: &Bed, text: &str) -> Output {
    bed.project.write("stack.yml", text);
    bed.project.disco(&["deploy", "-o", "json"])
}

#[track_caller]
fn deployed(copies: u32, more: &str) -> Bed {
    let bed = bed();
    set(&bed, "token", "canary-token-91ab").ok();
    set(&bed, "db", "canary-db-55e0").ok();
    deploy(&bed, &stack(copies, more)).ok();
    bed
}

/// What the tasks have printed last, by task, and their process ids.
#[track_caller]
fn tasks(bed: &Bed) -> BTreeMap<u64, (u64, String)> {
    let running = bed.ps().into_iter().filter(|task| task["state"] == "running");
    let of = |task: Value| {
        let id = task["id"].as_u64().unwrap();
        let output = bed.project.disco(&["logs", "-n", "1", &id.to_string(), "-o", "jsonl"]);
        if output.code == 6 {
            // It was forgotten meanwhile.
            return None;
        }
        let lines = output.ok().jsonl();
        let text = lines.last().map_or_else(String::new, |line| line["text"].as_str().unwrap_or_default().to_owned());
        Some((id, (task["pid"].as_u64().unwrap(), text)))
    };
    running.filter_map(of).collect()
}

/// Waits until all tasks have printed this.
#[track_caller]
fn wait_for_text(bed: &Bed, count: usize, text: &str) -> BTreeMap<u64, (u64, String)> {
    wait_for(SOON, &format!("`{text}` of {count} tasks"), || {
        let found = tasks(bed);
        let all = found.len() == count && found.values().all(|(_, last)| last.contains(text));
        if all { Ok(found) } else { Err(format!("{found:#?}")) }
    })
}

/// The files below a folder that have one of the texts in them.
fn files_with(folder: &Path, texts: &[&str], found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            files_with(&path, texts, found);
        } else if kind.is_file() {
            let content = fs::read(&path).unwrap_or_default();
            let has = |text: &str| content.windows(text.len()).any(|window| window == text.as_bytes());
            if texts.iter().any(|text| has(text)) {
                found.push(path);
            }
        }
    }
}

/// The folder of a node's secrets.
fn folder_of(data: &Path) -> Option<PathBuf> {
    fs::canonicalize(data.join("values")).ok()
}

#[test]
fn a_secret_is_where_its_task_finds_it_and_nowhere_else() {
    let bed = deployed(3, "");
    let canaries = ["canary-token-91ab", "canary-db-55e0", "canary-own-7c1f"];
    let token = format!("ready token {} db {}", short_hash(canaries[0]), short_hash(canaries[1]));
    wait_for_text(&bed, 3, &format!("{token} app level 3"));
    let list = bed.project.disco(&["secret", "ls", "-o", "json"]).ok();
    let all = array(&list);
    let names: Vec<&str> = all.iter().map(|secret| secret["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["db", "shop/own", "token"], "{list}");
    for secret in &all {
        assert_eq!(secret["used_by"], serde_json::json!(["shop/app"]), "{secret}");
        assert!(secret["version"].is_u64() && secret["updated_at"].is_string(), "{secret}");
        assert!(secret["size"] == 14 || secret["size"] == 15 || secret["size"] == 17, "{secret}");
    }
    assert_eq!(bed.project.disco(&["config", "get", "shop/app"]).ok().stdout, "level 3");
    // Deploying the same again changes nothing.
    deploy(&bed, &stack(3, "")).ok().says(&["nothing to change"]);
    // Everything that the cluster shows or keeps.
    let backup = bed.project.outside("tmp").join("backup");
    bed.project.disco(&["backup", "save", backup.to_str().unwrap()]).ok();
    fs::remove_file(bed.project.outside("tmp").join("token.value")).unwrap();
    fs::remove_file(bed.project.outside("tmp").join("db.value")).unwrap();
    let shown = [
        &["secret", "ls"][..],
        &["config", "ls", "-o", "json"],
        &["stack", "-o", "json"],
        &["ps", "-o", "json"],
        &["services", "-o", "json"],
        &["deployments", "-o", "json"],
        &["events", "-o", "json"],
        &["nodes", "-o", "json"],
        &["status", "-o", "json"],
        &["kv", "ls", "/disco/", "-o", "json"],
        &["logs", "raw-1", "-n", "1000"],
        &["deploy", "-vv", "--dry-run"],
    ];
    for args in shown {
        let output = bed.project.disco(args).ok();
        for canary in canaries {
            assert!(!format!("{output}").contains(canary), "{args:?} shows a secret: {output}");
        }
    }
    let mut found = Vec::new();
    files_with(bed.cluster.folder(), &canaries, &mut found);
    files_with(&bed.project.outside("tmp"), &canaries, &mut found);
    files_with(&bed.project.path(".disco"), &canaries, &mut found);
    assert!(found.is_empty(), "secrets on the disk: {found:?}");
    for process in bed.cluster.processes() {
        assert!(!canaries.iter().any(|canary| process.command.contains(canary)), "{}", process.command);
    }
    // In memory while the tasks run, and gone with them.
    let folders: Vec<PathBuf> = bed.cluster.nodes.iter().filter_map(|node| folder_of(&node.data)).collect();
    let count = || folders.iter().map(|folder| fs::read_dir(folder).map_or(0, Iterator::count)).sum::<usize>();
    assert_eq!(count(), 3, "{folders:?}");
    bed.project.disco(&["rm", "shop", "-y"]).ok();
    wait_for(SOON, "the end of all files", || if count() == 0 { Ok(()) } else { Err(format!("{folders:?}")) });
    let left = bed.project.disco(&["secret", "ls", "-o", "name"]).ok().stdout;
    assert_eq!(left, "db\ntoken\n", "what the stack defined is gone with it");
}

#[test]
fn a_changed_secret_replaces_the_tasks_and_a_rollback_brings_the_earlier_one() {
    let bed = deployed(2, "");
    let before = wait_for_text(&bed, 2, &format!("ready token {}", short_hash("canary-token-91ab")));
    let changed = set(&bed, "token", "second").ok().json();
    assert_eq!((&changed["applied"], &changed["change"]), (&2.into(), &"updated".into()), "{changed}");
    let after = wait_for_text(&bed, 2, &format!("ready token {}", short_hash("second")));
    assert!(after.keys().all(|id| !before.contains_key(id)), "{before:?} {after:?}");
    let again = set(&bed, "token", "second").ok().json();
    assert_eq!((&again["applied"], &again["change"]), (&2.into(), &"unchanged".into()), "{again}");
    assert_eq!(tasks(&bed).keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    bed.project.disco(&["rollback"]).ok();
    wait_for_text(&bed, 2, &format!("ready token {}", short_hash("canary-token-91ab")));
    // The stack's own file.
    bed.project.write("own.txt", "another");
    let deployed = bed.project.disco(&["deploy", "-o", "json"]).ok().json();
    assert_eq!(deployed["changes"][0]["change"], "updated", "{deployed}");
    // With the newest version of each.
    wait_for_text(&bed, 2, &format!("ready token {}", short_hash("second")));
}

#[test]
fn a_program_with_a_signal_gets_changed_files_and_stays() {
    let bed = deployed(3, "reload: SIGHUP");
    let first = wait_for_text(&bed, 3, "ready token");
    let changed = set(&bed, "token", "second").ok().json();
    assert_eq!(changed["applied"], 3, "{changed}");
    let second = wait_for_text(&bed, 3, &format!("changed token {}", short_hash("second")));
    let pids =
        |tasks: &BTreeMap<u64, (u64, String)>| tasks.iter().map(|(id, (pid, _))| (*id, *pid)).collect::<Vec<_>>();
    assert_eq!(pids(&first), pids(&second));
    // A config of the stack, by a deploy.
    deploy(&bed, &stack(3, "reload: SIGHUP").replace("level 3", "level 4")).ok();
    let third = wait_for_text(&bed, 3, "app level 4");
    assert_eq!(pids(&first), pids(&third));
    // A variable cannot change in a running process.
    set(&bed, "db", "other").ok();
    let fourth = wait_for_text(&bed, 3, &format!("ready token {} db {}", short_hash("second"), short_hash("other")));
    assert!(fourth.keys().all(|id| !first.contains_key(id)), "{fourth:?}");
}

#[test]
fn tasks_and_their_files_outlive_their_daemons() {
    let mut bed = deployed(3, "reload: SIGHUP");
    let before = wait_for_text(&bed, 3, "ready token");
    bed.cluster.nodes.iter_mut().for_each(disco_tests::RawNode::kill);
    bed.cluster.nodes.iter_mut().for_each(disco_tests::RawNode::start);
    bed.cluster.wait_for_members(3);
    let changed = set(&bed, "token", "second").ok().json();
    assert_eq!(changed["applied"], 3, "{changed}");
    let after = wait_for_text(&bed, 3, &format!("changed token {}", short_hash("second")));
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    // A task that ends is started with the newest.
    let (id, (pid, _)) = after.iter().next().map(|(id, task)| (*id, task.clone())).unwrap();
    bed.cluster.kill(u32::try_from(pid).unwrap());
    let ready = format!("ready token {}", short_hash("second"));
    wait_for(SOON, "the task to be started again", || {
        let found = tasks(&bed);
        let is_new = found.get(&id).is_some_and(|(new, text)| *new != pid && text.contains(&ready));
        if is_new { Ok(()) } else { Err(format!("{found:#?}")) }
    });
}

#[test]
fn a_leader_that_is_killed_while_a_secret_is_set_loses_nothing() {
    let mut bed = deployed(3, "");
    for round in 0..3 {
        let leader = usize::try_from(bed.leader() - 1).unwrap();
        let value = format!("value {round}");
        let file = bed.project.outside("tmp").join("token.value");
        fs::write(&file, &value).unwrap();
        let setting = bed.project.start(&["secret", "set", "token", "--file", file.to_str().unwrap(), "-o", "json"]);
        bed.cluster.nodes[leader].kill();
        let output = setting.wait(SOON);
        bed.cluster.nodes[leader].start();
        // It may have been refused, and then the same again does it.
        let applied = if output.code == 0 { output.json() } else { set(&bed, "token", &value).ok().json() };
        assert!(applied["version"].as_u64().is_some_and(|version| version > 0), "{applied}");
        wait_for_text(&bed, 3, &format!("ready token {}", short_hash(&value)));
        bed.cluster.wait_for_members(3);
    }
}

#[test]
fn a_secret_in_use_is_not_removed_and_a_missing_one_fails_the_deploy() {
    let bed = deployed(1, "");
    bed.project.disco(&["secret", "rm", "token"]).expect(5).says(&["used by `shop/app`", "--force"]);
    bed.project.disco(&["secret", "rm", "shop/own", "--force"]).expect(5).says(&["defined by the stack `shop`"]);
    bed.project.disco(&["secret", "rm", "none"]).expect(6).says(&["does not exist"]);
    bed.project.disco(&["secret", "rm", "token", "--force", "--dry-run"]).ok();
    bed.project.disco(&["secret", "rm", "token", "--force"]).ok();
    wait_for_text(&bed, 1, "ready token");
    deploy(&bed, &stack(2, ""))
        .expect(6)
        .says(&["uses the secret `token`, which does not exist", "disco secret set token"]);
    // A value is never an argument.
    bed.project.disco(&["secret", "set", "token", "canary"]).expect(2).says(&["cannot be an argument"]);
    bed.project.disco(&["secret", "set", "token"]).expect(2).says(&["there is no terminal", "standard input"]);
    bed.project.disco(&["secret", "set", "shop/token", "-"]).expect(2);
    set(&bed, "token", "back").ok();
    deploy(&bed, &stack(2, "")).ok();
    wait_for_text(&bed, 2, &format!("ready token {}", short_hash("back")));
}

#[test]
fn a_change_that_fails_goes_back_and_a_command_that_ends_early_does_not_end_it() {
    let bed = deployed(2, "");
    wait_for_text(&bed, 2, "ready token");
    // As a variable it cannot be: it has a NUL.
    set(&bed, "db", "a\0b").expect(10).says(&["the previous version runs"]);
    wait_for_text(&bed, 2, &format!("db {}", short_hash("canary-db-55e0")));
    let file = bed.project.outside("tmp").join("db.value");
    fs::write(&file, "later").unwrap();
    bed.project.disco(&["secret", "set", "db", "--file", file.to_str().unwrap(), "--detach"]).ok();
    wait_for_text(&bed, 2, &format!("db {}", short_hash("later")));
}

#[test]
fn only_the_node_of_a_task_gets_its_secrets_and_only_voters_have_the_key() {
    let mut cluster = disco_tests::RawCluster::with_nodes(4);
    let project = cluster.project();
    project.write("bin/app.sh", PROGRAM);
    fs::set_permissions(project.path("bin/app.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    project.write("own.txt", "x");
    let api = cluster.operator();
    let node = cluster.addresses()[0].clone();
    wait_for(SOON, "what each node has for tasks", || {
        let known = api.list(&node, "/disco/capacities/", false).map_err(|status| status.to_string())?;
        if known.len() == 4 { Ok(()) } else { Err(format!("{known:?}")) }
    });
    for name in ["token", "db"] {
        let file = project.outside("tmp").join(name);
        fs::write(&file, "hunter2").unwrap();
        project.disco(&["secret", "set", name, "--file", file.to_str().unwrap()]).ok();
    }
    project.write("stack.yml", &stack(4, ""));
    project.disco(&["deploy"]).ok();
    let tasks = array(&project.disco(&["ps", "-o", "json"]).ok());
    let by_node: BTreeMap<u64, u64> =
        tasks.iter().map(|task| (task["node"].as_u64().unwrap(), task["id"].as_u64().unwrap())).collect();
    assert_eq!(by_node.len(), 4, "{tasks:#?}");
    let status = api.status(&node).unwrap();
    let voters: Vec<u64> = status.nodes.iter().filter(|node| node.role != "learner").map(|node| node.id).collect();
    assert_eq!(voters.len(), 3, "{status:?}");
    let learner = (1..=4).find(|id| !voters.contains(id)).unwrap();
    let key = |cluster: &disco_tests::RawCluster, id: u64| {
        let path = cluster.nodes[usize::try_from(id - 1).unwrap()].identity("secrets.keys");
        fs::metadata(path).ok().map(|found| found.permissions().mode() & 0o777)
    };
    wait_for(SOON, "the key on all voters", || {
        let all = voters.iter().all(|id| key(&cluster, *id) == Some(0o600));
        if all { Ok(()) } else { Err(format!("{voters:?}")) }
    });
    assert_eq!(key(&cluster, learner), None);

    let group = |id: u64| -> u64 {
        let record = api.list(&node, "/disco/tasks/", false).unwrap().into_iter();
        let records = record.map(|kv| serde_json::from_slice::<Value>(&kv.value).unwrap());
        records.into_iter().find(|task| task["id"] == id).unwrap()["group"].as_u64().unwrap()
    };
    let ask = |as_node: &Api, voter: u64, task_id: u64, group: u64| {
        let address = &cluster.addresses()[usize::try_from(voter - 1).unwrap()];
        let request = TaskValuesRequest { task_id, group };
        block(as_node.control(address).task_values(request)).map(|answer| answer.into_inner().values)
    };
    let own = Api::node(&cluster.nodes[usize::try_from(learner - 1).unwrap()].data);
    let (task, voter) = (by_node[&learner], voters[0]);
    let values = ask(&own, voter, task, group(task)).unwrap();
    assert!(values.iter().any(|value| &value[..] == b"hunter2"));
    let other = by_node[&voter];
    for (api, task, group, what) in [
        (&own, other, group(other), "another node's task"),
        (&own, task, group(task) + 1_000, "another version"),
        (&own, 9_999, group(task), "no task"),
        (&api, task, group(task), "an operator"),
        (&cluster.as_join("x"), task, group(task), "a join token"),
    ] {
        let status = ask(api, voter, task, group).unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied, "{what}: {status:?}");
    }
    let address = cluster.addresses()[usize::try_from(voter - 1).unwrap()].clone();
    let status = block(own.control(&address).share_secrets_keys(SecretsKeys::default())).unwrap_err();
    assert!(status.code() == Code::PermissionDenied && status.message().contains("not a voter"), "{status:?}");

    // A voter that is removed loses the key, and the node that takes its place gets it.
    let leader = status_leader(&api, &node);
    let removed = voters.iter().copied().find(|id| *id != leader && *id != 1).unwrap();
    project.disco(&["node", "rm", &removed.to_string(), "-y"]).ok();
    wait_for(SOON, "the key to move", || {
        let (old, new) = (key(&cluster, removed), key(&cluster, learner));
        if old.is_none() && new == Some(0o600) { Ok(()) } else { Err(format!("{old:?} {new:?}")) }
    });
    let status =
        ask(&Api::node(&cluster.nodes[usize::try_from(removed - 1).unwrap()].data), leader, by_node[&removed], 1);
    assert!(status.is_err(), "{status:?}");
    cluster.nodes.iter_mut().for_each(disco_tests::RawNode::kill);
}

fn status_leader(api: &Api, node: &str) -> u64 {
    api.status(node).unwrap().leader
}

#[test]
fn the_end_of_a_cluster_leaves_no_secret() {
    let project = Project::bootstrapped("secret-destroy");
    wait_for_capacities(&Api::operator(&project), &project.status().leading().address);
    project.write("bin/app.sh", PROGRAM);
    fs::set_permissions(project.path("bin/app.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    project.write("own.txt", "x");
    for name in ["token", "db"] {
        let file = project.outside("tmp").join(name);
        fs::write(&file, "hunter2").unwrap();
        project.disco(&["secret", "set", name, "--file", file.to_str().unwrap()]).ok();
    }
    project.write("stack.yml", &stack(3, ""));
    project.disco(&["deploy"]).ok();
    let mut folders = Vec::new();
    for machine in project.machines() {
        let data = machine.folder.join("home/disco/data");
        folders.extend(folder_of(&data).filter(|folder| !folder.starts_with(&data)));
    }
    let filled = |folder: &PathBuf| fs::read_dir(folder).is_ok_and(|entries| entries.count() > 0);
    assert!(folders.is_empty() || folders.len() == 3 && folders.iter().all(filled), "{folders:?}");
    project.disco(&["destroy", "-y"]).ok();
    let left: Vec<&PathBuf> = folders.iter().filter(|folder| folder.exists()).collect();
    assert!(left.is_empty(), "{left:?}");
}
