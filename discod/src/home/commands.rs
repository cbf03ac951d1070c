//! `discod identity`: what the installer does on a cluster's first node, where there is nobody yet to join.

use std::io::{Read, Write};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::{Home, NodeFile, VoterSecrets};
use crate::args::IdentityCommand;

/// Longest input that is read.
const MAX_INPUT_BYTES: u64 = 256 * 1024;

/// What the operator hands to the first node.
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
/// What is wrong with the folder or the input.
pub fn run(command: &IdentityCommand) -> Result<()> {
    match command {
        IdentityCommand::Request { data_dir, .. } => {
            let request = Home::open(data_dir)?.key()?.signing_request()?;
            std::io::stdout().write_all(request.as_bytes()).context("writing the request")
        }
        IdentityCommand::Install { data_dir } => {
            let mut text = String::new();
            std::io::stdin().take(MAX_INPUT_BYTES).read_to_string(&mut text).context("reading the identity")?;
            let installation = serde_json::from_str(&text).context("the identity on standard input is not valid")?;
            install(&Home::open(data_dir)?, installation)
        }
    }
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
    secrets.authority().context("the signing key")?;
    let key = home.key()?;
    disco_identity::Credentials::new(&installation.ca, &installation.certificate_chain, &key)
        .context("the certificate that was sent")?;
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
