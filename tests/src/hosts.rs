use std::path::PathBuf;
use std::process::Command;

use crate::{Project, cluster_script};

/// A project for existing machines, with a key pair that they must authorize.
#[must_use]
pub fn hosts_project(name: &str) -> (Project, String) {
    let project = Project::builder(name).build();
    let key = project.path("id_test");
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status().unwrap();
    assert!(made.success(), "ssh-keygen failed");
    let public = std::fs::read_to_string(project.path("id_test.pub")).unwrap();
    (project, public.trim().to_owned())
}

impl Project {
    /// The value of `DISCO_TEST_DIR` in all processes of this project.
    #[must_use]
    pub fn mark(&self) -> PathBuf {
        self.outside("").canonicalize().unwrap()
    }

    /// Writes the scripts of a project whose nodes are these hosts, each `user@ip:port`.
    pub fn write_hosts(&self, hosts: &[String]) {
        self.write_hosts_for(hosts, hosts.len());
    }

    /// The same with this number of nodes, which may be smaller than that of hosts.
    pub fn write_hosts_for(&self, hosts: &[String], nodes: usize) {
        self.write_client_hosts(hosts, nodes);
        self.write_cluster_hosts(hosts);
    }

    /// Writes a `client.js` with these hosts that bootstraps this number of nodes.
    pub fn write_client_hosts(&self, hosts: &[String], nodes: usize) {
        let (name, provider) = (self.name(), self.given(hosts));
        self.write(
            "client.js",
            &format!(
                "export async function init() {{
  const provider = await {provider};
  const cluster = new Cluster({{ name: \"{name}\", provider }});
  await cluster.set_key_pair({{ private: 'id_test', public: 'id_test.pub' }});
  return cluster;
}}
export async function bootstrap(cluster) {{
  await cluster.start_instance({{}});
  await cluster.ssh_install();
  await cluster.scale({count});
  return `${{cluster}} is complete`;
}}
",
                count = nodes
            ),
        );
    }

    /// Writes `cluster.js` with these hosts.
    pub fn write_cluster_hosts(&self, hosts: &[String]) {
        let (name, provider) = (self.name(), self.given(hosts));
        let hooks = cluster_script(name, "");
        let call = hooks.lines().find(|line| line.contains("LocalProvider")).unwrap().to_owned();
        self.write("cluster.js", &hooks.replace(&call, &format!("  const provider = await {provider};")));
    }

    fn given(&self, hosts: &[String]) -> String {
        let list: Vec<String> = hosts.iter().map(|host| format!("{host:?}")).collect();
        format!("HostsProvider.init({{ name: \"{}\", hosts: [{}] }})", self.name(), list.join(", "))
    }
}
