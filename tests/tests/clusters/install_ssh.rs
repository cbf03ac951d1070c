//! The installer with real OpenSSH servers, on given machines, and recovery over SSH.

use std::fs;
use std::net::IpAddr;
use std::time::Duration;

use disco_identity::{Authority, PrivateKey, Validity, unix_now};
use disco_tests::{Project, SOON, Sshd, Status, Tmpfs, free_ip, hosts_project, skipped, wait_for};

/// A project with a key pair and this number of servers; `None` without OpenSSH.
fn project_with_hosts(name: &str, hosts: u32) -> Option<(Project, Vec<Sshd>)> {
    if Sshd::program().is_none() {
        skipped("there is no `sshd` (Debian: openssh-server)");
        return None;
    }
    let (project, public) = hosts_project(name);
    let mark = project.mark();
    let servers: Vec<Sshd> = (0..hosts)
        .map(|n| Sshd::start(&project.outside(&format!("host-{n}")), free_ip(), &public, &[("DISCO_TEST_DIR", &mark)]))
        .collect();
    project.write_hosts(&servers.iter().map(Sshd::host).collect::<Vec<_>>());
    Some((project, servers))
}

#[test]
fn three_machines_with_openssh_become_a_cluster_and_a_changed_host_key_is_refused() {
    let Some((project, mut servers)) = project_with_hosts("given", 3) else { return };
    let status = project.bootstrap();
    assert!(status.healthy, "{status:#?}");
    assert_eq!((status.nodes.len(), status.voters()), (3, 3), "{status:#?}");
    project.put("a", "1");
    assert_eq!(project.get("a").as_deref(), Some("1"));
    for server in &servers {
        assert!(server.prefix().join("bin/discod").is_file(), "nothing is installed at {}", server.host());
    }
    // A second run restarts nothing and sends nothing.
    project.disco(&["bootstrap", "-y"]).ok();
    project.wait_for_same_processes(&status);

    // Another build is installed the same way, and rolled back the same way if it is no daemon.
    let new = project.another_build("new");
    project.disco(&["upgrade"]).ok();
    for server in &servers {
        let installed = server.prefix().join("bin/discod");
        assert!(fs::read(installed).unwrap() == fs::read(&new).unwrap(), "{} has another binary", server.host());
    }
    let sleep = project.outside("sleep");
    fs::copy("/bin/sleep", &sleep).unwrap();
    project.point_discod_to(&sleep);
    project.disco(&["upgrade", "--node-timeout", "20s"]).expect(10);
    project.point_discod_to(&new);
    let nothing = project.disco(&["upgrade", "-o", "json"]).ok().json();
    assert_eq!(nothing["changed"], false, "{nothing:#}");
    let before = project.wait_until_healthy(Duration::from_secs(30), 3);

    // Apparently another machine at the same address.
    servers[0].down();
    servers[0].new_host_key();
    servers[0].up();
    let refused = project.disco(&["bootstrap", "-y"]).says(&["host key"]);
    assert!([1, 3].contains(&refused.code), "{refused}");
    project.wait_for_same_processes(&before);

    // The daemons are not children of the servers, and outlive them.
    for server in &mut servers {
        server.down();
    }
    assert!(project.wait_until_healthy(Duration::from_secs(30), 3).healthy);
}

#[test]
fn a_rejected_key_and_a_missing_machine_have_clear_errors() {
    let Some((project, mut servers)) = project_with_hosts("unwelcome", 1) else { return };
    fs::write(project.outside("host-0/home/.ssh/authorized_keys"), "").unwrap();
    let output = project.disco(&["bootstrap", "-y"]).says(&[servers[0].host().split_once('@').unwrap().1]);
    assert!([1, 3].contains(&output.code), "{output}");
    assert!(output.stderr.contains("key"), "{output}");
    servers[0].down();
    let output = project.disco(&["bootstrap", "-y"]).says(&["nothing listens at that port"]);
    assert!([1, 4].contains(&output.code), "{output}");
    assert!(output.took < Duration::from_secs(60), "{output}");
}

#[test]
fn added_and_moved_hosts_are_used_and_a_bad_one_stops_no_other() {
    let Some((project, mut servers)) = project_with_hosts("taken-up", 2) else { return };
    let hosts = |servers: &[Sshd]| servers.iter().map(Sshd::host).collect::<Vec<_>>();
    let first = hosts(&servers[..1]);
    project.write_client_hosts(&first, 1);
    project.write_cluster_hosts(&first);
    project.bootstrap();

    // In one script only, and after two that cannot be used.
    let (nowhere, dead) = ("root@no-such-machine.invalid".to_owned(), format!("root@{}:2222", free_ip()));
    let more = [first[0].clone(), nowhere, dead, servers[1].host()];
    project.write_client_hosts(&more, 2);
    project.disco(&["scale", "nodes=2"]).ok();
    let status = project.wait_until_healthy(Duration::from_secs(30), 2);
    let second = servers[1].host().split_once('@').unwrap().1.to_owned();
    let added = status.nodes.iter().find(|node| node.instance.as_ref() == Some(&second)).expect("it was installed");
    let shown = project.disco(&["node", "ssh", &added.name, "--", "echo here"]).ok();
    assert_eq!(shown.stdout, "here\n", "{shown}");

    // The script has another port: it is the same machine.
    servers[0].move_to(2223);
    project.write_client_hosts(&[servers[0].host()], 2);
    project.disco(&["bootstrap", "-y"]).ok();
    project.wait_for_same_processes(&status);
    let founder = status.nodes.iter().find(|node| node.id == 1).expect("the first node").name.clone();
    let shown = project.disco(&["node", "ssh", &founder, "--", "echo moved"]).ok();
    assert_eq!(shown.stdout, "moved\n", "{shown}");

    // Named by no script any more, and unreachable: it stops no other host, and is not forgotten.
    servers[1].down();
    let shown = project.disco(&["node", "ssh", &founder, "--", "echo alone"]).ok();
    assert_eq!(shown.stdout, "alone\n", "{shown}");
    project.disco(&["destroy", "-y"]).expect(4).says(&[&second, "disco destroy --force"]);
    assert!(
        !servers[0].prefix().exists() && servers[1].prefix().exists(),
        "what can be reached is given back, and nothing else"
    );
    project.disco(&["destroy", "-y", "--force"]).ok().says(&["given up", &second]);
    assert!(!project.path(".disco").exists());
}

#[test]
fn a_bootstrap_ends_if_the_cluster_cannot_use_a_machine_and_continues_once_it_can() {
    let Some((project, servers)) = project_with_hosts("locked-out", 3) else { return };
    let keys = project.outside("host-2/home/.ssh/authorized_keys");
    let operators = fs::read(&keys).unwrap();
    fs::write(&keys, "").unwrap();
    let ended = project.start(&["bootstrap", "-y"]).wait(Duration::from_secs(150)).expect(1);
    let endpoint = servers[2].host().split_once('@').unwrap().1.to_owned();
    let ended = ended.says(&["the cluster is not complete", &endpoint, "refused the key", "`disco status`", "hint:"]);
    assert!(!ended.stdout.contains("complete"), "{ended}");
    project.wait_for_status(SOON, "two nodes healthy, and no third one", |now| {
        now.nodes.iter().filter(|node| node.healthy).count() == 2
    });
    wait_for(SOON, "the reason in the status", || {
        let shown = project.disco(&["status"]).ok();
        let has_reason = shown.stdout.contains(&endpoint) && shown.stdout.contains("refused the key");
        if has_reason { Ok(()) } else { Err(shown) }
    });

    fs::write(&keys, operators).unwrap();
    project.disco(&["bootstrap", "-y"]).ok();
    project.wait_until_healthy(SOON, 3);
}

#[test]
fn authorized_keys_stay_unchanged_if_they_cannot_be_written() {
    if Sshd::program().is_none() {
        return skipped("there is no `sshd` (Debian: openssh-server)");
    }
    let (project, public) = hosts_project("unwritable");
    let folder = project.outside("host-0");
    let Some(disk) = Tmpfs::mount(&folder.join("home/.ssh"), 64 << 10) else { return };
    let server = Sshd::start(&folder, free_ip(), &public, &[("DISCO_TEST_DIR", &project.mark())]);
    project.write_hosts(&[server.host()]);
    let before = format!("# mine\n{public}\nssh-ed25519 AAAAother me");
    fs::write(server.keys(), &before).unwrap();
    let keys = || fs::read_to_string(server.keys()).unwrap();
    // The command fails, names the file and the reason, and does not change the file.
    let fails = |args: &[&str]| {
        let kept = keys();
        for (full, why) in [(true, "No space left on device"), (false, "Read-only file system")] {
            if full {
                disk.fill(0)
            } else {
                disk.set_writable(false)
            }
            let output = project.disco(args).says(&["authorized_keys", why]);
            assert_ne!(output.code, 0, "{output}");
            assert_eq!(keys(), kept, "{why}: {output}");
            if full { disk.empty() } else { disk.set_writable(true) }
        }
    };
    fails(&["bootstrap", "-y"]);
    project.bootstrap();
    assert!(keys().ends_with(&before) && keys().len() > before.len(), "{}", keys());
    fails(&["destroy", "-y"]);
    project.disco(&["destroy", "-y"]).ok();
    assert_eq!(keys(), before);
    assert!(!server.prefix().exists());
}

/// Simulates machines that were off: the node's certificate has ended, and its daemon starts with that.
fn expire(project: &Project, server: &Sshd, status: &Status) -> u32 {
    let ip: IpAddr = server.host().split_once('@').unwrap().1.split_once(':').unwrap().0.parse().unwrap();
    let node = status.nodes.iter().find(|node| node.address.starts_with(&format!("{ip}:"))).expect("its node");
    let file = |name: &str| server.prefix().join("data/identity").join(name);
    let read = |name: &str| fs::read_to_string(file(name)).unwrap();
    let signer = Authority::from_pem(&read("intermediate.pem"), &read("intermediate.key")).unwrap();
    let request = PrivateKey::load(&file("node.key")).unwrap().signing_request().unwrap();
    // Not before the signing key that certifies it.
    let over = Validity { not_before: unix_now() - 60, not_after: unix_now() - 1 };
    fs::write(file("node.pem"), signer.issue_node(&request, node.id, &[ip], over).unwrap()).unwrap();
    project.kill(node.pid);
    node.pid
}

/// The daemons of all nodes, once none of these is among them.
fn daemons(project: &Project, before: &[u32]) -> Vec<u32> {
    wait_for(SOON, "the daemons to be started again", || {
        let pids = project.daemons();
        let are_new = pids.len() == 3 && before.iter().all(|pid| !pids.contains(pid));
        if are_new { Ok(pids) } else { Err(format!("{pids:?}")) }
    })
}

#[test]
fn a_cluster_with_expired_certificates_is_restored_over_openssh() {
    let Some((project, mut servers)) = project_with_hosts("expired", 3) else { return };
    project.bootstrap();
    let status = project.wait_until_healthy(Duration::from_secs(30), 3);
    project.put("kept", "value");
    let keys = |servers: &[Sshd]| {
        let key = |server: &Sshd| fs::read(server.prefix().join("data/identity/node.key")).unwrap();
        servers.iter().map(key).collect::<Vec<_>>()
    };
    let before = keys(&servers);
    let killed: Vec<u32> = servers.iter().map(|server| expire(&project, server, &status)).collect();
    let running = daemons(&project, &killed);
    project.disco(&["status"]).expect(3).says(&["disco cert rotate --expired"]);

    // A machine that cannot be reached is named, and delays no other.
    servers[2].down();
    let without = project.disco(&["cert", "rotate", "--expired", "--dry-run"]);
    assert!(without.code != 0 || without.stderr.contains("did not answer"), "{without}");
    servers[2].up();

    project.disco(&["cert", "rotate", "--expired"]).ok().says(&["has a new certificate"]);
    let after = project.wait_until_healthy(Duration::from_secs(30), 3);
    let mut pids: Vec<u32> = after.pids().into_values().collect();
    pids.sort_unstable();
    assert_eq!(pids, running, "the daemons took up their certificates without a restart");
    assert_eq!(project.get("kept").as_deref(), Some("value"));
    assert_eq!(keys(&servers), before, "a node has another key");
    project.put("kept", "another");
    let rows = project.disco(&["cert", "status", "-o", "json"]).ok().json();
    for row in rows.as_array().unwrap().iter().filter(|row| row["role"] == "node") {
        assert_eq!(row["state"], "valid", "{rows:#}");
    }
}

/// Lines that a login shell may print, especially about nodes of clusters.
const NOISE: &str = "echo 'Welcome!'; printf '\\033]0;title\\007'\n\
                     echo 'node {\"cluster_id\":\"x\",\"cluster_name\":\"x\",\"node_id\":1,\"name\":\"x\"}'\necho nothing\necho end\n\
                     trap 'echo goodbye' EXIT\n";

/// The files installed on a machine, and its authorized keys.
fn unchanging(server: &Sshd) -> Vec<(String, Vec<u8>)> {
    let mut files = vec![("authorized_keys".to_owned(), fs::read(server.keys()).unwrap())];
    for folder in ["bin", "service"] {
        for entry in fs::read_dir(server.prefix().join(folder)).into_iter().flatten() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_file() && !name.starts_with("log") {
                files.push((format!("{folder}/{name}"), fs::read(path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

#[test]
fn another_clusters_machine_is_not_changed_and_removed_machines_are_as_before() {
    let Some((prod, theirs)) = project_with_hosts("prod", 1) else { return };
    prod.bootstrap();
    prod.put("kept", "yes");
    let (project, public) = hosts_project("stage");
    let mark = project.mark();
    let key = format!("from=\"127.0.0.0/8\" {public}");
    let start = |name: &str, ips: &[IpAddr]| {
        Sshd::start_behind(&project.outside(name), ips[0], ips, &[], &key, &[("DISCO_TEST_DIR", &mark)])
    };
    let (noisy_ips, plain_ip) = ([free_ip(), free_ip()], free_ip());
    // The first machine has two addresses, and prints; the last line of the other one's keys has no line break.
    let noisy = start("noisy", &noisy_ips);
    fs::write(project.outside("noisy/home/.bashrc"), NOISE).unwrap();
    let plain = start("plain", &[plain_ip]);
    let mut keys = fs::read(plain.keys()).unwrap();
    keys.extend_from_slice(b"ssh-ed25519 AAAAsomebody else");
    fs::write(plain.keys(), &keys).unwrap();
    let noisy_keys = fs::read(noisy.keys()).unwrap();
    // Both clusters have the same operator.
    let theirs = &theirs[0];
    let mut both = fs::read(theirs.keys()).unwrap();
    both.extend_from_slice(format!("{public}\n").as_bytes());
    fs::write(theirs.keys(), both).unwrap();
    let before = unchanging(theirs);
    let running = prod.wait_until_healthy(SOON, 1);

    let hosts = [noisy.host_at(noisy_ips[0]), noisy.host_at(noisy_ips[1]), theirs.host(), plain.host()];
    project.write_hosts_for(&hosts, 2);
    let output = project.disco(&["bootstrap", "-y"]).ok();
    assert!(output.stderr.contains("it belongs to another cluster") && output.stderr.contains("`prod`"), "{output}");
    let status = project.wait_until_healthy(Duration::from_secs(30), 2);
    let at = |ip: IpAddr| status.nodes.iter().find(|node| node.address.starts_with(&format!("{ip}:")));
    assert!(at(noisy_ips[0]).is_some() && at(plain_ip).is_some(), "{status:#?}");
    // The cluster's key was not added where another cluster's node runs.
    for why in ["of this cluster, known as", "refused the key"] {
        wait_for(SOON, &format!("an event with `{why}`"), || {
            let events = project.disco(&["events", "-o", "json"]).ok();
            if events.stdout.contains(why) { Ok(()) } else { Err(events) }
        });
    }
    // The operator's line has its restrictions, and nothing is appended to the last line.
    let now = fs::read_to_string(plain.keys()).unwrap();
    assert!(now.ends_with(std::str::from_utf8(&keys).unwrap()) && now.lines().count() == 3, "{now}");

    // The machine of a node that the operator removes is as it was before.
    let removed = at(plain_ip).unwrap().name.clone();
    project.disco(&["node", "rm", &removed, "-y"]).ok().says(&["from the scripts' `hosts` too"]);
    wait_for(SOON, "the end of what was on the machine", || {
        let now = fs::read_to_string(plain.keys()).unwrap();
        if now.as_bytes() == keys && !plain.prefix().exists() { Ok(()) } else { Err(now) }
    });

    project.disco(&["destroy", "-y"]).ok().says(&["belongs to another cluster", "same machine"]);
    assert!(!noisy.prefix().exists() && !plain.prefix().exists());
    assert_eq!((fs::read(noisy.keys()).unwrap(), fs::read(plain.keys()).unwrap()), (noisy_keys, keys));
    assert_eq!(unchanging(theirs), before);
    prod.wait_for_same_processes(&running);
    assert_eq!(prod.get("kept").as_deref(), Some("yes"));
}
