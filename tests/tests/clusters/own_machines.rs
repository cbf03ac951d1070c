//! How most people begin: machines that they already reach with `ssh`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use disco_tests::{Project, SOON, Sshd, free_ip, skipped, wait_for};

/// An agent that holds one key, of which there is no file.
struct Agent {
    child: Child,
    socket: PathBuf,
    public: String,
}

impl Agent {
    fn start(folder: &Path) -> Self {
        fs::create_dir_all(folder).unwrap();
        let (key, socket) = (folder.join("key"), folder.join("agent"));
        let run = |command: &mut Command| {
            let output = command.output().unwrap();
            assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        };
        run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key));
        let public = fs::read_to_string(folder.join("key.pub")).unwrap().trim().to_owned();
        let mut agent = Command::new("ssh-agent");
        agent.arg("-D").arg("-a").arg(&socket).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let agent = Self { child: agent.spawn().unwrap(), socket, public };
        wait_for(SOON, "the agent", || if agent.socket.exists() { Ok(()) } else { Err("no socket".to_owned()) });
        run(Command::new("ssh-add").arg("-q").arg(&key).env("SSH_AUTH_SOCK", &agent.socket));
        fs::remove_file(&key).unwrap();
        agent
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Fails only when it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The user and the address of a server.
fn parts(server: &Sshd) -> (String, String) {
    let host = server.host();
    let (user, endpoint) = host.split_once('@').unwrap();
    (user.to_owned(), endpoint.strip_suffix(":2222").unwrap().to_owned())
}

#[test]
fn machines_of_an_agent_an_alias_and_a_jump_host_become_a_cluster_in_one_command() {
    let programs = [("ssh-agent", "openssh-client"), ("ssh-add", "openssh-client")];
    if Sshd::program().is_none() {
        return skipped("there is no `sshd` (Debian: openssh-server)");
    }
    for (program, package) in programs {
        if Command::new(program).arg("-h").output().is_err() {
            return skipped(format!("there is no `{program}` (Debian: {package})"));
        }
    }
    let mut project = Project::builder("own").build();
    for script in ["client.js", "cluster.js"] {
        fs::remove_file(project.path(script)).unwrap();
    }
    let agent = Agent::start(&project.outside("agent"));
    project.set_environment(vec![("SSH_AUTH_SOCK".to_owned(), agent.socket.display().to_string())]);
    let mark = project.mark();
    let server = |name: &str| {
        Sshd::start(&project.outside(name), free_ip(), &agent.public, &[("DISCO_TEST_DIR", mark.as_path())])
    };
    let (mut one, mut two, three, mut gate, four) =
        (server("one"), server("two"), server("three"), server("gate"), server("four"));

    // An alias, a plain address, an alias behind a jump host; the first one's key is known, by a hashed name.
    let alias = |name: &str, server: &Sshd, more: &str| {
        let (user, ip) = parts(server);
        format!("Host {name}\n  HostName {ip}\n  User {user}\n  Port 2222\n{more}")
    };
    let home = project.outside("home/.ssh");
    fs::create_dir_all(&home).unwrap();
    let config = alias("one", &one, "") + &alias("three", &three, "  ProxyJump gate\n") + &alias("gate", &gate, "");
    fs::write(home.join("config"), config).unwrap();
    fs::set_permissions(home.join("config"), fs::Permissions::from_mode(0o600)).unwrap();
    let host_key = fs::read_to_string(project.outside("one/host_key.pub")).unwrap();
    fs::write(home.join("known_hosts"), format!("[{}]:2222 {host_key}", parts(&one).1)).unwrap();
    let hashed = Command::new("ssh-keygen").args(["-q", "-H", "-f"]).arg(home.join("known_hosts")).output().unwrap();
    assert!(hashed.status.success());

    let hosts = ["one".to_owned(), two.host(), "three".to_owned()].join(",");
    let written = project.disco(&["init", "--name", "own", "--hosts", &hosts]).ok();
    written.says(&["`three` is", "through", "disco bootstrap"]);

    // Before anything is installed, `doctor` has been everywhere.
    let healthy = project.disco(&["doctor"]).ok();
    for part in ["one (", &two.host(), "three (", "port 5080 is free"] {
        assert!(healthy.stdout.contains(part), "`doctor` does not say `{part}`: {healthy}");
    }
    assert!(project.path(".disco/.gitignore").exists());
    gate.down();
    let cut = project.disco(&["doctor", "-o", "json"]).expect(1);
    let failed: Vec<_> =
        cut.json().as_array().unwrap().iter().filter(|check| check["state"] == "fail").cloned().collect();
    assert!(failed.len() == 1 && failed[0]["detail"].to_string().contains("through the jump host"), "{cut}");
    gate.up();

    project.disco(&["bootstrap", "-y"]).ok();
    let status = project.wait_until_healthy(Duration::from_secs(30), 3);
    assert_eq!(status.voters(), 3, "{status:#?}");
    assert!(gate.log().contains("Accepted publickey"), "{}", gate.log());
    assert!(!project.path(".disco/id_ed25519").exists(), "a key was made that no machine accepts");
    let pinned = fs::read_to_string(project.path(".disco/known_hosts")).unwrap();
    assert!(pinned.contains(host_key.split_whitespace().nth(1).unwrap()), "{pinned}");

    // A log that is followed goes on when its daemon is started again, and repeats no line.
    let follower = status.nodes.iter().find(|node| Some(node.id) != status.leader).expect("a follower");
    let mut log = project.start(&["logs", "-f", &follower.name]);
    log.wait_for_stdout(SOON, " started");
    let before = log.stdout();
    project.kill(follower.pid);
    wait_for(SOON, "the log of the next daemon", || match log.stdout().matches(" started").count() {
        0 | 1 => Err(format!("stdout {:?}, stderr {:?}", log.stdout(), log.stderr())),
        _ => Ok(()),
    });
    let first = before.lines().next().unwrap();
    assert_eq!(log.stdout().matches(first).count(), 1, "{}", log.stdout());
    wait_for(SOON, "the message about the pause", || {
        if log.stderr().contains("waiting until it is back") { Ok(()) } else { Err(log.stderr()) }
    });
    drop(log);
    project.wait_until_healthy(Duration::from_secs(30), 3);

    // One more, which stays the only one however often it is added.
    let added = four.host();
    project.disco(&["node", "add", &added, "--dry-run"]).ok().says(&["would make it a node"]);
    let answer = project.disco(&["node", "add", &added, "-o", "json"]).ok().json();
    assert_eq!((&answer["added"], &answer["host"]), (&true.into(), &added.as_str().into()), "{answer}");
    let again = project.disco(&["node", "add", &added, "-o", "json"]).ok().json();
    assert_eq!((&again["added"], &again["id"]), (&false.into(), &answer["id"]), "{again}");
    project.wait_until_healthy(Duration::from_secs(30), 4);
    // However it is written.
    let endpoint = added.split_once('@').unwrap().1;
    project.disco(&["node", "add", endpoint]).ok().says(&["already"]);
    let list = fs::read_to_string(project.path("hosts.js")).unwrap();
    assert_eq!(list.matches(endpoint).count(), 1, "{list}");
    // The scripts name it now.
    project.disco(&["bootstrap", "-y"]).ok();

    // A host that was an alias of another address, without a server there.
    one.down();
    two.down();
    let refused = project.disco(&["destroy", "-y"]).expect(4);
    let (first, second) = (one.host(), two.host());
    let endpoints = [&first, &second].map(|host| host.split_once('@').unwrap().1.to_owned());
    let refused = refused.says(&[&endpoints[0], &endpoints[1], "authorized_keys", "disco destroy --force"]);
    assert!(refused.took < Duration::from_secs(60), "{refused}");
    assert!(!three.prefix().exists() && !four.prefix().exists() && one.prefix().exists());
    let given_up =
        project.disco(&["destroy", "-y", "--force", "-o", "json"]).ok().says(&["given up", "remove it there with"]);
    let left = given_up.json()["left"].as_array().unwrap().clone();
    let mut names: Vec<_> = left.iter().map(|left| left["host"].as_str().unwrap().to_owned()).collect();
    names.sort();
    let mut expected = endpoints.to_vec();
    expected.sort();
    assert_eq!(names, expected, "{given_up}");
    assert!(left.iter().all(|left| left["removal"].as_str().unwrap().contains("authorized_keys")), "{given_up}");
    assert!(!project.path(".disco").exists());
}
