//! Refused upgrades: a second one at the same time, and programs that are older than the cluster's data.

use std::fs;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use disco_proto::v1::{ClaimUpgradeRequest, ClaimUpgradeResponse, CreateJoinTokenRequest};
use disco_tests::{Api, Binaries, Permit, Project, SOON, Status, block, wait_for};
use rustix::process::Signal;

/// Time to start a machine, with debug builds.
const LONG: Duration = Duration::from_secs(120);
/// Validity of a claim without renewal, and somewhat more.
const CLAIM: Duration = Duration::from_secs(25);

fn claim(
    api: &Api,
    address: &str,
    holder: &str,
    change: impl FnOnce(&mut ClaimUpgradeRequest),
) -> ClaimUpgradeResponse {
    let (by, binary) = (format!("{holder}@elsewhere"), "ab".repeat(32));
    let mut request = ClaimUpgradeRequest { holder: holder.to_owned(), by, binary, ..ClaimUpgradeRequest::default() };
    change(&mut request);
    let mut control = api.control(address);
    block(control.claim_upgrade(request)).unwrap().into_inner()
}

fn nothing(_: &mut ClaimUpgradeRequest) {}

/// Renews a claim every second, as the client of a running upgrade does, until the work is done.
fn while_claimed<T>(api: &Api, address: &str, holder: &str, work: impl FnOnce() -> T) -> T {
    let (done, is_done) = mpsc::channel::<()>();
    let api = api.clone();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            while is_done.recv_timeout(Duration::from_secs(1)) == Err(mpsc::RecvTimeoutError::Timeout) {
                claim(&api, address, holder, nothing);
            }
        });
        let result = work();
        drop(done);
        result
    })
}

/// Waits until the cluster is healthy and all of its nodes run this program.
#[track_caller]
fn all_run(project: &Project, program: &Path) {
    let program = fs::read(program).unwrap();
    project.wait_for_status(LONG, "a healthy cluster that runs one program", |now| {
        let runs = |pid: u32| fs::read(format!("/proc/{pid}/exe")).is_ok_and(|running| running == program);
        now.healthy && now.nodes.len() == 3 && now.nodes.iter().all(|node| runs(node.pid))
    });
}

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

    // Another operator upgrades: every node knows that.
    assert!(claim(&api, &addresses[1], "ann", nothing).granted);
    while_claimed(&api, &addresses[1], "ann", || {
        let refused = project.disco(&["upgrade"]).expect(5);
        refused.says(&["ann@elsewhere upgrades this cluster since", "abababababab", "hint:", "--take-over"]);
        untouched(&project, &before);
    });
    assert!(claim(&api, &addresses[1], "ann", nothing).granted);
    let second = claim(&api, &addresses[2], "bob", nothing);
    assert_eq!((second.granted, second.by.as_str()), (false, "ann@elsewhere"));
    assert!(second.remaining_ms <= 15_000, "{second:?}");
    // The holder keeps the claim, and no other client can release it.
    assert!(claim(&api, &addresses[0], "bob", |request| request.release = true).granted);
    assert!(claim(&api, &addresses[0], "ann", nothing).granted);
    assert!(!claim(&api, &addresses[0], "bob", nothing).granted);

    // Her client dies: the next upgrade may begin a little later.
    wait_for(CLAIM, "the end of a claim that is not renewed", || {
        let output = project.disco(&["upgrade"]);
        if output.code == 0 { Ok(()) } else { Err(output.expect(5).to_string()) }
    });
    let after = project.wait_until_healthy(SOON, 3);
    assert!(before.pids().iter().all(|(id, pid)| after.node(*id).pid != *pid), "not all were restarted");
    // It was released at the end.
    assert!(claim(&api, &addresses[0], "bob", nothing).granted);

    // An upgrade that was taken over stops before its next step.
    let newer = project.another_build("newer");
    project.disco(&["upgrade", "--take-over"]).ok();
    let lost = claim(&api, &addresses[0], "bob", nothing);
    assert!(lost.granted, "{lost:?}");
    assert!(claim(&api, &addresses[0], "bob", |request| request.release = true).granted);
    let events = project.disco(&["events"]).ok().stdout;
    assert!(events.contains("upgrade.taken_over"), "{events}");
    all_run(&project, &newer);
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
        let stderr_text = running.stderr();
        assert!(!running.has_ended(), "{stderr_text}");
        if stderr_text.contains("runs the new binary") { Ok(()) } else { Err(stderr_text) }
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

    // Killed with SIGKILL: the same project continues without waiting.
    let mut killed = project.start(&["upgrade"]);
    wait_for(LONG, "the upgrade under way", || {
        let stderr_text = killed.stderr();
        if killed.has_ended()
            || stderr_text.contains("restarting")
            || stderr_text.contains("handing")
            || stderr_text.contains("runs the new")
        {
            Ok(())
        } else {
            Err(stderr_text)
        }
    });
    killed.signal(Signal::KILL);
    killed.wait(SOON);
    project.disco(&["upgrade"]).ok();
    all_run(&project, &new);
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
    // Only when all members can read it, and no rollback is possible.
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

    // Started by hand it fails too, with the reason.
    let machine = project.machine(status.others()[0].instance.as_deref());
    let mut command = std::process::Command::new(&Binaries::get().discod);
    command.arg("--data-dir").arg(machine.data()).args(["--listen", "127.0.0.1:1"]).env_clear();
    let output = command.output().unwrap();
    let stderr_text = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && stderr_text.contains("has format 2") && stderr_text.contains("hint:"),
        "{stderr_text}"
    );

    an_older_program_cannot_join(&project, &api, &address);
    an_older_program_takes_no_newer_backup(&project);

    // A newer build of the same format is no downgrade.
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
    let stderr_text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{stderr_text}");
    assert!(
        stderr_text.contains("the cluster's data has format 2") && stderr_text.contains("hint: install the version"),
        "{stderr_text}"
    );
    let members = project.status().nodes.len();
    assert_eq!(members, 3, "{stderr_text}");
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
