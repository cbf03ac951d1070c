//! The seed's two scripts, unchanged, against an EC2 whose machines have Debian's OpenSSH server.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use disco_tests::{Cloud, Inventory, Output, Permit, Project, SOON, Status, skipped, wait_for};
use serde_json::Value;

const CLIENT: &str = include_str!("../../../runtime-js/tests/scripts/seed/client.js");
const DOCS: &str = include_str!("../../../docs/aws.md");
const CLUSTER: &str = include_str!("../../../runtime-js/tests/scripts/seed/cluster.js");
/// The cluster's name in the scripts.
const NAME: &str = "heavyobjects";
/// How long a member may be silent before it is replaced.
const GRACE: Duration = Duration::from_secs(60);

/// The scripts' project in an empty account; `None` if the environment lacks something.
fn account() -> Option<(Project, Cloud)> {
    let mut project = Project::builder(NAME).client(CLIENT).cluster(CLUSTER).build();
    let cloud = Cloud::start_with_openssh(&mut project)?;
    let key = project.path("id_ed25519");
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
    if !made.is_ok_and(|status| status.success()) {
        skipped("there is no `ssh-keygen` (Debian: openssh-client)");
        return None;
    }
    Some((project, cloud))
}

fn bootstrap(project: &Project) -> Output {
    // Debug builds are uploaded to three machines one after the other.
    project.start(&["bootstrap", "-y"]).wait(Duration::from_secs(300))
}

#[test]
fn from_an_empty_account_to_three_nodes_and_back_to_nothing() {
    let _permit = Permit::first();
    let Some((project, cloud)) = account() else { return };
    let output = bootstrap(&project).ok();
    assert!(output.stdout.contains("Complete cluster"), "{output}");
    println!("{output}\nbootstrap took {:?}", output.took);
    the_output_is_that_in_the_docs(&output);
    let status = project.wait_until_healthy(SOON, 3);
    the_leader_started_the_others(&cloud, &status);
    the_role_is_with_voters_alone(&cloud, 3);
    created_resources_are_closed_and_tagged(&cloud.inventory());
    calls_are_those_in_the_docs(&cloud);
    only_the_leader_has_called(&cloud, &status);
    each_machine_took_what_it_was_given(&cloud);
    project.put("color", "blue");
    again_changes_nothing(&project, &cloud, &status);
    grows_and_shrinks(&project, &cloud);
    a_killed_machine_is_replaced(&project, &cloud);
    assert_eq!(project.get("color").as_deref(), Some("blue"));
    nothing_is_left(&project, &cloud);
}

fn the_leader_started_the_others(cloud: &Cloud, status: &Status) {
    let calls = cloud.calls();
    let runs =
        |caller: &str| calls.iter().filter(|call| call.action == "RunInstances" && call.caller == caller).count();
    assert_eq!((runs("operator"), runs("node")), (1, 2), "{:#?}", cloud.count());
    let inventory = cloud.inventory();
    let present = inventory.present();
    assert_eq!(present.len(), 3, "{present:#?}");
    let mut zones: Vec<&str> = present.iter().map(|one| one.zone.as_str()).collect();
    zones.sort_unstable();
    zones.dedup();
    assert_eq!(zones.len(), 3, "spread over zones: {present:#?}");
    for node in &status.nodes {
        let machine = present.iter().find(|one| Some(&one.id) == node.instance.as_ref());
        let machine = machine.unwrap_or_else(|| panic!("no machine of {node:#?} among {present:#?}"));
        // Nodes connect to each other by private addresses, and listen only there.
        let address: SocketAddr = node.address.parse().expect("an address is IP:PORT");
        assert_eq!(Some(address.ip()), machine.private, "{node:#?}");
        assert_eq!(machine.tags["Name"], node.name);
    }
    // The first machine has the cluster's address.
    let address = &inventory.addresses[0];
    assert_eq!(inventory.addresses.len(), 1);
    let holder = present.iter().find(|one| address["instance"] == one.id.as_str()).expect("it is attached");
    assert_eq!(holder.public.map(|ip| ip.to_string()).as_deref(), address["ip"].as_str());
}

/// The recorded session, except for times, addresses, ids, the order of machines, and states that may be passed
/// through between two polls.
fn the_output_is_that_in_the_docs(output: &Output) {
    let (_, session) = DOCS.split_once("$ disco bootstrap -y\n").expect("it is there");
    let (session, _) = session.split_once("$ disco doctor").expect("it ends there");
    let shown: BTreeSet<String> = session.lines().filter_map(words).collect();
    let printed: BTreeSet<String> = output.stderr.lines().chain(output.stdout.lines()).filter_map(words).collect();
    let (gone, new): (Vec<_>, Vec<_>) = (shown.difference(&printed).collect(), printed.difference(&shown).collect());
    assert!(gone.is_empty() && new.is_empty(), "docs/aws.md shows {gone:#?}, and printed is {new:#?}");
}

/// A line without the parts that differ each time; `None` for a percentage and for the total time.
fn words(line: &str) -> Option<String> {
    let line = line.split_once("Z ").filter(|(time, _)| time.starts_with("20")).map_or(line, |(_, rest)| rest);
    if line.ends_with('%') || line.starts_with("done in") || line.trim().is_empty() {
        return None;
    }
    // The simulated machines have neither systemd nor cron; those of EC2 have. And a machine that runs before
    // the first poll is never seen pending, and a fast command never says what it waits for.
    if ["does not start when its machine boots", " is pending", "waiting: "].iter().any(|maybe| line.contains(maybe)) {
        return None;
    }
    let word = |word: &str| match word {
        _ if word.starts_with("i-") => "i-…".to_owned(),
        _ if word.contains("127.") => "ADDRESS".to_owned(),
        _ if word.starts_with('(') && word.ends_with("s)") => "(TIME)".to_owned(),
        _ if word.starts_with("us-west-2") => "ZONE".to_owned(),
        _ if word.starts_with("heavyobjects-") => word.replace(|c: char| c.is_ascii_digit(), "N"),
        _ if word.trim_start_matches('(').starts_with(|c: char| c.is_ascii_digit()) => "NUMBER".to_owned(),
        _ => word.to_owned(),
    };
    Some(line.split_whitespace().map(word).collect::<Vec<_>>().join(" "))
}

/// The calls of a bootstrap. The number of polls depends on how long the machines take.
fn calls_are_those_in_the_docs(cloud: &Cloud) {
    let (_, section) = DOCS.split_once("## API calls").expect("the section exists");
    let (by_operator, by_nodes) = section.split_once("With the nodes' role,").expect("both are listed");
    let (by_nodes, _) = by_nodes.split_once("Afterwards").expect("later calls are listed separately");
    let mut seen: BTreeMap<&str, BTreeMap<String, usize>> = BTreeMap::new();
    for ((caller, action), count) in cloud.count() {
        println!("{caller:<9} {action:<40} {count}");
        let caller = if caller == "operator" { "operator" } else { "node" };
        seen.entry(caller).or_default().insert(action, count);
    }
    // `ec2:RunInstances` in a table's cell, its count in the next one; a call without a number comes with another one.
    let table = by_operator.lines().filter(|line| line.starts_with("| `")).flat_map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        cells.chunks(2).map(|pair| (pair[0].to_owned(), pair[1].to_owned())).collect::<Vec<_>>()
    });
    let listed: BTreeMap<String, usize> =
        table.filter_map(|(call, count)| Some((action(&call)?, count.parse().ok()?))).collect();
    let own = &seen["operator"];
    assert_eq!(
        listed.keys().collect::<Vec<_>>(),
        own.keys().collect::<Vec<_>>(),
        "the calls of an operator in docs/aws.md"
    );
    for (call, count) in own.iter().filter(|(call, _)| *call != "DescribeInstances") {
        assert_eq!(listed[call], *count, "{call} by the operator in docs/aws.md");
    }
    let listed: Vec<String> = by_nodes.split('`').skip(1).step_by(2).filter_map(action).collect();
    for call in seen["node"].keys() {
        assert!(listed.contains(call), "{call} by nodes is not in docs/aws.md");
    }
    for call in listed.iter().filter(|call| *call != "DisassociateIamInstanceProfile") {
        assert!(seen["node"].contains_key(call), "{call} by nodes in docs/aws.md was not called");
    }
}

/// `ec2:RunInstances` without the service.
fn action(call: &str) -> Option<String> {
    let name = call.trim_matches('`').split_once(':')?.1;
    name.chars().all(char::is_alphanumeric).then(|| name.to_owned())
}

/// The credentials identify the caller: a node that does not lead has called nothing, and so has no client of the SDK.
fn only_the_leader_has_called(cloud: &Cloud, status: &Status) {
    let leader = status.leading().instance.clone();
    let others: Vec<_> =
        cloud.calls().into_iter().filter(|call| call.caller == "node" && call.machine != leader).collect();
    assert!(others.is_empty(), "{others:#?}");
}

/// Its host key, known before the first connection, and the programs of a complete system.
fn each_machine_took_what_it_was_given(cloud: &Cloud) {
    if !cloud.has_openssh() {
        return;
    }
    let inventory = cloud.inventory();
    for machine in cloud.machines() {
        let given =
            &inventory.instances.iter().find(|one| one.id == machine.id).expect("it is there").tags["disco:host-key"];
        let own = std::fs::read_to_string(machine.folder.join("etc-ssh/ssh_host_ed25519_key.pub")).expect("a host key");
        assert!(own.starts_with(given.as_str()), "{own} is not {given}");
        for file in ["usr-local-bin/discod", "usr-local-bin/disco", "var-lib/disco/service/start"] {
            assert!(machine.folder.join(file).is_file(), "{} has no {file}", machine.folder.display());
        }
        let log = std::fs::read_to_string(machine.folder.join("machine.log")).expect("sshd writes one");
        assert!(log.contains("Accepted publickey for root"), "{log}");
    }
}

/// A voter may lead, and a leader starts machines; no other machine may.
#[track_caller]
fn the_role_is_with_voters_alone(cloud: &Cloud, voters: usize) {
    wait_for(SOON, "the role with voters alone", || {
        let inventory = cloud.inventory();
        let with = inventory.present().iter().filter(|one| one.profile.is_some()).count();
        if with == voters { Ok(()) } else { Err(format!("{with} of {} have it", inventory.present().len())) }
    });
}

fn created_resources_are_closed_and_tagged(inventory: &Inventory) {
    for machine in inventory.present() {
        assert_eq!(machine.http_tokens, "required", "{machine:#?}");
        assert_eq!(machine.profile.as_deref(), Some("disco-heavyobjects-us-west-2"), "{machine:#?}");
        assert_eq!(machine.tags["disco:cluster"], NAME);
        assert_eq!(machine.tags["disco:role"], "node");
        assert!(machine.tags["disco:created-by"].starts_with("disco/"), "{machine:#?}");
        assert!(machine.tags["disco:host-key"].starts_with("ssh-ed25519 "), "{machine:#?}");
    }
    let things = [&inventory.security_groups, &inventory.key_pairs, &inventory.addresses].into_iter().flatten();
    for thing in things {
        assert_eq!(thing["tags"]["disco:cluster"], NAME, "{thing:#}");
        assert!(thing["tags"]["disco:role"].is_string() && thing["tags"]["disco:created-by"].is_string(), "{thing:#}");
    }
    let [group] = &inventory.security_groups[..] else { panic!("{:#?}", inventory.security_groups) };
    let mut rules: Vec<String> = group["rules"].as_array().expect("a list").iter().map(rule).collect();
    rules.sort();
    let expected =
        ["tcp 22 from 127.0.0.1/32", "tcp 22 from the group", "tcp 5080 from 127.0.0.1/32", "tcp 5080 from the group"];
    assert_eq!(rules, expected);
    let [role] = &inventory.roles[..] else { panic!("{:#?}", inventory.roles) };
    let policy = role["policies"]["disco"].as_str().expect("a policy");
    assert!(policy.contains("aws:ResourceTag/disco:cluster") && policy.contains(NAME), "{policy}");
}

fn rule(rule: &Value) -> String {
    assert_eq!(rule["from"], rule["to"], "{rule}");
    let from = match &rule["blocks"][0] {
        Value::String(block) => block.clone(),
        _ if rule["group"] == true => "the group".to_owned(),
        _ => panic!("{rule}"),
    };
    format!("{} {} from {from}", rule["protocol"].as_str().expect("a word"), rule["from"])
}

fn again_changes_nothing(project: &Project, cloud: &Cloud, before: &Status) {
    cloud.forget_calls();
    let output = bootstrap(project).ok();
    assert!(output.stderr.contains("Cluster is ready") || output.stdout.contains("Cluster is ready"), "{output}");
    let calls: Vec<_> = cloud.calls().into_iter().filter(|call| call.caller == "operator").collect();
    assert!(calls.is_empty(), "{calls:?}");
    project.wait_for_same_processes(before);
}

fn grows_and_shrinks(project: &Project, cloud: &Cloud) {
    project.start(&["scale", "nodes=4"]).wait(Duration::from_secs(180)).ok();
    assert_eq!(project.status().nodes.len(), 4);
    assert_eq!(cloud.inventory().present().len(), 4);
    the_role_is_with_voters_alone(cloud, 3);
    project.start(&["scale", "nodes=3"]).wait(Duration::from_secs(120)).ok();
    project.wait_until_healthy(SOON, 3);
    wait_for(SOON, "the end of the machine that is too much", || {
        let present = cloud.inventory().present().len();
        if present == 3 { Ok(()) } else { Err(format!("{present} machines")) }
    });
}

/// Without any running client.
fn a_killed_machine_is_replaced(project: &Project, cloud: &Cloud) {
    let before = project.status();
    let victim = before.others()[0].clone();
    let machine = cloud.machines().into_iter().find(|one| Some(&one.id) == victim.instance.as_ref());
    project.kill(machine.expect("it runs").pid);
    let killed = Instant::now();
    wait_for(SOON, "the end of all that ran on it", || {
        let on_it = |process: &disco_tests::Process| process.machine == victim.instance;
        let left: Vec<_> = project.processes().into_iter().filter(on_it).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    });
    project.wait_for_status(GRACE + Duration::from_secs(60), "the machine's replacement", |now| {
        // At every moment: the dead node is never shown as healthy, and there are never more living nodes than the target size.
        let dead = now.nodes.iter().find(|node| node.id == victim.id);
        assert!(killed.elapsed() < Duration::from_secs(20) || dead.is_none_or(|dead| !dead.healthy), "{now:#?}");
        assert!(now.nodes.len() <= 4, "{now:#?}");
        now.healthy && now.nodes.len() == 3 && dead.is_none()
    });
    let took = killed.elapsed();
    println!("replaced {took:?} after its machine was killed");
    assert!(took > GRACE, "replaced within its time of grace: {took:?}");
    project.wait_until_healthy(SOON, 3);
    wait_for(SOON, "the end of the dead machine", || {
        let inventory = cloud.inventory();
        let ids: Vec<_> = inventory.present().into_iter().map(|one| one.id.clone()).collect();
        if ids.len() == 3 && !ids.iter().any(|id| Some(id) == victim.instance.as_ref()) {
            Ok(())
        } else {
            Err(format!("{ids:?}"))
        }
    });
}

fn nothing_is_left(project: &Project, cloud: &Cloud) {
    let listed = project.disco(&["destroy", "--dry-run"]).ok();
    for what in ["machine i-", "Elastic IP", "security group disco-heavyobjects", "key pair", "role"] {
        assert!(listed.stderr.contains(what), "{what}: {listed}");
    }
    project.disco(&["destroy", "-y"]).ok();
    let inventory = cloud.inventory();
    assert!(inventory.is_empty(), "{inventory:#?}");
    assert!(!project.path(".disco/cluster.json").exists());
}
