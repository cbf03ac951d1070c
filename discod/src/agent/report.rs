//! The node's reports to the leader.
//!
//! With each report the node looks after what else belongs to it: its certificate, the members' addresses on disk, the
//! voters' secrets.

use std::time::Duration;

use disco_shim::boottime_ms;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use super::certificate::Watched;
use super::reporter::{ANSWERED_WITHIN, Reporter, candidates};
use super::tasks::Accepted;
use crate::cluster::nodes::own;
use crate::node::Node;
use crate::raft::Role;

/// A learner holds voters' secrets only during its promotion. After this many reports it deletes them.
const LEARNER_KEEPS_SECRETS: u32 = 20;

/// Time limit of a report to all members, beyond that of the first one.
const OTHERS: Duration = Duration::from_millis(500);

/// Reports until the process ends. `removed`: the cluster has removed this node.
pub(super) async fn run(node: Node, accepted: watch::Sender<Accepted>, removed: watch::Sender<bool>) {
    let interval = node.raft().pace().report();
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut leadership = node.raft().leadership();
    let mut reporter = Reporter::default();
    let mut silent_since: Option<Instant> = None;
    let mut reports_as_learner = 0;
    let mut certificate = Watched::default();
    let mut members = node.home().members();
    loop {
        tokio::select! {
            biased;
            // Report to a new leader immediately.
            changed = leadership.changed() => if changed.is_err() { return },
            () = node.renewal().requested() => {}
            _ = ticks.tick() => {}
        }
        certificate.look(&node);
        keep_format(&node);
        keep_members(&node, &mut members);
        forget_secrets_of_a_learner(&node, &mut reports_as_learner);
        super::certificate::refuse_retired(&node);
        let sent_ms = boottime_ms();
        if node.raft().leads().is_some() {
            reporter = Reporter::default();
            if let Some(leader) = node.leader() {
                if leader.reports().record(own::report(&node)) {
                    node.wake_controllers();
                }
                accepted.send_replace(Accepted { sent_ms, leader: node.id() });
            }
            note_start(&node);
            super::certificate::renew_own(&node);
            continue;
        }
        let report = reporter.report(&node);
        let answer = tokio::select! {
            biased;
            answer = tokio::time::timeout(interval.max(ANSWERED_WITHIN) + OTHERS, report) => answer,
            // Stop waiting for a node that is no longer the leader.
            changed = leadership.changed() => {
                if changed.is_err() {
                    return;
                }
                leadership.mark_changed();
                continue;
            }
        };
        if reporter.is_removed() && !removed.send_replace(true) {
            tracing::error!("the cluster has removed this node: its tasks end, and it deletes the voters' secrets");
            if let Err(error) = node.set_secrets(None) {
                tracing::error!(error = format!("{error:#}"), "could not delete the voters' secrets");
            }
        }
        match answer {
            Ok(Ok(leader)) => {
                accepted.send_replace(Accepted { sent_ms, leader });
                note_start(&node);
                if let Some(since) = silent_since.take() {
                    tracing::info!(after = ?since.elapsed(), "the leader receives this node's reports again");
                }
            }
            Ok(Err(reason)) => note_silence(&mut silent_since, &reason),
            Err(_) => note_silence(&mut silent_since, "no answer"),
        }
    }
}

/// Records in the data folder that the leader accepted this process as the node; only then does the leader remember it.
fn note_start(node: &Node) {
    if let Err(error) = node.home().note_taken(node.raft().start().life) {
        tracing::error!(
            error = format!("{error:#}"),
            "could not record that the leader accepted this process as the node"
        );
    }
}

fn note_silence(since: &mut Option<Instant>, reason: &str) {
    if since.is_none() {
        tracing::warn!(reason, "the leader does not receive this node's reports");
        *since = Some(Instant::now());
    }
}

/// Records the cluster's format in the data folder, where the next program looks first.
fn keep_format(node: &Node) {
    let format = node.raft().store().read(crate::records::format);
    match node.home().note_format(format) {
        Ok(()) if format <= disco_proto::format::own() => {}
        Ok(()) => {
            tracing::error!(format, own = disco_proto::format::own(), "the cluster's data is newer than this program");
            node.restart();
        }
        Err(error) => tracing::error!(error = format!("{error:#}"), "could not record the format of the data"),
    }
}

/// Writes the other members' addresses to disk, where `report-end` reads them. `written` is the file's current content.
fn keep_members(node: &Node, written: &mut Vec<String>) {
    let mut members: Vec<String> = candidates(node, None).into_iter().map(|(_, address)| address).collect();
    members.sort_unstable();
    let is_member = node.raft().members().iter().any(|member| member.id == node.id());
    // Before the node is a member it knows no others, which is no change.
    if members == *written || members.is_empty() && !is_member {
        return;
    }
    match node.home().set_members(&members) {
        Ok(()) => *written = members,
        // Retried with the next report. The node itself reports a full disk.
        Err(error) => tracing::debug!(error = format!("{error:#}"), "cannot write the members' addresses"),
    }
}

fn forget_secrets_of_a_learner(node: &Node, reports: &mut u32) {
    let members = node.raft().members();
    let learner = members.iter().any(|member| member.id == node.id() && member.role == Role::Learner);
    *reports = if learner { *reports + 1 } else { 0 };
    if *reports > LEARNER_KEEPS_SECRETS && (node.secrets().is_some() || !node.secrets_keys().is_empty()) {
        match node.set_secrets(None) {
            Ok(()) => {
                tracing::info!("this node is no longer a voter and has deleted the signing key and the keys of secrets")
            }
            Err(error) => tracing::error!(%error, "could not delete the signing key"),
        }
    }
}
