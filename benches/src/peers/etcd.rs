use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use disco_identity::{Authority, ClusterId, Credentials, Identity, PrivateKey, Validity};
use disco_tests::{Api, free_ip};
use tempfile::TempDir;

use super::Peer;

const DAY: Duration = Duration::from_secs(24 * 3600);
const CLIENT_PORT: u16 = 2379;
const PEER_PORT: u16 = 2380;

/// `etcd` processes with default settings.
pub(super) struct Etcd {
    root: TempDir,
    api: Api,
    nodes: Vec<Node>,
}

struct Node {
    address: IpAddr,
    folder: PathBuf,
    child: Option<Child>,
}

/// The first line of `etcd --version`.
pub(super) fn version() -> Result<String> {
    let output = Command::new("etcd").arg("--version").output();
    let output = output.context("`etcd` is not on the path\nhint: Debian's package is `etcd-server`")?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned())
}

impl Etcd {
    pub(super) fn start(count: usize) -> Result<Self> {
        let root = tempfile::Builder::new().prefix("disco-etcd-").tempdir()?;
        disco_tests::watch_over(root.path());
        let authority = Authority::new_root(&ClusterId::random(), "etcd")?;
        let signer = authority.new_intermediate()?;
        fs::write(root.path().join("ca.pem"), authority.certificate_pem())?;
        let mut nodes = Vec::new();
        for id in 1..=count {
            let (address, folder) = (free_ip(), root.path().join(id.to_string()));
            fs::create_dir(&folder)?;
            let key = PrivateKey::generate()?;
            // etcd compares the source address of a peer's connection with the peer's certificate too.
            let addresses = [address, IpAddr::V4(Ipv4Addr::LOCALHOST)];
            let chain = signer.issue_node(&key.signing_request()?, id as u64, &addresses, Validity::lasting(DAY))?;
            fs::write(folder.join("node.pem"), chain)?;
            disco_identity::write_private(&folder.join("node.key"), key.to_pem().as_bytes())?;
            nodes.push(Node { address, folder, child: None });
        }
        let key = PrivateKey::generate()?;
        let chain = authority.issue_operator(&key.signing_request()?, "bench", Validity::lasting(DAY))?;
        let credentials = Credentials::from_pem(authority.certificate_pem(), &chain, &key.to_pem())?;
        let api = Api::new(Identity::new(credentials)?);
        let mut cluster = Self { root, api, nodes };
        for node in 0..count {
            cluster.start(node)?;
        }
        Ok(cluster)
    }

    fn command(&self, node: usize) -> Command {
        let Node { address, folder, .. } = &self.nodes[node];
        let members = self.nodes.iter().enumerate();
        let members: Vec<String> =
            members.map(|(id, node)| format!("node-{id}=https://{}:{PEER_PORT}", node.address)).collect();
        let (client, peer) = (format!("https://{address}:{CLIENT_PORT}"), format!("https://{address}:{PEER_PORT}"));
        let file = |name: &str| folder.join(name);
        let ca = self.root.path().join("ca.pem");
        let mut command = Command::new("etcd");
        command.env_clear().env("DISCO_TEST_DIR", self.root.path()).current_dir(folder);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        let mut set = |name: &str, value: &dyn AsRef<Path>| {
            command.arg(name).arg(value.as_ref());
        };
        set("--name", &format!("node-{node}"));
        set("--data-dir", &file("data"));
        set("--initial-cluster", &members.join(","));
        set("--initial-advertise-peer-urls", &peer);
        set("--listen-peer-urls", &peer);
        set("--listen-client-urls", &client);
        set("--advertise-client-urls", &client);
        for kind in ["", "peer-"] {
            set(&format!("--{kind}cert-file"), &file("node.pem"));
            set(&format!("--{kind}key-file"), &file("node.key"));
            set(&format!("--{kind}trusted-ca-file"), &ca);
        }
        command.args(["--client-cert-auth", "--peer-client-cert-auth", "--log-level", "warn"]);
        command
    }
}

impl Peer for Etcd {
    fn endpoints(&self) -> Vec<String> {
        self.nodes.iter().map(|node| format!("{}:{CLIENT_PORT}", node.address)).collect()
    }

    fn api(&self) -> &Api {
        &self.api
    }

    fn pids(&self) -> Vec<u32> {
        self.nodes.iter().filter_map(|node| node.child.as_ref()).map(Child::id).collect()
    }

    fn folders(&self) -> Vec<PathBuf> {
        self.nodes.iter().map(|node| node.folder.join("data")).collect()
    }

    fn kill(&mut self, node: usize) -> Result<()> {
        let Some(mut child) = self.nodes[node].child.take() else { bail!("node {node} does not run") };
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    fn start(&mut self, node: usize) -> Result<()> {
        let log = File::options().create(true).append(true).open(self.nodes[node].folder.join("log"))?;
        let mut command = self.command(node);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.nodes[node].child = Some(command.spawn().context("starting `etcd`")?);
        Ok(())
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        for node in 0..self.nodes.len() {
            // The node may have been killed already.
            let _ = self.kill(node);
        }
    }
}
