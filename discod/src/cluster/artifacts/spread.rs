//! Hands a content on to the voters.

use std::time::Duration;

use disco_proto::v1::HoldArtifactRequest;
use futures_util::StreamExt;
use tokio::task::JoinSet;

use super::held::wire;
use super::{majority, short, voters};
use crate::cluster::{Error, Result};
use crate::local::artifacts::Content;
use crate::node::Node;

/// Time without a sign of life of a node that fetches a content: it sends one each second.
const STALL: Duration = Duration::from_secs(30);

/// Makes the voters fetch a content that this node has. Returns once a majority of them has it; the others go on.
/// `progress`: is called with the number of voters that have it, and how many are needed.
///
/// # Errors
/// Why a majority could not be reached.
pub async fn spread(node: &Node, content: &Content, mut progress: impl FnMut(usize, usize)) -> Result<()> {
    let voters = voters(node);
    let needed = majority(voters.len());
    let mut held = usize::from(voters.contains(&node.id()));
    let mut holding = hold_on(node, &voters, content, node.id());
    let mut failures = Vec::new();
    progress(held, needed);
    while held < needed {
        match holding.join_next().await {
            Some(Ok((_, Ok(())))) => held += 1,
            Some(Ok((id, Err(why)))) => failures.push(format!("{}: {why}", node.name_of(id))),
            Some(Err(error)) => failures.push(error.to_string()),
            None => {
                return Err(Error::Unavailable(format!(
                    "the content {} is on {held} of {} voters, and {needed} are needed: {}",
                    short(&content.sha256),
                    voters.len(),
                    failures.join("; ")
                )));
            }
        }
        progress(held, needed);
    }
    holding.detach_all();
    Ok(())
}

/// Makes these nodes fetch a content, which `holder` has. This node and the holder are left out.
pub fn hold_on(
    node: &Node,
    nodes: &[u64],
    content: &Content,
    holder: u64,
) -> JoinSet<(u64, std::result::Result<(), String>)> {
    let mut holding = JoinSet::new();
    for id in nodes.iter().copied().filter(|id| *id != node.id() && *id != holder) {
        let (node, content) = (node.clone(), content.clone());
        holding.spawn(async move { (id, hold(&node, id, &content, holder).await) });
    }
    holding
}

async fn hold(node: &Node, id: u64, content: &Content, holder: u64) -> std::result::Result<(), String> {
    let client = node.member_client(id).ok_or("it is no member any more")?;
    let request = HoldArtifactRequest { artifact: Some(wire(content)), node_id: holder };
    let mut progress = client.hold_artifact(request).await.map_err(|error| match error.is_unimplemented() {
        true => "it runs an older version of Disco: complete the upgrade of the cluster first".to_owned(),
        false => error.to_string(),
    })?;
    loop {
        match tokio::time::timeout(STALL, progress.next()).await {
            Err(_) => return Err(format!("no sign of life within {} s", STALL.as_secs())),
            Ok(None) => return Ok(()),
            Ok(Some(Err(error))) => return Err(error.to_string()),
            Ok(Some(Ok(_))) => {}
        }
    }
}
