//! The limits that a script sets on EC2 machines, while the cluster replaces some by itself.

use std::process::Command;
use std::time::Duration;

use disco_tests::{Cloud, Permit, Project, SOON, wait_for};
use serde_json::json;

const NAME: &str = "limited";
/// Time to start, install and join a machine, with debug builds, after the grace period.
const REPLACED: Duration = Duration::from_secs(150);
/// An on-demand machine polls the announcements about itself once a minute.
const TOLD: Duration = Duration::from_secs(90);

const BOOTSTRAP: &str = "
export async function bootstrap(cluster) {
  await cluster.set_key_pair({ private: './id_ed25519', public: './id_ed25519.pub' });
  await cluster.start_instance({ image: 'ami-0e8c824f386e1de06', instance_type: 't4g.micro' });
  await cluster.ssh_install();
  await cluster.scale(3);
}
";

/// `init` with more options of the provider. A lost node is replaced after a few seconds, and another one at once afterwards.
fn init(options: &str) -> String {
    format!(
        "export async function init() {{
  const provider = await AwsProvider.init({{ name: '{NAME}', region: 'us-west-2', {options} }});
  return new Cluster({{ name: '{NAME}', provider, repair: {{ grace: 8_000, every: 0 }} }});
}}
"
    )
}

fn account(options: &str) -> Option<(Project, Cloud)> {
    if Command::new("ssh-keygen").arg("-?").output().is_err() {
        println!("left out: there is no `ssh-keygen`");
        return None;
    }
    let init = init(options);
    let mut project = Project::builder(NAME).client(format!("{init}{BOOTSTRAP}")).cluster(init).build();
    let key = project.path("id_ed25519");
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
    assert!(made.is_ok_and(|status| status.success()), "ssh-keygen failed");
    let cloud = Cloud::start(&mut project)?;
    Some((project, cloud))
}

fn push(project: &Project, options: &str) {
    project.write("cluster.js", &init(options));
    project.disco(&["script", "push"]).ok();
}

#[track_caller]
fn wait_for_event(project: &Project, limit: Duration, words: &[&str]) {
    wait_for(limit, &format!("the event {words:?}"), || {
        let recorded = project.disco(&["events", "-n", "200"]).ok().stdout;
        let found = recorded.lines().any(|line| words.iter().all(|word| line.contains(word)));
        if found { Ok(()) } else { Err(recorded) }
    });
}

fn present(cloud: &Cloud) -> Vec<String> {
    cloud.inventory().present().into_iter().map(|one| one.id.clone()).collect()
}

#[test]
fn limits_hold_and_a_dead_machine_does_not_prevent_its_replacement() {
    let _permit = Permit::first();
    let Some((project, cloud)) = account("max_nodes: 3") else { return };
    project.start(&["bootstrap", "-y"]).wait(Duration::from_secs(150)).ok();
    project.wait_until_healthy(SOON, 3);

    a_machine_that_cannot_be_ended_is_replaced_all_the_same(&project, &cloud);
    a_repair_that_would_cost_too_much_waits_until_the_script_allows_it(&project, &cloud);

    project.disco(&["destroy", "-y"]).ok();
    assert!(cloud.inventory().is_empty(), "{:#?}", cloud.inventory());
}

/// The machine hangs, and the API does not end it. With it there are four machines, although three are allowed; three are nodes.
fn a_machine_that_cannot_be_ended_is_replaced_all_the_same(project: &Project, cloud: &Cloud) {
    cloud.fault(
        json!({ "action": "TerminateInstances", "code": "OperationNotPermitted", "message": "it is protected" }),
    );
    let victim = project.status().others()[0].clone();
    let machine = cloud.machines().into_iter().find(|one| Some(&one.id) == victim.instance.as_ref());
    project.kill(machine.expect("it runs").pid);
    project.wait_for_status(REPLACED, "the dead machine's substitute", |now| {
        now.healthy && now.nodes.len() == 3 && now.nodes.iter().all(|node| node.id != victim.id)
    });
    wait_for_event(project, SOON, &["machine.not_ended", "it is protected"]);
    assert_eq!(present(cloud).len(), 4, "{:#?}", cloud.inventory().present());

    // The next one is replaced as well, although that machine still exists.
    let second = project.wait_until_healthy(SOON, 3).others()[0].clone();
    let machine = cloud.machines().into_iter().find(|one| Some(&one.id) == second.instance.as_ref());
    project.kill(machine.expect("it runs").pid);
    project.wait_for_status(REPLACED, "the second one's substitute", |now| {
        now.healthy && now.nodes.len() == 3 && now.nodes.iter().all(|node| node.id != second.id)
    });
    let recorded = project.disco(&["events", "-n", "200"]).ok().stdout;
    assert!(!recorded.contains("scale.blocked"), "a dead machine was in the way for a while: {recorded}");
    // A fourth node is refused nevertheless.
    project.disco(&["scale", "nodes=4"]).expect(5).says(&["`max_nodes` allows 3 machines, not 4"]);
    project.disco(&["plan", "nodes=4"]).expect(5).says(&["`max_nodes` allows 3 machines, not 4"]);

    cloud.heal();
    wait_for(SOON, "the end of both machines", || {
        let ids = present(cloud);
        let gone = [&victim, &second].iter().all(|node| !ids.iter().any(|id| Some(id) == node.instance.as_ref()));
        if gone && ids.len() == 3 { Ok(()) } else { Err(format!("{ids:?}")) }
    });
}

fn a_repair_that_would_cost_too_much_waits_until_the_script_allows_it(project: &Project, cloud: &Cloud) {
    let status = project.wait_until_healthy(SOON, 3);
    // Two machines, and no third one.
    push(project, "max_hourly_usd: 0.02");
    let going = status.others()[0].clone();
    let machine = going.instance.as_deref().expect("it has a machine");
    let event = json!([{
        "Code": "instance-retirement", "State": "active", "NotBefore": "21 Jan 2030 09:00:43 GMT",
        "Description": "The instance is running on degraded hardware", "EventId": "instance-event-1",
    }]);
    cloud.announce(machine, json!({ "events/maintenance/scheduled": event }));

    wait_for_event(project, TOLD, &["node.retiring", "instance retirement after 21 Jan 2030 09:00:43 GMT"]);
    let refused = ["0.0252 USD an hour", "`max_hourly_usd` allows 0.02 USD"];
    wait_for_event(project, SOON, &["scale.blocked", refused[0], refused[1]]);
    wait_for(SOON, "the same in the status", || {
        let shown = project.disco(&["status", "-o", "json"]).ok().json();
        let node = shown["nodes"].as_array().expect("a list").iter().find(|node| node["id"] == going.id);
        let is_going = node.expect("it is a member still")["draining"] == true;
        let warnings = shown["warnings"].to_string();
        let has_reason = refused.iter().all(|words| warnings.contains(words));
        if is_going && has_reason { Ok(()) } else { Err(format!("{shown:#}")) }
    });
    // The cluster continues unchanged.
    project.put("color", "blue");
    assert_eq!((project.status().nodes.len(), present(cloud).len()), (3, 3));

    push(project, "max_hourly_usd: 0.0252");
    project.wait_for_status(REPLACED, "a substitute, once it is paid for", |now| {
        assert!(now.nodes.len() >= 3, "{now:#?}");
        now.healthy && now.nodes.len() == 3 && now.nodes.iter().all(|node| node.id != going.id)
    });
    assert_eq!(project.get("color").as_deref(), Some("blue"));
    wait_for(SOON, "nothing in the way any more", || {
        let warnings = project.status().warnings;
        let blocked = warnings.iter().any(|warning| warning.contains("max_hourly_usd"));
        if !blocked && present(cloud).len() == 3 { Ok(()) } else { Err(format!("{warnings:?}")) }
    });
}
