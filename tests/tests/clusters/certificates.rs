//! Certificates: status, rotation while the cluster works, and recovery after expiry.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use disco_identity::{Authority, CertificateInfo, PrivateKey, Validity, unix_now};
use disco_tests::{Binaries, Machine, Output, Project, Running, SOON, Shared, wait_for};
use rustix::process::Signal;
use serde_json::Value;

const DAY: u64 = 24 * 60 * 60;

static CLUSTER: Shared<Project> = Shared::new(|| Project::bootstrapped("certificates"));

/// A row of `disco cert status`.
#[derive(Clone, Debug)]
struct Row(Value);

impl Row {
    fn text(&self, field: &str) -> &str {
        self.0[field].as_str().unwrap_or_else(|| panic!("no `{field}` in {:#}", self.0))
    }

    fn serial(&self) -> &str {
        self.text("serial")
    }
}

fn rows(output: &Output) -> Vec<Row> {
    let Value::Array(rows) = output.json() else { panic!("no list: {output}") };
    rows.into_iter().map(Row).collect()
}

/// All certificates, with the expected exit code.
#[track_caller]
fn certificates(project: &Project, code: i32) -> Vec<Row> {
    rows(&project.disco(&["cert", "status", "-o", "json"]).expect(code))
}

fn of_role(rows: &[Row], role: &str) -> Vec<Row> {
    rows.iter().filter(|row| row.text("role") == role).cloned().collect()
}

#[track_caller]
fn only(rows: &[Row], role: &str) -> Row {
    match of_role(rows, role).as_slice() {
        [row] => row.clone(),
        other => panic!("not one certificate of the {role}: {other:#?}"),
    }
}

/// The serial numbers of the nodes' certificates, by node.
fn node_serials(rows: &[Row]) -> BTreeMap<u64, String> {
    let nodes = of_role(rows, "node");
    nodes.iter().map(|row| (row.0["node"].as_u64().expect("a node's id"), row.serial().to_owned())).collect()
}

fn identity(machine: &Machine, name: &str) -> PathBuf {
    machine.data().join("identity").join(name)
}

/// The certificate chain in a file, leaf first.
fn chain(path: &Path) -> Vec<CertificateInfo> {
    CertificateInfo::chain_from_pem(&fs::read_to_string(path).unwrap()).unwrap()
}

fn node_key(machine: &Machine) -> PrivateKey {
    PrivateKey::load(&identity(machine, "node.key")).unwrap()
}

#[track_caller]
fn machine_of(project: &Project, node: u64) -> Machine {
    project.machine(project.status().node(node).instance.as_deref())
}

/// The root's key, which only the operator holds.
fn root(project: &Project) -> Authority {
    let read = |name: &str| fs::read_to_string(project.path(".disco").join(name)).unwrap();
    Authority::from_pem(&read("ca.pem"), &read("ca.key")).unwrap()
}

#[test]
fn cert_status_shows_every_certificate_and_the_nodes_that_do_not_answer() {
    let (project, status) = CLUSTER.whole();
    let now = certificates(&project, 0);
    assert_eq!(now.len(), 6, "{now:#?}");
    assert!(now.iter().all(|row| row.text("state") == "valid"), "{now:#?}");
    let (root, key, operator) = (only(&now, "root"), only(&now, "signing-key"), only(&now, "operator"));
    assert!(root.0["days_left"].as_i64().is_some_and(|days| days > 3600), "{root:?}");
    assert_eq!((key.text("issuer"), key.text("issuer_serial")), ("root", root.serial()));
    assert_eq!((operator.text("issuer_serial"), operator.text("source")), (root.serial(), "file"));
    assert!(operator.text("subject").starts_with("operator/"), "{operator:?}");
    for row in of_role(&now, "node") {
        let id = row.0["node"].as_u64().unwrap();
        assert_eq!((row.text("name"), row.text("source")), (status.node(id).name.as_str(), "tls"));
        let on_disk = chain(&identity(&machine_of(&project, id), "node.pem"));
        assert_eq!((row.serial(), row.text("issuer_serial")), (on_disk[0].serial.as_str(), on_disk[1].serial.as_str()));
        assert_eq!((row.text("issuer"), row.text("issuer_serial")), ("signing-key", key.serial()));
        assert!(row.text("not_before") < row.text("not_after") && row.text("not_after").ends_with('Z'), "{row:?}");
        assert!(row.0["days_left"].as_i64().is_some_and(|days| (20..=30).contains(&days)), "{row:?}");
    }
    let names = project.disco(&["cert", "status", "-o", "name"]).ok().stdout;
    assert_eq!(names.lines().count(), 6, "{names}");
    let table = project.disco(&["cert", "status"]).ok().stdout;
    assert!(table.contains("signing key") && table.contains("valid"), "{table}");

    // A node that does not answer has reported its certificate to the leader before.
    let silent = status.others()[0].clone();
    project.signal(silent.pid, Signal::STOP);
    let told = certificates(&project, 0);
    let row = of_role(&told, "node").into_iter().find(|row| row.0["node"] == silent.id).expect("its row");
    assert_eq!((row.text("source"), row.text("state")), ("report", "valid"), "{row:?}");
    assert_eq!(node_serials(&told), node_serials(&now));
    assert!(!row.text("reason").is_empty(), "{row:?}");
    // If no node answers, the command fails.
    for node in &status.nodes {
        project.signal(node.pid, Signal::STOP);
    }
    let without_answers = certificates(&project, 4);
    for node in &status.nodes {
        project.signal(node.pid, Signal::CONT);
    }
    let rows = of_role(&without_answers, "node");
    assert_eq!(rows.len(), 3, "{rows:#?}");
    assert!(rows.iter().all(|row| row.text("state") == "unreachable" && row.0["serial"].is_null()), "{rows:#?}");
    project.wait_until_healthy(SOON, 3);
}

#[test]
fn certificates_are_rotated_while_writes_and_a_watch_continue() {
    let (project, status) = CLUSTER.whole();
    let before = certificates(&project, 0);
    let mut watch = project.start(&["kv", "watch", "--prefix", "turn/", "-o", "jsonl"]);
    // Its events are the only sign that the watch exists.
    let first = wait_for(SOON, "the watch", || {
        project.put("turn/first", "x");
        if watch.stdout().is_empty() { Err(watch.stderr()) } else { Ok(watch.stdout().lines().count()) }
    });
    assert!(first > 0);

    let ended = AtomicBool::new(false);
    let written = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut count = 0_u32;
            while !ended.load(Ordering::Relaxed) {
                project.put(&format!("turn/{count:06}"), "x");
                count += 1;
            }
            count
        });
        let rotated = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| rotate_all(&project, &before)));
        ended.store(true, Ordering::Relaxed);
        let written = writer.join().expect("every write succeeds");
        rotated.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        written
    });
    assert!(written > 10, "only {written} writes went on meanwhile");
    watch.wait_for_stdout(SOON, &format!("turn/{:06}", written - 1));
    watch.signal(Signal::INT);
    let received = watch.wait(SOON).jsonl();
    let received: Vec<_> =
        received.iter().map(|event| event["key"].as_str().unwrap()).filter(|key| *key != "turn/first").collect();
    let expected: Vec<_> = (0..written).map(|count| format!("turn/{count:06}")).collect();
    assert_eq!(received, expected, "the watch missed an event, or returned it twice");
    project.wait_for_same_processes(&status);
}

fn rotate_all(project: &Project, before: &[Row]) {
    // A dry run prints the steps and changes nothing.
    let said = project.disco(&["cert", "rotate", "--signing-key", "--operator", "--dry-run"]).ok();
    said.says(&["would replace the signing key", "would renew this operator's certificate", "would renew"]);
    assert_eq!(node_serials(&certificates(project, 0)), node_serials(before));

    // All nodes.
    let all = rows(&project.disco(&["cert", "rotate", "-o", "json"]).ok());
    changed(&node_serials(before), &node_serials(&all), &[1, 2, 3]);
    assert_eq!(only(&all, "signing-key").serial(), only(before, "signing-key").serial());
    assert_eq!(only(&all, "operator").serial(), only(before, "operator").serial());

    // One of them, by its name.
    let name = project.status().node(2).name.clone();
    let one = rows(&project.disco(&["cert", "rotate", &name, "-o", "json"]).ok());
    changed(&node_serials(&all), &node_serials(&one), &[2]);
    project.disco(&["cert", "rotate", "nobody"]).expect(6);

    // The operator's certificate.
    let operator = rows(&project.disco(&["cert", "rotate", "--operator", "-o", "json"]).ok());
    assert_ne!(only(&operator, "operator").serial(), only(before, "operator").serial());
    assert_eq!(node_serials(&operator), node_serials(&one));

    // The key that signs them. All nodes refuse the previous one once it no longer signs a certificate in use.
    let key = rows(&project.disco(&["cert", "rotate", "--signing-key", "-o", "json"]).ok());
    assert_ne!(only(&key, "signing-key").serial(), only(before, "signing-key").serial());
    changed(&node_serials(&one), &node_serials(&key), &[1, 2, 3]);
    wait_for(SOON, "the former key's end", || {
        let events = project.disco(&["events", "-n", "50"]).ok();
        if events.stdout.contains("pki.retired") { Ok(()) } else { Err(events.stdout) }
    });
    project.wait_for_status(SOON, "no warning", |now| now.warnings.is_empty());
}

/// Exactly these nodes have new certificates.
#[track_caller]
fn changed(before: &BTreeMap<u64, String>, after: &BTreeMap<u64, String>, nodes: &[u64]) {
    assert!(before.keys().eq(after.keys()), "{before:?} {after:?}");
    let changed: Vec<_> = before.keys().filter(|id| before[id] != after[id]).copied().collect();
    assert_eq!(changed, nodes, "before {before:?}, after {after:?}");
}

#[test]
fn a_node_whose_certificate_expired_while_it_was_off_is_restored() {
    let (project, status) = CLUSTER.whole();
    let away = status.others()[0].clone();
    let machine = machine_of(&project, away.id);

    expire_node(&project, &machine, away.id);
    let rows = certificates(&project, 1);
    let row = of_role(&rows, "node").into_iter().find(|row| row.0["node"] == away.id).expect("its row");
    assert_eq!((row.text("state"), row.text("source")), ("expired", "tls"), "{row:?}");
    // A node that is no known member must be named.
    let addresses = project.path(".disco/addresses.json");
    let mut known: Value = serde_json::from_str(&fs::read_to_string(&addresses).unwrap()).unwrap();
    known["nodes"].as_array_mut().unwrap().retain(|node| node["id"] != away.id);
    fs::write(&addresses, known.to_string()).unwrap();
    let left = project.disco(&["cert", "rotate", "--expired", "--dry-run"]).ok();
    left.says(&["was not a member", &format!("disco cert rotate --expired {}", away.name)]);
    project.disco(&["cert", "rotate", "--expired", &away.name]).ok().says(&["has a new certificate"]);
    back(&project, &machine, away.id);

    // Without SSH: by hand, on the machine and here.
    expire_node(&project, &machine, away.id);
    let shown = discod(&["identity", "show"], &machine, "").ok().stdout;
    project.write("node.json", &shown);
    let signed = project.disco(&["cert", "sign", "node.json"]).ok().stdout;
    let other = machine_of(&project, status.leading().id);
    let refused = discod(&["identity", "renew"], &other, &signed);
    assert!(refused.code > 0 && refused.stderr.contains("does not belong to the private key"), "{refused}");
    let expired = fs::read_to_string(identity(&machine, "node.pem")).unwrap();
    let refused = discod(&["identity", "renew"], &machine, &expired);
    assert!(refused.code > 0 && refused.stderr.contains("it has expired"), "{refused}");
    discod(&["identity", "renew"], &machine, &signed).ok();
    back(&project, &machine, away.id);
    fs::remove_file(project.path("node.json")).unwrap();
}

/// `discod` on a machine, as its root would run it.
#[track_caller]
fn discod(args: &[&str], machine: &Machine, input: &str) -> Output {
    let mut command = Command::new(&Binaries::get().discod);
    command.args(args).arg("--data-dir").arg(machine.data()).env_clear();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It may refuse before it has read everything.
    let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes());
    Running::new(format!("discod {}", args.join(" ")), child, std::time::Instant::now()).wait(SOON)
}

/// Simulates a daemon that was off: its certificate ended a second ago, and it starts with that.
fn expire_node(project: &Project, machine: &Machine, id: u64) {
    let read = |name: &str| fs::read_to_string(identity(machine, name)).unwrap();
    let signer = Authority::from_pem(&read("intermediate.pem"), &read("intermediate.key")).unwrap();
    let end = unix_now() - 1;
    let request = node_key(machine).signing_request().unwrap();
    let validity = Validity { not_before: end - 60, not_after: end };
    let chain = signer.issue_node(&request, id, &[machine.control.ip()], validity).unwrap();
    fs::write(identity(machine, "node.pem"), chain).unwrap();
    let before = project.status().node(id).pid;
    project.kill(before);
    wait_for(SOON, "the daemon that says that its certificate has expired", || {
        let log = machine.log();
        let started = log.rsplit("the program ended").next().unwrap_or_default();
        if log.contains("the program ended") && started.contains("certificate has expired") { Ok(()) } else { Err(log) }
    });
    project.wait_for_status(SOON, "the node not healthy", |now| !now.node(id).healthy);
}

/// The node is unchanged, with a certificate of the signing key.
fn back(project: &Project, machine: &Machine, id: u64) {
    project.wait_until_healthy(SOON, 3);
    wait_for(SOON, "a certificate by the signing key", || {
        let chain = chain(&identity(machine, "node.pem"));
        if chain.len() == 2 { Ok(()) } else { Err(format!("{chain:?}")) }
    });
    // The daemon uses it a moment after it has written it.
    wait_for(SOON, "the new certificate in use", || {
        let output = project.disco(&["cert", "status", "-o", "json"]);
        let now = if output.code == 0 { rows(&output) } else { Vec::new() };
        let row = of_role(&now, "node").into_iter().find(|row| row.0["node"] == id);
        match row {
            Some(row) if (row.text("state"), row.text("issuer")) == ("valid", "signing-key") => Ok(()),
            _ => Err(output.to_string()),
        }
    });
}

#[test]
fn a_cluster_whose_certificates_expired_while_it_was_off_is_restored_with_its_data() {
    let project = Project::bootstrapped("off-too-long");
    project.wait_until_healthy(SOON, 3);
    for count in 0..20 {
        project.put(&format!("kept/{count}"), &format!("value {count}"));
    }
    let keys: Vec<_> =
        project.machines().iter().map(|machine| fs::read(identity(machine, "node.key")).unwrap()).collect();
    let before = certificates(&project, 0);

    // A power failure that lasts for a year.
    for machine in project.machines() {
        project.kill(machine.pid);
    }
    wait_for(SOON, "the end of all processes", || {
        let left = project.processes();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    });
    expire_all(&project);
    let told = project.disco(&["bootstrap", "-y"]).expect(3);
    told.says(&["certificate has expired", "disco cert rotate --expired"]);
    // The command renews this operator's certificate too; on other computers it is still expired.
    expire_operator(&project);
    let running = wait_for(SOON, "three daemons", || {
        let running = project.daemons();
        if running.len() == 3 { Ok(running) } else { Err(format!("{running:?}")) }
    });
    project.disco(&["status"]).expect(3).says(&["disco cert rotate --expired"]);
    // The daemons run, but may not listen yet.
    let expired = wait_for(SOON, "six certificates, all but the root's expired", || {
        let output = project.disco(&["cert", "status", "-o", "json"]);
        let expired = if output.code == 1 { rows(&output) } else { Vec::new() };
        let state = |row: &Row| if row.text("role") == "root" { "valid" } else { "expired" };
        let whole = expired.len() == 6 && expired.iter().all(|row| row.text("state") == state(row));
        if whole { Ok(expired) } else { Err(output.to_string()) }
    });

    let dry = project.disco(&["cert", "rotate", "--expired", "--dry-run"]).ok();
    dry.says(&["would renew the certificate of node 1"]);
    assert_eq!(node_serials(&certificates(&project, 1)), node_serials(&expired));

    let after = rows(&project.disco(&["cert", "rotate", "--expired", "-o", "json"]).ok());
    assert!(after.iter().all(|row| row.text("state") == "valid"), "{after:#?}");
    assert!(of_role(&after, "node").iter().all(|row| row.text("issuer") == "signing-key"), "{after:#?}");
    assert_ne!(only(&after, "signing-key").serial(), only(&expired, "signing-key").serial());
    assert_ne!(only(&after, "signing-key").serial(), only(&before, "signing-key").serial());
    changed(&node_serials(&expired), &node_serials(&after), &[1, 2, 3]);
    let status = project.wait_until_healthy(SOON, 3);
    let mut pids: Vec<_> = status.pids().into_values().collect();
    pids.sort_unstable();
    assert_eq!(pids, running, "the daemons took up their certificates without a restart");
    for count in 0..20 {
        assert_eq!(project.get(&format!("kept/{count}")), Some(format!("value {count}")));
    }
    project.put("kept/afterwards", "too");
    let now: Vec<_> =
        project.machines().iter().map(|machine| fs::read(identity(machine, "node.key")).unwrap()).collect();
    assert_eq!(now, keys, "a node has another key");

    // Nothing is left to do, and a second run changes nothing.
    let again = rows(&project.disco(&["cert", "rotate", "--expired", "-o", "json"]).ok());
    assert_eq!(node_serials(&again), node_serials(&after));
    project.wait_for_same_processes(&status);
    project.disco(&["bootstrap", "-y"]).ok();
}

/// A validity that ended a month ago.
fn long_ago() -> Validity {
    Validity { not_before: unix_now() - 400 * DAY, not_after: unix_now() - 30 * DAY }
}

fn expire_operator(project: &Project) {
    let key = PrivateKey::load(&project.path(".disco/operator.key")).unwrap();
    let request = key.signing_request().unwrap();
    project.write(".disco/operator.pem", &root(project).issue_operator(&request, "test", long_ago()).unwrap());
}

/// All files as after a year: the same keys, and expired certificates.
fn expire_all(project: &Project) {
    expire_operator(project);
    let machines = project.machines();
    let read = |machine: &Machine, name: &str| fs::read_to_string(identity(machine, name)).unwrap();
    let signing_key = read(&machines[0], "intermediate.key");
    let request = PrivateKey::from_pem(&signing_key).unwrap().signing_request().unwrap();
    let certificate = root(project).sign_intermediate(&request, long_ago()).unwrap();
    let signer = Authority::from_pem(&certificate, &signing_key).unwrap();
    for machine in &machines {
        assert_eq!(read(machine, "intermediate.key"), signing_key, "all three vote, so they hold the same key");
        fs::write(identity(machine, "intermediate.pem"), &certificate).unwrap();
        let subject = chain(&identity(machine, "node.pem"))[0].subject.clone();
        let id = subject.strip_prefix("node/").unwrap().parse().unwrap();
        let request = node_key(machine).signing_request().unwrap();
        let chain = signer.issue_node(&request, id, &[machine.control.ip()], long_ago()).unwrap();
        fs::write(identity(machine, "node.pem"), chain).unwrap();
    }
}
