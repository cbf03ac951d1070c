//! From an empty project to a cluster, and back to nothing.

use std::net::SocketAddr;
use std::time::Duration;

use disco_tests::{Binaries, Permit, Project, SOON, is_alive};

#[test]
fn a_project_becomes_three_healthy_nodes_and_is_destroyed() {
    // The line has a time.
    let _permit = Permit::alone();
    let project = Project::new("from-nothing");
    let output = project.disco(&["bootstrap", "-y"]).ok();
    assert!(output.stdout.contains("Cluster(from-nothing) is complete"), "{output}");
    let limit = Duration::from_secs(if Binaries::optimised() { 6 } else { 60 });
    assert!(output.took < limit, "took {:?}, more than {limit:?}", output.took);

    the_status_has_what_tools_rely_on(&project);
    a_second_run_changes_nothing(&project);
    keys_are_private(&project);
    destroying_leaves_nothing(&project);
}

fn the_status_has_what_tools_rely_on(project: &Project) {
    let json = project.disco(&["status", "-o", "json"]).ok().json();
    assert_eq!(json["cluster"], "from-nothing", "{json:#}");
    assert_eq!(json["healthy"], true, "{json:#}");
    assert!(json["term"].as_u64().is_some_and(|term| term > 0), "{json:#}");
    assert!(json["script"].as_str().is_some_and(|script| script.starts_with("sha256:")), "{json:#}");
    let leader = json["leader"].as_u64().expect("the leader is a node id");
    let nodes = json["nodes"].as_array().expect("nodes are a list");
    assert_eq!(nodes.len(), 3, "{json:#}");
    for node in nodes {
        let role = if node["id"].as_u64() == Some(leader) { "leader" } else { "voter" };
        assert_eq!(node["role"], role, "{json:#}");
        assert_eq!(
            node["name"].as_str(),
            node["instance"].as_str().map(|id| id.replace("local", "from-nothing")).as_deref()
        );
        // In whatever order the machines joined.
        assert_eq!(node["name"], format!("from-nothing-{}", node["id"]), "{json:#}");
        assert_eq!(node["healthy"], true, "{json:#}");
        assert_eq!(node["version"], "0.1.0", "{json:#}");
        let address: SocketAddr = node["address"].as_str().expect("an address is text").parse().expect("it is IP:PORT");
        assert!(address.ip().is_loopback() && address.port() == 5080, "{json:#}");
        assert!(node["rss_kb"].as_u64().is_some_and(|kb| kb > 1000), "{json:#}");
        let fresh = if Binaries::optimised() { 3_000 } else { 60_000 };
        assert!(node["last_seen_ms"].as_u64().is_some_and(|ms| ms < fresh), "{json:#}");
        let pid = node["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()).expect("a process id");
        let process = project.processes().into_iter().find(|process| process.pid == pid).expect("it runs");
        assert_eq!(process.machine.as_deref(), node["instance"].as_str(), "{json:#}");
        assert!(process.command.contains("discod"), "{process:?}");
    }
    let names = project.disco(&["nodes", "-o", "name"]).ok().stdout;
    assert_eq!(names.lines().count(), 3, "{names}");
    let table = project.disco(&["status"]).ok().stdout;
    assert!(table.contains("from-nothing-2") && table.contains("leader"), "{table}");
}

fn a_second_run_changes_nothing(project: &Project) {
    let before = project.wait_until_healthy(SOON, 3);
    let state = state_files(project);
    let output = project.disco(&["bootstrap", "-y"]).ok();
    assert!(output.stdout.contains("is ready"), "{output}");
    let limit = Duration::from_secs(if Binaries::optimised() { 2 } else { 30 });
    assert!(output.took < limit, "a second run took {:?}", output.took);
    let after = project.wait_for_same_processes(&before);
    assert_eq!(before.term, after.term);
    assert_eq!(before.script, after.script);
    assert_eq!(state, state_files(project));
    assert_eq!(project.machines().len(), 3);
}

fn state_files(project: &Project) -> Vec<String> {
    project.list(".disco").into_iter().filter(|name| name != "lock").collect()
}

fn keys_are_private(project: &Project) {
    use std::os::unix::fs::MetadataExt;
    let mode = |path: &std::path::Path| {
        std::fs::metadata(path).unwrap_or_else(|error| panic!("{path:?}: {error}")).mode() & 0o777
    };
    for key in ["ca.key", "operator.key"] {
        assert_eq!(mode(&project.path(".disco").join(key)), 0o600, "{key}");
    }
    assert_eq!(mode(&project.path(".disco")), 0o700);
    assert!(!project.list(".disco").iter().any(|name| name.contains("intermediate")), "{:?}", project.list(".disco"));
    for machine in project.machines() {
        for key in ["node.key", "intermediate.key", "ssh_key"] {
            assert_eq!(mode(&machine.data().join("identity").join(key)), 0o600, "{key} on {}", machine.id);
        }
    }
}

fn destroying_leaves_nothing(project: &Project) {
    let pids = project.status().pids();
    project.disco(&["destroy"]).expect(2);
    assert!(project.status().healthy, "a refused destroy changes nothing");
    project.disco(&["destroy", "-y"]).ok();
    assert!(pids.values().all(|pid| !is_alive(*pid)));
    project.wait_for_no_process();
    let left: Vec<_> = project.list(".disco").into_iter().filter(|name| name != ".gitignore").collect();
    assert_eq!(left, Vec::<String>::new());
    assert_eq!(project.list(""), with_state(project, &["client.js", "cluster.js", "disco", "discod"]));
    for outside in ["home", "tmp"] {
        let left: Vec<_> =
            std::fs::read_dir(project.outside(outside)).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(left.is_empty(), "{outside} has {left:?}");
    }
    project.disco(&["destroy", "-y"]).ok();
    // Without a cluster every reading command fails with a hint to the command that makes one.
    project.disco(&["status"]).expect(6).says(&["disco bootstrap"]);
}

fn with_state(project: &Project, names: &[&str]) -> Vec<String> {
    let state = project.path(".disco").exists().then(|| ".disco/".to_owned());
    state.into_iter().chain(names.iter().map(|name| (*name).to_owned())).collect()
}

#[test]
fn one_node_without_a_cluster_script_is_a_cluster_too() {
    let project = Project::builder("alone").nodes(1).no_cluster_script().build();
    let status = project.bootstrap();
    assert!(status.healthy, "{status:#?}");
    assert_eq!(status.script, None);
    assert_eq!(status.nodes.len(), 1);
    assert_eq!(status.nodes[0].role, "leader");
    project.put("a", "1");
    assert_eq!(project.get("a").as_deref(), Some("1"));
    // The node restarts by itself, with its data.
    project.kill(status.nodes[0].pid);
    project.wait_for_status(SOON, "the node's return", |again| again.healthy && again.pids() != status.pids());
    assert_eq!(project.get("a").as_deref(), Some("1"));
}

#[test]
fn a_question_without_a_terminal_is_an_error_and_changes_nothing() {
    let project = Project::new("asks");
    project.disco(&["bootstrap"]).expect(2).says(&["Do you want to bootstrap the cluster?", "hint:", "-y"]);
    assert_eq!(project.processes(), []);
    assert_eq!(project.machines().len(), 0);
    project.disco(&["bootstrap", "--dry-run", "-y"]).ok();
    assert_eq!(project.machines().len(), 0);
}
