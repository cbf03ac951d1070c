//! The installer against real OpenSSH servers, on machines that somebody else made.

use std::fs;
use std::time::Duration;

use disco_tests::{Project, Sshd, free_ip, hosts_project, skipped};

/// A project with a key pair and so many servers; `None` where there is no OpenSSH.
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
    // Running it again restarts nothing and sends nothing.
    let pids = status.pids();
    let again = project.disco(&["bootstrap", "-y"]).ok();
    assert_eq!(project.status().pids(), pids, "{again}");

    // Another build gets there in the same way, and is taken back in the same way when it is no daemon.
    let new = project.another_build("new");
    project.disco(&["upgrade"]).ok();
    for server in &servers {
        let installed = server.prefix().join("bin/discod");
        assert!(fs::read(installed).unwrap() == fs::read(&new).unwrap(), "{} has another binary", server.host());
    }
    let sleep = project.outside("sleep");
    fs::copy("/bin/sleep", &sleep).unwrap();
    project.point_discod_to(&sleep);
    project.disco(&["upgrade", "--node-timeout", "8s"]).expect(10);
    project.point_discod_to(&new);
    let nothing = project.disco(&["upgrade", "-o", "json"]).ok().json();
    assert_eq!(nothing["changed"], false, "{nothing:#}");
    let pids = project.wait_until_healthy(Duration::from_secs(30), 3).pids();

    // Another machine at the same address, as far as one can tell.
    servers[0].down();
    servers[0].new_host_key();
    servers[0].up();
    let refused = project.disco(&["bootstrap", "-y"]).says(&["host key"]);
    assert!([1, 3].contains(&refused.code), "{refused}");
    assert_eq!(project.status().pids(), pids);

    // The daemons are nobody's children: they outlive the servers.
    for server in &mut servers {
        server.down();
    }
    assert!(project.wait_until_healthy(Duration::from_secs(30), 3).healthy);
}

#[test]
fn a_key_that_the_machine_does_not_know_and_a_machine_that_is_not_there_are_said() {
    let Some((project, mut servers)) = project_with_hosts("unwelcome", 1) else { return };
    fs::write(project.outside("host-0/home/.ssh/authorized_keys"), "").unwrap();
    let output = project.disco(&["bootstrap", "-y"]).says(&[servers[0].host().split_once('@').unwrap().1]);
    assert!([1, 3].contains(&output.code), "{output}");
    assert!(output.stderr.contains("key"), "{output}");
    servers[0].down();
    let output = project.disco(&["bootstrap", "-y"]).says(&["did not answer"]);
    assert!([1, 4].contains(&output.code), "{output}");
    assert!(output.took < Duration::from_secs(60), "{output}");
}
