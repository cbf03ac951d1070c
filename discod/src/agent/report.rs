//! The node's reports to the leader.
//!
//! They go directly to the leader, since its connection proves which node reports. A node that is not a member yet does
//! not know the leader; it calls the members that it received at its admission.

use std::time::Duration;

use disco_proto::v1::{ReportRequest, ReportResponse};
use tokio::time::{Instant, MissedTickBehavior};

use super::certificate::Watched;
use crate::cluster::nodes::own;
use crate::node::Node;
use crate::raft::Role;

/// A learner holds voters' secrets only during its promotion. After this many reports it deletes them.
const LEARNER_KEEPS_SECRETS: u32 = 20;

/// Time limit for one member to answer, and additional time for the others if it does not.
const ANSWERED_WITHIN: Duration = Duration::from_secs(2);
const OTHERS: Duration = Duration::from_millis(500);

/// Reports until the process ends.
pub(super) async fn run(node: Node) {
    let interval = node.raft().pace().report();
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut leadership = node.raft().leadership();
    // The node that accepted the last report, until a better address is known.
    let mut known_leader: Option<(u64, String)> = None;
    let mut silent_since: Option<Instant> = None;
    // Consecutive failed reports: each starts with a different member.
    let mut failures = 0;
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
        if node.raft().leads().is_some() {
            // The leader computes its own status on request.
            known_leader = None;
            if let Some(leader) = node.leader() {
                leader.reports().record_ends(node.id(), own::ends(), true);
            }
            note_start(&node);
            super::certificate::renew_own(&node);
            continue;
        }
        let report = report(&node, &mut known_leader, failures);
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
        match answer {
            Ok(Ok(())) => {
                failures = 0;
                note_start(&node);
                if let Some(since) = silent_since.take() {
                    tracing::info!(after = ?since.elapsed(), "the leader receives this node's reports again");
                }
            }
            Ok(Err(reason)) => {
                failures += 1;
                note_silence(&mut silent_since, &reason);
            }
            Err(_) => {
                failures += 1;
                note_silence(&mut silent_since, "no answer");
            }
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

/// Reports once and follows one hint about the leader.
async fn report(node: &Node, known_leader: &mut Option<(u64, String)>, failures: usize) -> Result<(), String> {
    let mut last = "no member is known".to_owned();
    let mut candidates = candidates(node, known_leader.as_ref());
    let count = candidates.len().max(1);
    candidates.rotate_left(failures % count);
    for (id, address) in candidates {
        match send(node, id, &address).await {
            Ok(answer) if !answer.refusal.is_empty() => return Err(answer.refusal),
            Ok(answer) if answer.taken => {
                *known_leader = Some((answer.leader, answer.leader_address));
                return Ok(());
            }
            Ok(answer) if answer.leader != 0 && !answer.leader_address.is_empty() => {
                let answer = send(node, Some(answer.leader), &answer.leader_address).await?;
                if !answer.refusal.is_empty() {
                    return Err(answer.refusal);
                }
                if answer.taken {
                    *known_leader = Some((answer.leader, answer.leader_address));
                    return Ok(());
                }
                last = "leadership is changing".to_owned();
            }
            Ok(_) => last = format!("{address} knows no leader"),
            Err(error) => last = error,
        }
    }
    *known_leader = None;
    Err(last)
}

/// Nodes to report to, the likeliest first.
fn candidates(node: &Node, known_leader: Option<&(u64, String)>) -> Vec<(Option<u64>, String)> {
    let mut members = node.raft().members();
    let leader = node.raft().leadership().borrow().leader;
    if members.iter().any(|member| member.id == node.id()) {
        // The leader comes first. But a node that has returned at another address may know a previous leader, and the
        // leader cannot reach it before it has reported; so then any other member.
        members.retain(|member| member.id != node.id());
        members.sort_by_key(|member| Some(member.id) != leader);
        let at = |id, recorded: String| (Some(id), node.peers().resolve(id, &recorded));
        return members.into_iter().map(|member| at(member.id, member.info.address)).collect();
    }
    let known_leader = known_leader.map(|(id, address)| (Some(*id), address.clone()));
    known_leader.into_iter().chain(node.known_members().iter().map(|address| (None, address.clone()))).collect()
}

async fn send(node: &Node, id: Option<u64>, address: &str) -> Result<ReportResponse, String> {
    let mut client = match id {
        Some(id) => node.peers().member(id, address),
        None => node.peers().any_member(address),
    };
    let signing_request = super::certificate::signing_request(node).unwrap_or_default();
    let report = ReportRequest { signing_request, ..own::report(node) };
    let Ok(answer) = tokio::time::timeout(ANSWERED_WITHIN, client.report(report)).await else {
        if let Some(id) = id {
            node.reconnect(id);
        }
        return Err(format!("{address}: no answer in {ANSWERED_WITHIN:?}"));
    };
    let answer = answer.map_err(|error| format!("{address}: {error}"))?;
    if let Some(id) = id {
        node.peers().reached(id);
    }
    if !answer.certificate_chain.is_empty() {
        super::certificate::swap(node, &answer.certificate_chain);
    } else if !answer.certificate_refusal.is_empty() {
        node.renewal().refused(&answer.certificate_refusal);
    }
    Ok(answer)
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
    if *reports > LEARNER_KEEPS_SECRETS && node.secrets().is_some() {
        match node.set_secrets(None) {
            Ok(()) => tracing::info!("this node is no longer a voter and has deleted the signing key"),
            Err(error) => tracing::error!(%error, "could not delete the signing key"),
        }
    }
}
