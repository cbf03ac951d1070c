//! The installer on machines as users have them, where systemd runs the daemon.

use std::fs;
use std::time::Duration;

use disco_tests::{Permit, Project, Status, SystemdMachine, free_ip, hosts_project, skipped, wait_for};

/// Time to start a machine, and a node on it, with debug builds.
const LONG: Duration = Duration::from_secs(90);
const UNIT: &str = "/etc/systemd/system/discod.service";

fn project_with_machines(name: &str, count: u32) -> Option<(Project, Vec<SystemdMachine>)> {
    if let Some(why) = SystemdMachine::missing() {
        skipped(why);
        return None;
    }
    let (project, public) = hosts_project(name);
    let machine =
        |n| SystemdMachine::start(&project.outside(&format!("{name}-{n}")), free_ip(), &public, &project.mark());
    let machines: Vec<_> = (0..count).map(machine).collect();
    project.write_hosts(&machines.iter().map(SystemdMachine::host).collect::<Vec<_>>());
    Some((project, machines))
}

/// A property of the daemon's unit in systemd, on every node.
#[track_caller]
fn shown(project: &Project, status: &Status, property: &str) -> Vec<String> {
    let ask = |name: &str| {
        let words = ["node", "ssh", name, "--", "systemctl", "show", "--value", "--property", property, "discod"];
        project.disco(&words).ok().stdout.trim().to_owned()
    };
    status.nodes.iter().map(|node| ask(&node.name)).collect()
}

#[test]
fn systemd_restarts_the_daemon_and_destroy_removes_everything() {
    let _permit = Permit::first();
    let Some((project, mut machines)) = project_with_machines("units", 3) else { return };
    let status = project.bootstrap();
    assert!(status.healthy, "{status:#?}");
    project.put("kept", "yes");
    assert_eq!(shown(&project, &status, "ActiveState"), ["active"; 3]);
    assert_eq!(shown(&project, &status, "UnitFileState"), ["enabled"; 3]);

    // A second run restarts nothing.
    project.disco(&["bootstrap", "-y"]).ok();
    let main_pids = shown(&project, &status, "MainPID");
    assert_eq!(shown(&project, &status, "NRestarts"), ["0"; 3]);

    // systemd restarts a killed daemon.
    let victim = status.leading().clone();
    project
        .disco(&["node", "ssh", &victim.name, "--", "systemctl", "kill", "--kill-who=main", "--signal=KILL", "discod"])
        .ok();
    wait_for(LONG, "another process of the daemon", || {
        let now = shown(&project, &status, "MainPID");
        let other = now.iter().zip(&main_pids).filter(|(now, then)| now != then && *now != "0").count();
        if other == 1 { Ok(()) } else { Err(format!("{now:?}, before {main_pids:?}")) }
    });
    project.wait_until_healthy(LONG, 3);
    wait_for(LONG, "the event of its end", || {
        let events = project.disco(&["events", "-n", "100"]).ok();
        let line = events.stdout.lines().find(|line| line.contains("node.crashed") && line.contains(&victim.name));
        if line.is_some_and(|line| line.contains("signal 9 (SIGKILL)")) { Ok(()) } else { Err(events.to_string()) }
    });

    // After a power cut the node starts with its machine.
    machines[2].down();
    project.wait_for_status(LONG, "the node without power not healthy", |now| !now.healthy);
    machines[2].up();
    project.wait_until_healthy(LONG, 3);
    assert_eq!(project.get("kept").as_deref(), Some("yes"));

    another_build_goes_in_and_one_that_is_none_comes_out(&project, &machines);
    let logs = project.disco(&["logs", "-n", "5", &victim.name]).ok();
    assert!(!logs.stdout.is_empty(), "{logs}");

    project.disco(&["destroy", "-y"]).ok();
    for machine in &machines {
        for path in [UNIT, "/usr/local/bin/discod", "/usr/local/bin/disco", "/var/lib/disco", "/etc/disco"] {
            assert!(!machine.file(path).exists(), "{path} is left on {}", machine.host());
        }
    }
}

/// By default Debian's users have no systemd of their own that outlives them: there cron starts the node. If an administrator
/// has enabled it, the user's systemd does.
#[test]
fn a_node_without_root_starts_when_its_machine_boots() {
    if let Some(why) = SystemdMachine::missing() {
        return skipped(why);
    }
    let (project, public) = hosts_project("boots");
    let mut machine = SystemdMachine::start(&project.outside("boots-0"), free_ip(), &public, &project.mark());
    project.write_hosts(&[machine.host_of("alice")]);
    let [table, unit, linger] = [
        "/var/spool/cron/crontabs/alice",
        "/home/alice/.config/systemd/user/discod.service",
        "/var/lib/systemd/linger/alice",
    ]
    .map(|path| machine.file(path));
    for lingers in [false, true] {
        if lingers {
            fs::create_dir_all(linger.parent().unwrap()).unwrap();
            fs::write(&linger, "").unwrap();
            machine.down();
            machine.up();
        }
        project.bootstrap();
        assert_eq!((table.exists(), unit.exists()), (!lingers, lingers), "{}", machine.log());
        project.put("kept", "yes");
        machine.down();
        machine.up();
        project.wait_until_healthy(LONG, 1);
        assert_eq!(project.get("kept").as_deref(), Some("yes"));
        project.disco(&["destroy", "-y"]).ok();
        assert!(!table.exists() && !unit.exists(), "what starts it is left");
        assert_eq!(linger.exists(), lingers);
    }
}

fn another_build_goes_in_and_one_that_is_none_comes_out(project: &Project, machines: &[SystemdMachine]) {
    let installed = |machine: &SystemdMachine| fs::read(machine.file("/usr/local/bin/discod")).unwrap();
    let new = project.another_build("new");
    project.disco(&["upgrade"]).ok();
    let new_bytes = fs::read(&new).unwrap();
    assert!(machines.iter().all(|machine| installed(machine) == new_bytes), "another binary is installed");
    project.wait_until_healthy(LONG, 3);

    let broken = project.outside("broken");
    fs::copy("/bin/sleep", &broken).unwrap();
    project.point_discod_to(&broken);
    project.disco(&["upgrade", "--node-timeout", "20s"]).expect(10);
    project.point_discod_to(&new);
    assert!(machines.iter().all(|machine| installed(machine) == new_bytes), "the binary before did not come back");
    project.wait_until_healthy(LONG, 3);
}
