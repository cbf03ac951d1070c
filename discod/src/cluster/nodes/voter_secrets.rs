//! The voters' secrets: sent to a node before it becomes a voter, and withdrawn afterwards.

use std::time::Duration;

use anyhow::{Context, Result};
use disco_proto::v1::VoterSecrets;

use crate::node::Node;
use crate::records::{self, Severity};

/// Time limit for a node to take the voters' secrets.
const HAND_OVER: Duration = Duration::from_secs(5);

/// Sends the secrets to a node.
///
/// # Errors
/// It does not answer, or refuses.
pub async fn hand_over(node: &Node, id: u64, secrets: VoterSecrets) -> Result<()> {
    let mut client = node.member_client(id).context("its address is unknown")?;
    tokio::time::timeout(HAND_OVER, client.set_voter_secrets(secrets)).await.context("no answer")??;
    Ok(())
}

/// Makes a former voter delete the secrets; whether it does cannot be verified, so the key counts as stale.
pub async fn take_back(node: &Node, id: u64) {
    tell(node, "node.demoted", id, "is no longer a voter").await;
    if let Some(mut client) = node.member_client(id) {
        let forget = client.set_voter_secrets(VoterSecrets::default());
        if !matches!(tokio::time::timeout(HAND_OVER, forget).await, Ok(Ok(_))) {
            tracing::warn!(node = id, "the node did not confirm that it deleted the signing key");
        }
    }
    if let Err(error) = records::change_signing(node, |record| record.stale = true).await {
        tracing::warn!(%error, "could not record that the signing key is stale");
    }
}

/// Writes an event about a node.
pub async fn tell(node: &Node, kind: &str, id: u64, what: &str) {
    let name = node
        .raft()
        .store()
        .read(|store| records::node(store, id))
        .map_or_else(|| format!("node {id}"), |record| record.name);
    records::emit(node, kind, Severity::Info, Some(id), format!("{name} {what}")).await;
}
