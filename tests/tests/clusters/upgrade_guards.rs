//! Upgrades that must not be: a second one beside the first, and programs that are older than the cluster's data.

use std::fs;
use std::path::Path;
use std::time::Duration;

use disco_proto::v1::{ClaimUpgradeRequest, ClaimUpgradeResponse, CreateJoinTokenRequest};
use disco_tests::{Api, Binaries, Permit, Project, SOON, Status, block, wait_for};
use rustix::process::Signal;

/// Starting a machine with debug builds.
const LONG: Duration = Duration::from_secs(60);
/// For how long a claim stands by itself, and somewhat more.
const CLAIM: Duration = Duration::from_secs(25);

fn claim(
    api: &Api,
    address: &str,
    holder: &str,
    change: impl FnOnce(&mut ClaimUpgradeRequest),
) -> ClaimUpgradeResponse {
    let (by, binary) = (format!("{holder}@elsewhere"), "ab".repeat(32));
    let mut request = ClaimUpgradeRequest { holder: holder.to_owned(), by, binary, take_over: false, release: false };
    change(&mut request);
    let mut control = api.control(address);
    block(control.claim_upgrade(request)).unwrap().into_inner()
}

fn nothing(_: &mut ClaimUpgradeRequest) {}

#[track_caller]
fn untouched(project: &Project, before: &Status) {
    let now = project.wait_until_healthy(SOON, 3);
    assert_eq!(now.pids(), before.pids(), "something was restarted");
    for node in &now.nodes {
        let bin = project.machine(node.instance.as_deref()).prefix().join("bin");
        assert!(!bin.join("discod.next").exists(), "{} was sent something", node.name);
    }
}

#[test]
fn one_of_two_concurrent_upgrades_is_refused_and_a_dead_ones_claim_expires() {
    let _permit = Permit::first();
    let project = Project::new("two");
    let before = project.bootstrap();
    project.another_build("new");
    let api = Api::operator(&project);
    let addresses: Vec<String> = before.nodes.iter().map(|node| node.address.clone()).collect();

    // Somebody else upgrades: whoever is asked knows it.
    assert!(claim(&api, &addresses[1], "ann", nothing).granted);
    let refused = project.disco(&["upgrade"]).expect(5);
    refused.says(&["ann@elsewhere upgrades this cluster since", "abababababab", "hint:", "--take-over"]);
    untouched(&project, &before);
    let second = claim(&api, &addresses[2], "bob", nothing);
    assert_eq!((second.granted, second.by.as_str()), (false, "ann@elsewhere"));
    assert!(second.remaining_ms <= 15_000, "{second:?}");
    // Who has it keeps it, and nobody else gives it back.
    assert!(claim(&api, &addresses[0], "bob", |request| request.release = true).granted);
    assert!(claim(&api, &addresses[0], "ann", nothing).granted);
    assert!(!claim(&api, &addresses[0], "bob", nothing).granted);

    // Her client dies: the next one goes on by itself, a little later.
    wait_for(CLAIM, "the end of a claim that nobody keeps", || {
        let output = project.disco(&["upgrade"]);
        if output.code == 0 { Ok(()) } else { Err(output.expect(5).to_string()) }
    });
    let after = project.wait_until_healthy(SOON, 3);
    assert!(before.pids().iter().all(|(id, pid)| after.node(*id).pid != *pid), "not all were restarted");
    // It was given back at the end.
    assert!(claim(&api, &addresses[0], "bob", nothing).granted);

    // Taken over, the one before stops before its next step.
    let newer = project.another_build("newer");
    project.disco(&["upgrade", "--take-over"]).ok();
    let lost = claim(&api, &addresses[0], "bob", nothing);
    assert!(lost.granted, "{lost:?}");
    assert!(claim(&api, &addresses[0], "bob", |request| request.release = true).granted);
    let events = project.disco(&["events"]).ok().stdout;
    assert!(events.contains("upgrade.taken_over"), "{events}");
    for node in project.wait_until_healthy(SOON, 3).nodes {
        let running = fs::read(Path::new(&format!("/proc/{}/exe", node.pid))).unwrap();
        assert!(running == fs::read(&newer).unwrap(), "{} runs another binary", node.name);
    }
}

#[test]
fn an_upgrade_that_is_taken_over_stops_and_a_killed_one_continues_at_once() {
    let _permit = Permit::first();
    let project = Project::new("takenover");
    let before = project.bootstrap();
    let new = project.another_build("new");
    let api = Api::operator(&project);
    let addresses: Vec<String> = before.nodes.iter().map(|node| node.address.clone()).collect();
    let mut running = project.start(&["upgrade"]);
    wait_for(LONG, "the first node to be done", || {
        let said = running.stderr();
        assert!(!running.has_ended(), "{said}");
        if said.contains("runs the new binary") { Ok(()) } else { Err(said) }
    });
    wait_for(SOON, "the take-over", || {
        let answer = claim(&api, &addresses[0], "cat", |request| request.take_over = true);
        if answer.granted { Ok(()) } else { Err(format!("{answer:?}")) }
    });
    running.wait(LONG).expect(5).says(&["cat@elsewhere has taken this upgrade over"]);
    let between = project.wait_until_healthy(SOON, 3);
    let same = before.pids().iter().filter(|(id, pid)| between.node(**id).pid == **pid).count();
    assert!(same > 0, "it went on to the end");
    assert!(claim(&api, &addresses[0], "cat", |request| request.release = true).granted);

    // Killed without a word: the same project goes on without waiting.
    let mut killed = project.start(&["upgrade"]);
    wait_for(LONG, "the upgrade under way", || {
        let said = killed.stderr();
        if killed.has_ended()
            || said.contains("restarting")
            || said.contains("handing")
            || said.contains("runs the new")
        {
            Ok(())
        } else {
            Err(said)
        }
    });
    killed.signal(Signal::KILL);
    killed.wait(SOON);
    project.disco(&["upgrade"]).ok();
    for node in project.wait_until_healthy(SOON, 3).nodes {
        let running = fs::read(Path::new(&format!("/proc/{}/exe", node.pid))).unwrap();
        assert!(running == fs::read(&new).unwrap(), "{} runs another binary", node.name);
    }
}

#[test]
fn a_program_older_than_the_data_is_refused_before_anything_is_sent() {
    let project = Project::new("older");
    let before = project.bootstrap();
    let two = project.build_of_format(2);
    let api = Api::operator(&project);
    let address = before.nodes[0].address.clone();
    assert_eq!(api.status(&address).unwrap().format, 1);
    project.disco(&["upgrade"]).ok();
    // Only when all can read it, and none goes back any more.
    let status = wait_for(SOON, "the new format", || {
        let status = api.status(&address).map_err(|status| status.to_string())?;
        if status.format == 2 { Ok(project.status()) } else { Err(format!("{}", status.format)) }
    });
    let data: Vec<_> = project.machines().iter().map(|machine| machine.data().join("format")).collect();
    wait_for(SOON, "the format in all data folders", || {
        let found: Vec<_> = data.iter().map(|file| fs::read_to_string(file).unwrap_or_default()).collect();
        if found.iter().all(|text| text == "2\n") { Ok(()) } else { Err(format!("{found:?}")) }
    });

    project.point_discod_to(&Binaries::get().discod);
    for args in [&["upgrade"][..], &["upgrade", "--dry-run"], &["upgrade", "--take-over"]] {
        let refused = project.disco(args).expect(5);
        refused.says(&["up to format 1", "has format 2", "hint:", "disco backup restore"]);
    }
    untouched(&project, &status);

    // By hand it does not start either, and says why.
    let machine = project.machine(status.others()[0].instance.as_deref());
    let mut command = std::process::Command::new(&Binaries::get().discod);
    command.arg("--data-dir").arg(machine.data()).args(["--listen", "127.0.0.1:1"]).env_clear();
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("has format 2") && said.contains("hint:"), "{said}");

    an_older_program_cannot_join(&project, &api, &address);
    an_older_program_takes_no_newer_backup(&project);

    // A newer one of the same format is no way back.
    let mut program = fs::read(&two).unwrap();
    program.extend_from_slice(b"newer");
    fs::write(project.outside("newer-2"), program).unwrap();
    fs::set_permissions(project.outside("newer-2"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    project.point_discod_to(&project.outside("newer-2"));
    project.disco(&["upgrade"]).ok();
    project.wait_until_healthy(SOON, 3);
}

fn an_older_program_cannot_join(project: &Project, api: &Api, address: &str) {
    let mut control = api.control(address);
    let request = CreateJoinTokenRequest { ttl_seconds: 60, uses: 1 };
    let token = block(control.create_join_token(request)).unwrap().into_inner().token;
    let file = project.outside("join-token");
    disco_identity::write_private(&file, token.as_bytes()).unwrap();
    let mut command = std::process::Command::new(&Binaries::get().discod);
    command.arg("--data-dir").arg(project.outside("joining")).args(["--listen", "127.0.0.1:1", "--join-token-file"]);
    let output = command.arg(&file).env_clear().output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("the cluster's data has format 2") && said.contains("hint: install the version"), "{said}");
    let members = project.status().nodes.len();
    assert_eq!(members, 3, "{said}");
}

fn an_older_program_takes_no_newer_backup(newer: &Project) {
    let file = newer.outside("newer.backup");
    let path = file.to_str().unwrap();
    newer.disco(&["backup", "save", path]).ok();
    let older = Project::builder("older-restore").nodes(1).build();
    older.bootstrap();
    older.put("kept", "as it was");
    let refused = older.disco(&["backup", "restore", path, "-y"]);
    refused.expect(2).says(&["the backup has format 2; this `discod` reads formats up to 1"]);
    older.wait_until_healthy(SOON, 1);
    assert_eq!(older.get("kept").as_deref(), Some("as it was"));
}
