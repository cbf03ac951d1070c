//! The leader's work.
//!
//! A controller has no input except the leader: it reads the desired and the actual state, and does what is missing, so it may be
//! interrupted anywhere and start again, here or on the next leader. Each write carries the term, so that a deposed leader
//! changes nothing. `driver` runs them all.

mod compaction;
mod driver;
mod ends;
mod format;
mod hooks;
mod jobs;
mod leases;
mod machines;
mod members;
mod plans;
mod reach;
mod troubles;
mod workloads;

use driver::drive;
use tokio_util::task::TaskTracker;

use crate::cluster::nodes::removal;
use crate::node::{Leader, Node};
use crate::records;
use crate::script::Scripts;

/// Starts the controllers when this node begins to lead, and ends them when it no longer does.
pub fn spawn(node: &Node, scripts: &Scripts, tasks: &TaskTracker) {
    tasks.spawn(run(node.clone(), scripts.clone()));
}

async fn run(node: Node, scripts: Scripts) {
    let mut leadership = node.raft().leadership();
    loop {
        let term = match leadership.wait_for(|now| now.is_self).await {
            Ok(now) => now.term,
            Err(_) => return,
        };
        // Dropped before the next term begins.
        let begun = node.begin_term(term);
        tokio::select! {
            biased;
            () = begun.leader().ended() => {}
            // Boxed, so that only a leader has the 64 KB that all controllers need.
            () = Box::pin(lead(begun.leader(), &scripts)) => {}
        }
        drop(begun);
        tracing::info!(term, "no longer leading");
        if leadership.wait_for(|now| !now.is_self || now.term != term).await.is_err() {
            return;
        }
    }
}

async fn lead(leader: &Leader, scripts: &Scripts) {
    // Before the first pass: all entries that earlier leaders committed must be applied here.
    while let Err(error) = leader.raft().linearizable().await {
        tracing::debug!(%error, "not confirmed as the leader yet");
        tokio::time::sleep(leader.raft().pace().heartbeat()).await;
    }
    let term = leader.term();
    tracing::info!(term, "leading");
    records::emit(
        leader,
        "leader.elected",
        records::Severity::Info,
        Some(leader.id()),
        format!("{} leads in term {term}", leader.name()),
    )
    .await;
    tokio::join!(
        removal::resume(leader),
        drive(leader, members::Members),
        drive(leader, reach::Reach::default()),
        machines::run(leader, scripts),
        drive(leader, leases::Leases),
        drive(leader, compaction::Compaction::default()),
        hooks::run(leader, scripts),
        drive(leader, troubles::Troubles::default()),
        drive(leader, ends::Ends),
        drive(leader, workloads::Tasks::new(scripts)),
        drive(leader, jobs::Jobs::default()),
    );
}
