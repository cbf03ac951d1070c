//! A cluster on EC2 over time: its address follows the leader, the operator loses the laptop, EC2 announces the end of
//! machines.

use std::process::Command;
use std::time::Duration;

use disco_tests::{Cloud, NodeStatus, Permit, Project, SOON, Status, wait_for};
use serde_json::json;

const NAME: &str = "living";
/// Time for an election and a move of the address, or for a node to see an announcement.
const MOVED: Duration = Duration::from_secs(60);
/// Time to start, install and join a machine, with debug builds.
const REPLACED: Duration = Duration::from_secs(120);

const CLIENT: &str = "export async function init() {
  const provider = await AwsProvider.init({ name: 'living', region: 'us-west-2' });
  return new Cluster({ name: 'living', provider });
}
export async function bootstrap(cluster) {
  if (await cluster.healthy()) {
    return;
  }
  await cluster.set_key_pair({ private: './id_ed25519', public: './id_ed25519.pub' });
  await cluster.start_instance({ image: 'ami-0e8c824f386e1de06', instance_type: 't4g.micro', spot: true });
  await cluster.attach_ip();
  await cluster.ssh_install();
  await cluster.scale(3);
}
export async function address(cluster, node) {
  return await cluster.attach_ip(node);
}
";

fn account() -> Option<(Project, Cloud)> {
    if Command::new("ssh-keygen").arg("-?").output().is_err() {
        println!("left out: there is no `ssh-keygen`");
        return None;
    }
    let mut project = Project::builder(NAME).client(CLIENT).no_cluster_script().build();
    let key = project.path("id_ed25519");
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
    assert!(made.is_ok_and(|status| status.success()), "ssh-keygen failed");
    let cloud = Cloud::start(&mut project)?;
    Some((project, cloud))
}

#[test]
fn a_cluster_keeps_its_address_its_operator_and_its_size_on_ec2() {
    let _permit = Permit::first();
    let Some((project, cloud)) = account() else { return };
    project.start(&["bootstrap", "-y"]).wait(Duration::from_secs(120)).ok();
    project.wait_until_healthy(SOON, 3);
    // Each of them can lead at once: a voter got the role before its vote.
    let with = cloud.inventory().present().iter().filter(|one| one.profile.is_some()).count();
    assert_eq!(with, 3, "voters with the role");
    // Nor was the role revoked for a moment from a machine whose node did not vote yet.
    let taken = cloud.calls().into_iter().filter(|call| call.action == "DisassociateIamInstanceProfile").count();
    assert_eq!(taken, 0, "roles taken away: {:?}", cloud.count());
    project.put("color", "blue");

    the_address_follows_the_leader(&project, &cloud);
    and_stays_with_a_node_that_is_named(&project, &cloud);
    a_lost_laptop_is_replaced(&project);
    a_machine_that_will_be_taken_away_is_replaced(&project, &cloud);
    a_leader_that_will_be_taken_away_hands_over(&project, &cloud);

    assert_eq!(project.get("color").as_deref(), Some("blue"));
    project.disco(&["destroy", "-y"]).ok();
    assert!(cloud.inventory().is_empty(), "{:#?}", cloud.inventory());
}

/// The machine that holds the Elastic IP.
fn holder(cloud: &Cloud) -> String {
    let inventory = cloud.inventory();
    assert_eq!(inventory.addresses.len(), 1, "{inventory:#?}");
    inventory.addresses[0]["instance"].as_str().unwrap_or_default().to_owned()
}

#[track_caller]
fn wait_for_holder(project: &Project, cloud: &Cloud, what: &str, expected: impl Fn(&Status) -> Option<String>) {
    wait_for(MOVED, what, || {
        let status = project.try_status().map_err(|output| output.to_string())?;
        let (now, expected) = (holder(cloud), expected(&status));
        if expected.as_deref() == Some(now.as_str()) { Ok(()) } else { Err(format!("at {now}, not {expected:?}")) }
    });
}

fn leader_machine(status: &Status) -> Option<String> {
    status.nodes.iter().find(|node| node.role == "leader").and_then(|node| node.instance.clone())
}

fn the_address_follows_the_leader(project: &Project, cloud: &Cloud) {
    let before = project.status();
    wait_for_holder(project, cloud, "the address at the leader's machine", leader_machine);
    // Only its daemon: it is restarted, and another node leads by then.
    wait_for(MOVED, "another leader", || {
        let now = project.try_status().map_err(|output| output.to_string())?;
        if now.leader.is_some() && now.leader != before.leader {
            return Ok(());
        }
        // Between two leaders, no node leads.
        if let Some(leading) = now.nodes.iter().find(|node| node.role == "leader") {
            project.kill(leading.pid);
        }
        Err(format!("{:?} leads", now.leader))
    });
    wait_for_holder(project, cloud, "the address at the new leader's machine", leader_machine);
    let address = cloud.inventory().addresses[0]["ip"].as_str().expect("it is text").to_owned();
    // The status and the operator's addresses follow.
    let status = project.wait_until_healthy(SOON, 3);
    wait_for(Duration::from_secs(90), "the leader's public address in the status", || {
        let shown = project.disco(&["status", "-o", "json"]).ok().json();
        let nodes = shown["nodes"].as_array().cloned().unwrap_or_default();
        let leader = nodes.iter().find(|node| node["role"] == "leader").cloned().unwrap_or_default();
        if leader["public_address"] == address.as_str() { Ok(()) } else { Err(leader.to_string()) }
    });
    assert_eq!(status.nodes.len(), 3);
}

fn and_stays_with_a_node_that_is_named(project: &Project, cloud: &Cloud) {
    let status = project.status();
    let other = status.others()[0];
    project.disco(&["do", "address", &other.name]).ok();
    let machine = other.instance.clone().expect("it has a machine");
    assert_eq!(holder(cloud), machine);
    project.disco(&["do", "address", "nobody"]).expect(6).says(&["no machine `nobody`"]);
    // Back to the leader.
    project.disco(&["do", "address"]).ok();
    wait_for_holder(project, cloud, "the address at the leader's machine again", leader_machine);
}

fn a_lost_laptop_is_replaced(project: &Project) {
    let kept = project.outside("kept");
    std::fs::create_dir(&kept).expect("a folder can be made");
    for name in ["ca.pem", "ca.key"] {
        std::fs::copy(project.path(".disco").join(name), kept.join(name)).expect("it is there");
    }
    std::fs::remove_dir_all(project.path(".disco")).expect("it is there");
    let keys = kept.to_str().expect("a path is text");
    let connected = project.disco(&["connect", "--keys", keys, "-o", "json"]).ok();
    assert_eq!(connected.json()["cluster"], NAME);
    let status = project.status();
    assert_eq!(status.nodes.len(), 3, "{status:#?}");
    // The SSH key in the project is accepted as the operator's.
    let said = project.disco(&["node", "ssh", &status.nodes[0].name, "--", "echo there"]).ok();
    assert_eq!(said.stdout.trim(), "there");
    project.start(&["bootstrap", "-y"]).wait(Duration::from_secs(60)).ok();
}

fn announce_interruption(cloud: &Cloud, node: &NodeStatus) {
    let machine = node.instance.as_deref().expect("it has a machine");
    let action = json!({ "action": "terminate", "time": "2030-01-01T00:02:00Z" });
    cloud.announce(machine, json!({ "spot/instance-action": action }));
}

fn events(project: &Project) -> String {
    project.disco(&["events", "-n", "200"]).ok().stdout
}

fn a_machine_that_will_be_taken_away_is_replaced(project: &Project, cloud: &Cloud) {
    let status = project.status();
    let going = status.others()[0].clone();
    announce_interruption(cloud, &going);
    project.wait_for_status(REPLACED, "a substitute before the machine goes", |now| {
        // The node works until then, and there are never fewer nodes than before.
        assert!(now.nodes.len() >= 3, "{now:#?}");
        now.healthy && now.nodes.len() == 3 && now.nodes.iter().all(|node| node.id != going.id)
    });
    wait_for(SOON, "all events", || {
        let recorded = events(project);
        let whole =
            ["node.retiring", "spot interruption, terminate at 2030-01-01T00:02:00Z", "node.replaced", "node.removed"];
        if whole.iter().all(|what| recorded.contains(what)) { Ok(()) } else { Err(recorded) }
    });
    wait_for(SOON, "the end of the machine", || {
        let ids: Vec<_> = cloud.inventory().present().into_iter().map(|one| one.id.clone()).collect();
        if ids.len() == 3 && !ids.iter().any(|id| Some(id) == going.instance.as_ref()) {
            Ok(())
        } else {
            Err(format!("{ids:?}"))
        }
    });
}

fn a_leader_that_will_be_taken_away_hands_over(project: &Project, cloud: &Cloud) {
    let before = project.wait_until_healthy(SOON, 3);
    let leading = before.leading().clone();
    announce_interruption(cloud, &leading);
    let now = project.wait_for_status(MOVED, "another leader", |now| {
        now.leader.is_some() && now.leader != Some(leading.id) && now.nodes.len() == 3
    });
    // One was replaced a moment ago: the next one has to wait, and an event reports that.
    wait_for(SOON, "the reason why nothing is done", || {
        let recorded = events(project);
        if recorded.contains("at most one dead member every 10 minutes") { Ok(()) } else { Err(recorded) }
    });
    let warned = project.disco(&["plan", "-o", "json"]).ok();
    let plan = warned.json();
    assert!(plan["warnings"].to_string().contains("10 minutes"), "{warned}");
    let removed = plan["changes"].as_array().expect("a list").iter().find(|change| change["action"] == "delete");
    assert_eq!(removed.expect("it goes")["name"], now.node(leading.id).name.as_str(), "{warned}");
}
