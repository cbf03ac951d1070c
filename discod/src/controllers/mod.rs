//! What only the leader does.
//!
//! Each controller takes no input but this node and the term: it reads what is wished and what is there, and does what is
//! missing, so it may be interrupted anywhere and start again, here or on the next leader. Whatever it writes carries the
//! term, so that a leader that was deposed without noticing changes nothing.

mod compaction;
mod ends;
mod format;
mod hooks;
mod instances;
mod leases;
mod members;
mod reach;
mod troubles;

use tokio_util::task::TaskTracker;

use crate::cluster::nodes::removal;
use crate::node::Node;
use crate::records;

/// Starts the controllers whenever this node leads, and ends them when it does no more.
pub fn spawn(node: &Node, tasks: &TaskTracker) {
    tasks.spawn(run(node.clone()));
}

async fn run(node: Node) {
    let mut leadership = node.raft().leadership();
    loop {
        let term = match leadership.wait_for(|now| now.is_self).await {
            Ok(now) => now.term,
            Err(_) => return,
        };
        let mut watch = node.raft().leadership();
        let lost = watch.wait_for(|now| !now.is_self || now.term != term);
        tokio::select! {
            biased;
            _ = lost => {}
            () = lead(&node, term) => {}
        }
        tracing::info!(term, "not leading any more");
        if leadership.wait_for(|now| !now.is_self || now.term != term).await.is_err() {
            return;
        }
    }
}

async fn lead(node: &Node, term: u64) {
    node.vitals().clear();
    // Before the first look: all that earlier leaders committed must be applied here.
    while let Err(error) = node.raft().linearizable().await {
        tracing::debug!(%error, "not confirmed as the leader yet");
        tokio::time::sleep(node.raft().pace().heartbeat()).await;
    }
    tracing::info!(term, "leading");
    records::emit(
        node,
        "leader.elected",
        records::Severity::Info,
        Some(node.id()),
        format!("{} leads in term {term}", node.name()),
    )
    .await;
    tokio::join!(
        removal::resume(node, term),
        members::run(node, term),
        reach::run(node, term),
        instances::run(node, term),
        leases::run(node, term),
        compaction::run(node, term),
        hooks::run(node, term),
        troubles::run(node, term),
        ends::run(node, term),
    );
}
