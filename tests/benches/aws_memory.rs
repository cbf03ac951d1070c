//! Measures what the AWS provider in `cluster.js` costs an idle node: resident memory of the same binaries in a cluster of three with
//! it, against moto's server, and in one with the local provider.
//!
//! ```text
//! cargo bench -p disco-tests --bench aws_memory                                         # the release build
//! DISCO_TEST_BINARIES=DIR cargo bench -p disco-tests --bench aws_memory -- --idle 60    # others, with the feature `aws`
//! ```
//!
//! Prints a line for each node and writes nothing. Figures of a debug build say nothing.

use std::process::Command;
use std::time::Duration;

use disco_tests::{Cloud, Project, SOON, idle_time, memory};

/// For a bootstrap, by whatever build.
const BOOTSTRAP: Duration = Duration::from_secs(180);

fn main() {
    let idle = idle_time();
    let local = Project::new("local");
    local.start(&["bootstrap", "-y"]).wait(BOOTSTRAP).ok();
    let mut aws = Project::builder("cloud").client(script(CLIENT)).cluster(script("")).build();
    let key = aws.path("id_ed25519");
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
    assert!(made.is_ok_and(|status| status.success()), "ssh-keygen failed");
    let cloud = Cloud::start(&mut aws);
    if cloud.is_some() {
        aws.start(&["bootstrap", "-y"]).wait(BOOTSTRAP).ok();
    }
    // Both are idle for the same time, beside each other.
    std::thread::sleep(idle);
    rows("LocalProvider", &local, idle);
    if cloud.is_some() {
        rows("AwsProvider", &aws, idle);
    }
}

fn rows(provider: &str, project: &Project, idle: Duration) {
    let status = project.wait_until_healthy(SOON, 3);
    for node in &status.nodes {
        let [resident, anonymous, files] = memory(node.pid);
        let role = &node.role;
        println!(
            "{provider:<14} {role:<7} idle {} s: {resident} kB resident ({anonymous} anonymous, {files} of files)",
            idle.as_secs()
        );
    }
}

const CLIENT: &str = "export async function bootstrap(cluster) {
  await cluster.set_key_pair({ private: './id_ed25519', public: './id_ed25519.pub' });
  await cluster.start_instance({ image: 'ami-0e8c824f386e1de06', instance_type: 't4g.micro' });
  await cluster.ssh_install();
  await cluster.scale(3);
}
";

fn script(more: &str) -> String {
    format!(
        "export async function init() {{
  const provider = await AwsProvider.init({{ name: 'cloud', region: 'us-west-2' }});
  return new Cluster({{ name: 'cloud', provider }});
}}
{more}"
    )
}
