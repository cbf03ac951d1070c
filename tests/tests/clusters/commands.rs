//! Commands that inspect a running cluster and its machines.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use disco_tests::{Project, SOON, Shared, wait_for};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, prlimit};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

static CLUSTER: Shared<Project> = Shared::new(|| Project::bootstrapped("commands"));

#[test]
fn events_are_followed_across_the_leaders_death() {
    let (project, status) = CLUSTER.whole();
    let mut watch = project.start(&["events", "-w", "-o", "jsonl", "-n", "1"]);
    watch.wait_for_stdout(SOON, "\n");
    let before = watch.stdout().lines().count();
    project.kill(status.leading().pid);
    // The present leader records a push as an event.
    project.write_hooks("export function health() { return { healthy: true, reason: 'after the death' } }");
    let pushed = project.disco(&["script", "push", "-o", "json"]).ok().json();
    let version = pushed["script"].as_str().unwrap();
    watch.wait_for_stdout(SOON, version.trim_start_matches("sha256:").get(..12).unwrap());
    watch.signal(Signal::INT);
    let output = watch.wait(SOON);
    let events = output.jsonl();
    assert!(events.len() > before, "{output}");
    let mut ids: Vec<_> = events.iter().map(|event| event["id"].to_string()).collect();
    let told = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), told, "an event was printed twice: {output}");
}

/// The daemon refuses a key that others can read, and its supervisor restarts it repeatedly.
#[test]
fn the_log_of_a_daemon_that_does_not_start_is_read_on_its_machine() {
    let (project, status) = CLUSTER.whole();
    let node = status.nodes.iter().find(|node| Some(node.id) != status.leader).expect("there are three nodes");
    let key = project.machine(node.instance.as_deref()).folder.join("home/disco/data/identity/node.key");
    let permissions = |mode| fs::set_permissions(&key, fs::Permissions::from_mode(mode)).expect("the key is there");
    permissions(0o644);
    project.kill(node.pid);
    let logs = wait_for(SOON, "its log", || {
        let logs = project.disco(&["logs", "-n", "50", &node.name]);
        if logs.stdout.contains("is open to others") { Ok(logs) } else { Err(logs.to_string()) }
    });
    permissions(0o600);
    let logs = logs.ok();
    assert!(
        logs.stderr.contains(&format!("the daemon of `{}` does not answer at {}", node.name, node.address)),
        "{logs}"
    );
    assert!(!logs.stderr.contains("quorum"), "{logs}");
    project.wait_until_healthy(SOON, 3);
}

#[test]
fn each_node_serves_its_own_log_and_it_can_be_followed() {
    let (project, status) = CLUSTER.whole();
    for node in &status.nodes {
        let lines = project.disco(&["logs", "-n", "1000", &node.name, "-o", "jsonl"]).ok().jsonl();
        assert!(lines.iter().all(|line| line["node"] == node.id), "{lines:#?}");
        assert!(lines.iter().any(|line| line["text"].as_str().unwrap().contains("started")), "{lines:#?}");
    }
    let node = status.others()[0];
    let follow = project.start(&["logs", "-f", "-n", "0", &node.id.to_string()]);
    // A line that only this causes: a new version is loaded on every node. What is logged before the command has connected is not
    // among the last 0 lines.
    let mut version = 0;
    wait_for(SOON, "a followed line", || {
        version += 1;
        let reason = format!("version {version}");
        project.write_hooks(&format!("export function health() {{ return {{ healthy: true, reason: '{reason}' }} }}"));
        project.disco(&["script", "push"]).ok();
        if follow.stdout().contains("script") { Ok(()) } else { Err(follow.stderr()) }
    });
    follow.signal(Signal::INT);
    follow.wait(SOON);
    project.disco(&["logs", "nobody"]).expect(6);
}

#[test]
fn node_ssh_returns_a_commands_output_and_exit_code() {
    let (project, status) = CLUSTER.whole();
    let name = &status.nodes[1].name;
    let output = project.disco(&["node", "ssh", name, "--", "echo out; echo err >&2; exit 7"]).expect(7);
    assert_eq!((output.stdout.as_str(), output.stderr.contains("err")), ("out\n", true), "{output}");
    // Several arguments are the words of one command, whatever they contain.
    let output = project.disco(&["node", "ssh", "2", "--", "printf", "%s|", "a b", "$HOME"]).ok();
    assert_eq!(output.stdout, "a b|$HOME|", "{output}");
    project.disco(&["node", "ssh", "99", "--", "true"]).expect(6);
}

#[test]
fn node_ssh_opens_a_shell_with_a_terminal_and_returns_its_exit_code() {
    let (project, status) = CLUSTER.whole();
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    tcsetwinsize(&master, Winsize { ws_row: 33, ws_col: 99, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    let slave = || -> OwnedFd { File::options().read(true).write(true).open(&name).unwrap().into() };
    let mut command = project.command(&["node", "ssh", &status.nodes[0].name]);
    command.stdin(Stdio::from(slave())).stdout(Stdio::from(slave())).stderr(Stdio::from(slave())).env("TERM", "xterm");
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut master = File::from(master);
    // Input that is typed before the shell runs waits in the terminal. The marks differ from the input, which is echoed.
    master.write_all(b"stty size; test -t 0 && echo terminal-$((40 + 2)); exit 5\n").unwrap();
    let mut seen = Vec::new();
    let mut part = [0; 4096];
    while let Ok(count @ 1..) = master.read(&mut part) {
        seen.extend_from_slice(&part[..count]);
    }
    let seen = String::from_utf8_lossy(&seen);
    assert_eq!(child.wait().unwrap().code(), Some(5), "{seen}");
    assert!(seen.contains("33 99") && seen.contains("terminal-42"), "{seen}");
}

#[test]
fn the_environment_that_is_printed_reaches_the_cluster() {
    let (project, status) = CLUSTER.whole();
    let output = project.disco(&["env", "-o", "json"]).ok().json();
    let endpoints = output["ETCDCTL_ENDPOINTS"].as_str().unwrap();
    for node in &status.nodes {
        assert!(endpoints.contains(&node.address), "{output:#}");
    }
    for name in ["ETCDCTL_CACERT", "ETCDCTL_CERT", "ETCDCTL_KEY"] {
        let path = output[name].as_str().unwrap();
        assert!(std::fs::read_to_string(path).unwrap().contains("-----BEGIN"), "{name} is {path}");
    }
    let shell = project.disco(&["env"]).ok();
    assert!(shell.stdout.lines().all(|line| line.starts_with("export ")), "{shell}");
}

#[test]
fn doctor_passes_for_a_healthy_cluster_and_names_the_faults_of_a_broken_project() {
    let (project, _) = CLUSTER.whole();
    project.disco(&["doctor"]).ok();
    let key = project.path(".disco/operator.key");
    let open = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o644);
    let closed = std::fs::metadata(&key).unwrap().permissions();
    std::fs::set_permissions(&key, open).unwrap();
    let output = project.disco(&["doctor"]);
    std::fs::set_permissions(&key, closed).unwrap();
    assert_ne!(output.code, 0, "{output}");
    assert!(format!("{output}").contains("chmod 600"), "{output}");
}

#[test]
fn a_node_without_file_descriptors_is_unhealthy_until_it_has_some() {
    let (project, status) = CLUSTER.whole();
    let node = status.nodes.iter().find(|node| Some(node.id) != status.leader).expect("there are three nodes");
    let pid = Pid::from_raw(i32::try_from(node.pid).unwrap()).unwrap();
    // Fewer than it has already opened.
    let none = Rlimit { current: Some(4), maximum: getrlimit(Resource::Nofile).maximum };
    let before = prlimit(Some(pid), Resource::Nofile, none).unwrap();
    let waits = TcpStream::connect(&node.address).expect("the kernel takes it on behalf of the daemon");
    project.wait_for_status(SOON, "the reason", |now| {
        let node = now.node(node.id);
        let reason = node.reason.as_deref().unwrap_or_default();
        !node.healthy && reason.contains("accepts no new connections") && reason.contains("Too many open files")
    });
    prlimit(Some(pid), Resource::Nofile, before).unwrap();
    drop(waits);
    assert_eq!(project.wait_until_healthy(SOON, 3).node(node.id).pid, node.pid);
}

/// The supervisor reports what the daemon cannot: first a key that others can read, then a port in use.
#[test]
fn a_daemon_that_ends_repeatedly_is_unhealthy_and_all_commands_show_why() {
    let (project, status) = CLUSTER.whole();
    let node = status.nodes.iter().find(|node| Some(node.id) != status.leader).expect("there are three nodes");
    let key = project.machine(node.instance.as_deref()).folder.join("home/disco/data/identity/node.key");
    let permissions = |mode| fs::set_permissions(&key, fs::Permissions::from_mode(mode)).expect("the key is there");
    let reason_is = |texts: &'static [&'static str]| {
        project.wait_for_status(SOON, "the reason", |now| {
            let node = now.node(node.id);
            let said = node.reason.as_deref().unwrap_or_default();
            !node.healthy && texts.iter().all(|text| said.contains(text))
        })
    };
    permissions(0o644);
    project.kill(node.pid);
    reason_is(&["its daemon ended", "times in the last", "exit code 1", "is open to others"]);
    wait_for(SOON, "the event", || {
        let events = project.disco(&["events", "-n", "100"]).ok();
        let told = events.stdout.contains("node.crashed") && events.stdout.contains("it ends repeatedly");
        if told { Ok(()) } else { Err(events.to_string()) }
    });
    let json = project.disco(&["status", "-o", "json"]).ok().json();
    let restarts =
        json["nodes"].as_array().unwrap().iter().find(|one| one["id"] == node.id).unwrap()["restarts"].clone();
    assert!(restarts.as_u64().is_some_and(|restarts| restarts >= 3), "{json:#}");

    let port = TcpListener::bind(&node.address).expect("nobody has its port while it does not start");
    permissions(0o600);
    reason_is(&["exit code 1", "listening on", "which process"]);
    let holder = format!("which process {} (", std::process::id());
    let stays_down = format!("the daemon of `{}` does not stay up: it ended", node.name);
    project.disco(&["bootstrap", "-y"]).expect(1).says(&[&stays_down, &holder, "the end of its log"]);
    let doctor = project.disco(&["doctor"]);
    assert!(doctor.stdout.contains(&stays_down) && doctor.stdout.contains(&holder), "{doctor}");
    drop(port);
    project.wait_until_healthy(SOON, 3);
}

/// The end of the only node's daemon, which no other node can see.
#[test]
fn the_end_of_the_only_daemon_is_an_event_too() {
    let project = Project::builder("alone").nodes(1).no_cluster_script().build();
    let status = project.bootstrap();
    project.kill(status.nodes[0].pid);
    wait_for(SOON, "the event", || {
        let events = project.disco(&["events", "-n", "100"]);
        let expected = format!("the daemon of {} ended unexpectedly: signal 9 (SIGKILL)", status.nodes[0].name);
        if events.stdout.contains(&expected) { Ok(()) } else { Err(events.to_string()) }
    });
    let now = project.wait_until_healthy(SOON, 1);
    let json = project.disco(&["status", "-o", "json"]).ok().json();
    assert_eq!(json["nodes"][0]["restarts"], 1, "{now:#?}");
}
