//! `discod identity`: steps on a machine that cannot request its identity from the cluster: the first node's identity
//! when a cluster is founded, and a new certificate after the old one has expired.

use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use disco_identity::{Credentials, Role};
use serde::Deserialize;
use serde_json::json;

use super::{Home, NodeFile, VoterSecrets};
use crate::args::IdentityCommand;

/// Longest accepted input.
const MAX_INPUT_BYTES: u64 = 256 * 1024;

/// The identity that the operator sends to the first node.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Installation {
    cluster_id: String,
    cluster_name: String,
    node_id: u64,
    name: String,
    ca: String,
    certificate_chain: String,
    intermediate_certificate: String,
    intermediate_key: String,
    ssh_private_key: String,
}

/// Runs one of the commands.
///
/// # Errors
/// The folder or the input is invalid.
pub fn run(command: &IdentityCommand) -> Result<()> {
    match command {
        IdentityCommand::Request { data_dir, .. } => {
            let request = Home::open(data_dir)?.key()?.signing_request()?;
            std::io::stdout().write_all(request.as_bytes()).context("writing the request")
        }
        IdentityCommand::Install { data_dir } => {
            let mut text = String::new();
            std::io::stdin().take(MAX_INPUT_BYTES).read_to_string(&mut text).context("reading the identity")?;
            let installation = serde_json::from_str(&text).context("invalid identity on standard input")?;
            install(&Home::open(data_dir)?, installation)
        }
        IdentityCommand::Show { data_dir } => {
            let text = serde_json::to_vec(&shown(data_dir)?)?;
            std::io::stdout().write_all(&text).context("writing the identity")
        }
        IdentityCommand::Renew { data_dir } => {
            let mut chain = String::new();
            std::io::stdin().take(MAX_INPUT_BYTES).read_to_string(&mut chain).context("reading the certificate")?;
            renew(data_dir, &chain)
        }
    }
}

/// The identity of the node in a folder, for the operator who renews its certificate. Fields are added, never renamed.
fn shown(data_dir: &Path) -> Result<serde_json::Value> {
    let (home, node) = open_node(data_dir)?;
    Ok(json!({
        "cluster_id": node.cluster_id,
        "cluster_name": node.cluster_name,
        "node_id": node.node_id,
        "name": node.name,
        "certificate_chain": home.chain()?,
        "signing_request": home.key()?.signing_request()?,
        // Shows the operator a wrong clock, which would refuse every certificate.
        "time": disco_identity::unix_now(),
    }))
}

/// Accepts a certificate only if it is usable: for this node's key and name, of its cluster, valid now.
fn renew(data_dir: &Path, chain: &str) -> Result<()> {
    let (home, node) = open_node(data_dir)?;
    let credentials = Credentials::new(&home.root()?, chain, &home.key()?)?;
    let own = credentials.own();
    if own.cluster_id != node.cluster_id()? || own.role != Role::Node(node.node_id) {
        bail!("the certificate is for {} of cluster {}, but this is node/{}", own.role, own.cluster_id, node.node_id);
    }
    credentials.verify()?;
    home.set_chain(chain)
}

/// Opens a node's data folder; a folder without an identity stays unchanged.
fn open_node(data_dir: &Path) -> Result<(Home, NodeFile)> {
    let missing = || format!("`{}` holds no identity of a node", data_dir.display());
    if !data_dir.join("node.json").exists() {
        bail!(missing());
    }
    let home = Home::open(data_dir)?;
    let node = home.node()?.with_context(missing)?;
    Ok((home, node))
}

fn install(home: &Home, installation: Installation) -> Result<()> {
    if let Some(node) = home.node()? {
        if node.cluster_id == installation.cluster_id && node.node_id == installation.node_id {
            return Ok(());
        }
        bail!(
            "this machine is already node {} of the cluster `{}`; remove it there first, or remove `{}`",
            node.node_id,
            node.cluster_name,
            home.path().display()
        );
    }
    let secrets = VoterSecrets {
        intermediate_certificate: installation.intermediate_certificate,
        intermediate_key: installation.intermediate_key,
        ssh_private_key: installation.ssh_private_key,
    };
    secrets.authority().context("reading the signing key")?;
    let key = home.key()?;
    Credentials::new(&installation.ca, &installation.certificate_chain, &key)
        .context("reading the received certificate")?;
    home.set_voter_secrets(&secrets)?;
    let node = NodeFile {
        cluster_id: installation.cluster_id,
        cluster_name: installation.cluster_name,
        node_id: installation.node_id,
        name: installation.name,
        founder: true,
        members: Vec::new(),
    };
    home.set_node(&node, &installation.ca, &installation.certificate_chain)
}
