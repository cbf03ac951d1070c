//! Plans and price limits on EC2.

use std::process::Command;

use disco_tests::{Cloud, Output, Project};
use serde_json::{Value, json};

const NAME: &str = "priced";

/// A project with three nodes of a type with a known price; `options` of the provider, `machine` of `start_instance`.
fn account(options: &str, machine: &str) -> Option<(Project, Cloud)> {
    if Command::new("ssh-keygen").arg("-?").output().is_err() {
        println!("left out: there is no `ssh-keygen`");
        return None;
    }
    let client = format!(
        "export async function init() {{
  const provider = await AwsProvider.init({{ name: '{NAME}', region: 'us-west-2'{options} }});
  return new Cluster({{ name: '{NAME}', provider }});
}}
export async function bootstrap(cluster) {{
  await cluster.set_key_pair({{ private: './id_ed25519', public: './id_ed25519.pub' }});
  await cluster.start_instance({{ image: 'ami-0e8c824f386e1de06', instance_type: 't4g.micro'{machine} }});
  await cluster.attach_ip();
  if (env.FIRST_ONLY) {{
    return;
  }}
  await cluster.ssh_install();
  await cluster.scale(Number(env.NODES ?? 3));
}}
"
    );
    let mut project = Project::builder(NAME).client(client).no_cluster_script().build();
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(project.path("id_ed25519"))
        .status();
    assert!(made.is_ok_and(|status| status.success()), "ssh-keygen failed");
    let cloud = Cloud::start(&mut project)?;
    Some((project, cloud))
}

fn first_only(project: &mut Project, cloud: &Cloud) {
    with_variable(project, cloud, "FIRST_ONLY");
}

/// The script's reads, in addition to the provider's.
fn with_variable(project: &mut Project, cloud: &Cloud, name: &str) {
    let mut environment = cloud.environment();
    environment.push((name.to_owned(), "1".to_owned()));
    project.set_environment(environment);
}

fn lines(output: &Output) -> Vec<String> {
    let plan = output.json();
    let changes = plan["changes"].as_array().unwrap_or_else(|| panic!("no changes in {output}"));
    let line = |one: &Value| {
        let [action, kind, name] = ["action", "kind", "name"].map(|field| one[field].as_str().unwrap_or("?"));
        format!("{action} {kind} {name}")
    };
    changes.iter().map(line).collect()
}

#[test]
fn a_plan_lists_all_resources_with_prices_and_creates_none() {
    let Some((mut project, cloud)) = account("", "") else { return };
    let output = project.disco(&["plan", "--exit-code", "-o", "json"]).expect(7);
    let all = lines(&output);
    let made = [
        "create key pair disco-priced",
        "create key pair disco-priced-nodes",
        "create security group disco-priced",
        "create role disco-priced-us-west-2",
        "create instance profile disco-priced-us-west-2",
        "create machine priced-1",
        "create Elastic IP priced",
    ];
    assert_eq!(all[..made.len()], made, "{output}");
    assert!(all.contains(&"create machine priced-3".to_owned()), "{output}");
    let plan = output.json();
    let change = |name: &str| {
        let changes = plan["changes"].as_array().expect("a list");
        let found = changes.iter().find(|one| one["name"] == name && one["kind"] != "role");
        found.cloned().unwrap_or_else(|| panic!("no {name} in {output}"))
    };
    assert_eq!(change("priced-2")["monthly_usd"], 6.132);
    let details = change("priced-1")["details"].as_str().expect("it is text").to_owned();
    assert_eq!(details, "t4g.micro, ami-0e8c824f386e1de06, us-west-2a");
    // Three machines, and an address.
    assert_eq!(plan["monthly_usd"], 22.046, "{output}");
    let calls = cloud.calls();
    assert!(!calls.is_empty() && calls.iter().all(|call| is_look(&call.action)), "{:#?}", cloud.count());
    assert!(cloud.inventory().is_empty() && !project.path(".disco").exists());

    first_only(&mut project, &cloud);
    project.disco(&["bootstrap", "-y"]).ok();
    cloud.forget_calls();
    let nothing = project.disco(&["plan", "--exit-code", "-o", "json"]).ok();
    assert_eq!(lines(&nothing), Vec::<String>::new(), "{nothing}");
    assert!(cloud.calls().iter().all(|call| is_look(&call.action)), "{:#?}", cloud.count());
    project.disco(&["destroy", "-y"]).ok();
}

#[test]
fn doctor_names_missing_permissions_and_quotas_before_anything_is_created() {
    let Some((project, cloud)) = account("", "") else { return };
    let state = |name: &str, output: &Output| {
        let checks = output.json();
        let found = checks.as_array().expect("a list").iter().find(|check| check["name"] == name);
        let found = found.unwrap_or_else(|| panic!("no {name} in {output}"));
        format!("{} {} {}", found["state"], found["detail"], found["next"])
    };
    let well = project.disco(&["doctor", "-o", "json"]).ok();
    for (name, detail) in [
        ("credentials", "in account 123456789012"),
        ("region", "us-west-2"),
        ("image", "ami-0e8c824f386e1de06 on t4g.micro, for "),
        ("quota", "0 of 20 machines are used, 0 of 32 vCPUs are used, 0 of 5 Elastic IPs are used"),
        ("permissions", "key pairs, security groups, addresses, roles, machines"),
    ] {
        let result = state(name, &well);
        assert!(result.starts_with("\"ok\"") && result.contains(detail), "{name}: {result}");
    }
    // Nothing was made; all calls that are not reads are dry runs.
    assert!(cloud.inventory().is_empty() && !project.path(".disco").exists(), "{:#?}", cloud.inventory());

    let refuse = |action: &str, code: &str| {
        cloud.fault(json!({ "action": action, "code": code, "message": "said by the test" }));
    };
    for (action, code, name, hint) in [
        ("GetCallerIdentity", "ExpiredToken", "credentials", "aws sso login"),
        ("RunInstances", "UnauthorizedOperation", "permissions", "docs/aws.md"),
        ("GetRole", "AccessDenied", "permissions", "docs/aws.md"),
        ("DescribeAccountAttributes", "UnauthorizedOperation", "quota", "docs/aws.md"),
    ] {
        refuse(action, code);
        let ill = project.disco(&["doctor", "-o", "json"]).expect(1);
        let result = state(name, &ill);
        assert!(result.starts_with("\"fail\"") && result.contains(action) && result.contains(hint), "{name}: {result}");
        cloud.heal();
    }
    // A new account may have fewer vCPUs than one machine; a missing permission to read the quota blocks nothing.
    cloud.fault(json!({ "action": "GetServiceQuota", "value": 1.0 }));
    let few = state("quota", &project.disco(&["doctor", "-o", "json"]).expect(1));
    assert!(few.starts_with("\"fail\"") && few.contains("0 of 1 vCPUs are used, and one machine takes 2"), "{few}");
    assert!(few.contains("Running On-Demand instances"), "{few}");
    cloud.heal();
    refuse("GetServiceQuota", "AccessDeniedException");
    let unknown = state("quota", &project.disco(&["doctor", "-o", "json"]).ok());
    assert!(unknown.contains("0 vCPUs, quota unknown"), "{unknown}");
    cloud.heal();
    let client = std::fs::read_to_string(project.path("client.js")).expect("it was written");
    for (image, says, hint) in [
        ("ami-0000000000000other", "but the `discod` to install is built for", "of that architecture"),
        ("ami-00000000000000000", "AWS refused `DescribeImages`", "image ids differ by region"),
    ] {
        project.write("client.js", &client.replace("ami-0e8c824f386e1de06", image));
        let result = state("image", &project.disco(&["doctor", "-o", "json"]).expect(1));
        assert!(result.starts_with("\"fail\"") && result.contains(says), "{result}");
        assert!(result.contains(hint), "{result}");
    }
}

fn is_look(action: &str) -> bool {
    action.starts_with("Describe") || action.starts_with("Get")
}

#[test]
fn a_machine_over_the_price_limit_or_without_a_known_price_is_not_started() {
    let Some((mut project, cloud)) = account(", max_hourly_usd: 0.005", "") else { return };
    first_only(&mut project, &cloud);
    let too_much = ["1 machines would cost 0.0084 USD an hour", "allows 0.005 USD", "hint:"];
    project.disco(&["plan"]).expect(5).says(&too_much);
    project.disco(&["bootstrap", "-y"]).expect(5).says(&too_much);
    assert!(cloud.inventory().present().is_empty(), "{:#?}", cloud.inventory());

    let Some((mut project, cloud)) = account(", max_hourly_usd: 1", ", spot: true") else { return };
    first_only(&mut project, &cloud);
    project.disco(&["bootstrap", "-y"]).expect(5).says(&["max_hourly_usd", "is unknown"]);
    assert!(cloud.inventory().present().is_empty(), "{:#?}", cloud.inventory());
    // Without a limit the plan only states that the price is unknown.
    let script = std::fs::read_to_string(project.path("client.js")).expect("it is there");
    project.write("client.js", &script.replace(", max_hourly_usd: 1", ""));
    let output = project.disco(&["plan", "-o", "json"]).ok();
    let plan = output.json();
    assert_eq!((&plan["monthly_usd"], &plan["unknown_prices"]), (&Value::Null, &json!(1)), "{output}");
}

#[test]
fn a_target_size_over_the_price_limit_is_refused_before_anything_is_created() {
    let Some((mut project, cloud)) = account(", max_hourly_usd: 0.0168", "") else { return };
    // The limit covers two of the three.
    project.disco(&["plan"]).expect(5).says(&["3 machines would cost 0.0252 USD"]);
    assert!(cloud.inventory().is_empty(), "{:#?}", cloud.inventory());

    // The leader refuses it as well.
    with_variable(&mut project, &cloud, "NODES");
    project.disco(&["bootstrap", "-y"]).ok();
    let two = project.disco(&["plan", "nodes=2", "-o", "json"]).ok();
    assert_eq!(lines(&two), ["create machine priced-2"], "{two}");
    let too_many = ["3 machines would cost 0.0252 USD an hour", "`max_hourly_usd` allows 0.0168 USD"];
    project.disco(&["scale", "nodes=3"]).expect(5).says(&too_many);
    project.disco(&["plan", "nodes=3"]).expect(5).says(&too_many);
    assert_eq!((project.status().nodes.len(), cloud.inventory().present().len()), (1, 1));
    project.disco(&["destroy", "-y"]).ok();
}
