//! Failures of EC2's API: each error has a hint, and running the command again reaches the same
//! state, without duplicates or remains.

use std::process::Command;
use std::time::Duration;

use disco_tests::{Cloud, Inventory, Project, SOON, skipped, wait_for};
use serde_json::json;

const NAME: &str = "faulty";
/// Time for one command here: most of these tests install nothing.
const LIMIT: Duration = Duration::from_secs(100);
const RUN: &str = "RunInstances";

/// A project whose `bootstrap` makes everything before the first installation: key pairs, security group, role, machine,
/// address. `more` is added after that.
fn project_with(more: &str, options: &str) -> Project {
    let client = format!(
        "export async function init() {{
  const provider = await AwsProvider.init({{ name: '{NAME}', region: 'us-west-2' }});
  return new Cluster({{ name: '{NAME}', provider }});
}}
export async function bootstrap(cluster) {{
  await cluster.set_key_pair({{ private: './id_ed25519', public: './id_ed25519.pub' }});
  await cluster.start_instance({{ image: 'ami-0e8c824f386e1de06', instance_type: 't4g.micro'{options} }});
  await cluster.attach_ip();
  {more}
}}
"
    );
    let project = Project::builder(NAME).client(client).no_cluster_script().build();
    let key = project.path("id_ed25519");
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
    assert!(made.is_ok_and(|status| status.success()), "ssh-keygen failed");
    project
}

fn account(more: &str, options: &str) -> Option<(Project, Cloud)> {
    if Command::new("ssh-keygen").arg("-?").output().is_err() {
        skipped("there is no `ssh-keygen` (Debian: openssh-client)");
        return None;
    }
    let mut project = project_with(more, options);
    let cloud = Cloud::start(&mut project)?;
    Some((project, cloud))
}

/// Exactly one of each.
#[track_caller]
fn check_one_of_each(inventory: &Inventory) {
    let counts = (
        inventory.present().len(),
        inventory.security_groups.len(),
        inventory.key_pairs.len(),
        inventory.addresses.len(),
        inventory.roles.len(),
        inventory.profiles.len(),
    );
    assert_eq!(counts, (1, 1, 2, 1, 1, 1), "{inventory:#?}");
    assert_eq!(inventory.security_groups[0]["rules"].as_array().map(Vec::len), Some(4), "{inventory:#?}");
    assert_eq!(inventory.addresses[0]["instance"], inventory.present()[0].id.as_str(), "{inventory:#?}");
}

#[test]
fn bootstrap_killed_after_any_call_and_run_again_reaches_the_same_state() {
    let Some((project, cloud)) = account("", "") else { return };
    let mut skip = 0;
    loop {
        cloud.fault(json!({ "action": "*", "skip": skip, "times": 1, "hold": true }));
        let mut running = project.start(&["bootstrap", "-y"]);
        let held = wait_for(LIMIT, "a call to be held", || match (cloud.held(), running.has_ended()) {
            (Some(action), _) => Ok(Some(action)),
            (None, true) => Ok(None),
            (None, false) => Err("neither held nor over"),
        });
        let Some(action) = held else { break };
        // Killed by the fault.
        drop(running);
        cloud.heal();
        project.disco(&["bootstrap", "-y"]).ok();
        let inventory = cloud.inventory();
        println!("killed after {action}: {} machines", inventory.present().len());
        check_one_of_each(&inventory);
        project.disco(&["destroy", "-y"]).ok();
        assert!(cloud.inventory().is_empty(), "killed after {action}: {:#?}", cloud.inventory());
        skip += 1;
    }
    assert!(skip > 20, "only {skip} calls were held");
    check_one_of_each(&cloud.inventory());
    cloud.heal();
    destroy_killed_after_any_call(&project, &cloud);
}

fn destroy_killed_after_any_call(project: &Project, cloud: &Cloud) {
    for skip in 0.. {
        cloud.fault(json!({ "action": "*", "skip": skip, "times": 1, "hold": true }));
        let mut running = project.start(&["destroy", "-y"]);
        let held = wait_for(LIMIT, "a call to be held", || match (cloud.held(), running.has_ended()) {
            (Some(action), _) => Ok(Some(action)),
            (None, true) => Ok(None),
            (None, false) => Err("neither held nor over"),
        });
        let Some(action) = held else {
            assert!(skip > 10, "only {skip} calls were held");
            break;
        };
        // Killed by the fault.
        drop(running);
        cloud.heal();
        println!("destroy killed after {action}");
        project.disco(&["destroy", "-y"]).ok();
        assert!(cloud.inventory().is_empty(), "destroy killed after {action}: {:#?}", cloud.inventory());
        project.disco(&["bootstrap", "-y"]).ok();
    }
    cloud.heal();
    assert!(cloud.inventory().is_empty(), "{:#?}", cloud.inventory());
}

#[test]
fn bootstrap_survives_a_zone_without_capacity_a_throttled_call_and_a_slow_start() {
    let Some((project, cloud)) = account("", "") else { return };
    cloud.fault(json!({ "action": RUN, "code": "InsufficientInstanceCapacity", "status": 500, "times": 1 }));
    cloud.fault(json!({ "action": "DescribeSubnets", "code": "RequestLimitExceeded", "status": 503, "times": 2 }));
    cloud.fault(json!({ "action": "CreateRole", "code": "Throttling", "times": 1 }));
    cloud.fault(json!({ "action": RUN, "code": "RequestLimitExceeded", "status": 503, "times": 1 }));
    cloud.machines_are(json!({ "boot_seconds": 4 }));
    let output = project.disco(&["bootstrap", "-y"]).ok();
    let present = cloud.inventory();
    assert_eq!(present.present()[0].zone, "us-west-2b", "{present:#?}");
    for step in ["us-west-2a has no capacity", "retrying", "is pending"] {
        assert!(output.stderr.contains(step), "{step}: {output}");
    }
    check_one_of_each(&present);
}

#[test]
fn a_cluster_is_found_by_its_tags_without_the_projects_state() {
    let Some((project, cloud)) = account("", "") else { return };
    project.disco(&["bootstrap", "-y"]).ok();
    std::fs::remove_dir_all(project.path(".disco")).expect("it is there");
    let listed = project.disco(&["destroy", "--dry-run"]).ok();
    assert!(listed.stderr.contains("machine i-") && listed.stderr.contains("key pair disco-faulty"), "{listed}");
    check_one_of_each(&cloud.inventory());
    project.disco(&["destroy", "-y"]).ok();
    assert!(cloud.inventory().is_empty(), "{:#?}", cloud.inventory());
}

#[test]
fn permanent_failures_have_an_error_with_a_hint() {
    let Some((project, cloud)) = account("", "") else { return };
    let refused = |action: &str, code: &str, status: u16| {
        cloud.fault(json!({ "action": action, "code": code, "status": status, "message": "said by the test" }));
    };
    let cases = [
        ("DescribeKeyPairs", "RequestExpired", 3, "aws sso login"),
        ("ImportKeyPair", "UnauthorizedOperation", 3, "docs/aws.md"),
        ("CreateRole", "AccessDenied", 3, "docs/aws.md"),
        (RUN, "InsufficientInstanceCapacity", 1, "another `instance_type`"),
        (RUN, "VcpuLimitExceeded", 1, "quota"),
        ("AllocateAddress", "AddressLimitExceeded", 1, "Elastic IP"),
    ];
    for (action, code, exit, hint) in cases {
        refused(action, code, 400);
        let output = project.disco(&["bootstrap", "-y"]).expect(exit).says(&["hint:", hint]);
        assert!(!output.stderr.contains("panicked"), "{output}");
        cloud.heal();
    }
    // The next run continues where it stopped.
    project.disco(&["bootstrap", "-y"]).ok();
    check_one_of_each(&cloud.inventory());
}

#[test]
fn a_machine_of_another_architecture_is_not_started() {
    let Some((project, cloud)) = account("", "") else { return };
    let client = std::fs::read_to_string(project.path("client.js")).expect("it was written");
    project.write("client.js", &client.replace("ami-0e8c824f386e1de06", "ami-0000000000000other"));
    project.disco(&["bootstrap", "-y"]).expect(2).says(&["ami-0000000000000other", "built for", "hint:"]);
    assert!(!cloud.calls().iter().any(|call| call.action == RUN), "{:#?}", cloud.count());
}

#[test]
fn two_operators_at_once_make_one_cluster() {
    let Some((project, cloud)) = account("", "") else { return };
    let mut other = project_with("", "");
    other.set_environment(cloud.environment());
    // The same key, since the account has one key pair of that name.
    for file in ["id_ed25519", "id_ed25519.pub"] {
        std::fs::copy(project.path(file), other.path(file)).expect("both are files");
    }
    let (first, second) = (project.start(&["bootstrap", "-y"]), other.start(&["bootstrap", "-y"]));
    let outputs = [first.wait(LIMIT), second.wait(LIMIT)];
    let good = outputs.iter().filter(|output| output.code == 0).count();
    assert!(good <= 1, "{} {}", outputs[0], outputs[1]);
    let refused = outputs.iter().find(|output| output.code != 0).expect("one of them");
    assert!(refused.stderr.contains("already exists"), "{refused}");
    assert_eq!(cloud.inventory().present().len(), 1, "{:#?}", cloud.inventory());
    // Another key of the same name is refused too.
    let mut stranger = project_with("", "");
    stranger.set_environment(cloud.environment());
    stranger.disco(&["bootstrap", "-y"]).expect(1).says(&["disco-faulty", "it holds another key"]);
}

#[test]
fn an_image_that_ignores_its_user_data_is_trusted_on_first_use_with_a_warning() {
    let Some((project, cloud)) = account("await cluster.ssh_install();", "") else { return };
    cloud.machines_are(json!({ "ignores_user_data": true }));
    let output = project.start(&["bootstrap", "-y"]).wait(LIMIT);
    assert_eq!(output.code, 0, "{output}");
    assert!(output.stderr.contains("does not use the host key that it was given"), "{output}");
    let again = project.start(&["bootstrap", "-y"]).wait(LIMIT);
    assert!(!again.stderr.contains("does not use the host key"), "{again}");
    project.wait_for_status(SOON, "a healthy node", |status| status.healthy);
}

#[test]
fn an_error_names_a_machine_that_never_answers() {
    let Some((project, cloud)) = account("await cluster.ssh_install();", "") else { return };
    cloud.machines_are(json!({ "never_answers": true }));
    let output = project.start(&["bootstrap", "-y", "--timeout", "40s"]).wait(LIMIT);
    assert_eq!(output.code, 9, "{output}");
    assert!(output.stderr.contains("faulty-1: connecting"), "{output}");
    project.disco(&["destroy", "-y"]).ok();
    assert!(cloud.inventory().is_empty(), "{:#?}", cloud.inventory());
}
