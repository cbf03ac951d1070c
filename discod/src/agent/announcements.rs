//! Announcements of the provider about this node's own machine: that it will take the machine away.
//!
//! The node reports the announcement, writes an event and hands over leadership. The leader demotes the node, starts a
//! substitute, and removes the node once the substitute is a member. Without announcements of the provider the node
//! requests nothing.

use std::time::Duration;

use tokio::time::sleep;

use crate::cluster::machines::provider;
use crate::node::Node;
use crate::raft::Role;
use crate::records::{self, Severity};

/// How often a node checks whether its cluster has a provider that makes announcements.
const IDLE: Duration = Duration::from_secs(60);

/// Polls the provider's announcements until the process ends.
pub(super) async fn run(node: Node) {
    let Some(machine) = node.args().machine.clone() else { return };
    loop {
        let Some(mut announcements) = provider::announcements(&node, &machine) else {
            sleep(IDLE).await;
            continue;
        };
        loop {
            match announcements.read().await {
                Ok(announced) => take(&node, announced).await,
                Err(error) => tracing::debug!(%error, "cannot read the announcements about this machine"),
            }
            sleep(announcements.pause()).await;
            if !provider::makes_announcements(&node) {
                break;
            }
        }
    }
}

async fn take(node: &Node, announced: Option<String>) {
    if node.retirement().set(announced.clone()) {
        // The leader learns of it from the next report and does not report to itself.
        node.wake_controllers();
        match &announced {
            Some(why) => {
                let text = format!("the provider will take away the machine of {}: {why}", node.name());
                records::emit(node, "node.retiring", Severity::Warning, Some(node.id()), text).await;
            }
            None => {
                let text = format!("the provider keeps the machine of {} after all", node.name());
                records::emit(node, "node.stays", Severity::Info, Some(node.id()), text).await;
            }
        }
    }
    if announced.is_some() && node.raft().leads().is_some() {
        hand_over(node).await;
    }
}

/// Hands leadership to another voter, if one exists. Repeated at every check while this node leads.
async fn hand_over(node: &Node) {
    let others = node.raft().members().into_iter().any(|member| member.role == Role::Voter && member.id != node.id());
    if !others {
        return;
    }
    match node.raft().transfer_leadership(None).await {
        Ok(to) => tracing::warn!(to, "handed over leadership: the provider will take away this machine"),
        Err(error) => tracing::warn!(%error, "could not hand over leadership"),
    }
}
