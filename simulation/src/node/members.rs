//! The members controller: nodes that report become members, and the planner chooses the voters.

use std::ops::ControlFlow;
use std::time::Duration;

use disco_consensus::RaftError;
use disco_consensus::types::NodeInfo;
use disco_planner::voters::{self, Change};
use disco_planner::{Member, Policy};
use openraft::Instant as _;
use openraft::async_runtime::watch::WatchReceiver;
use tokio::time::Instant;

use super::{Process, records};
use crate::wire::Ask;

/// Entries that a learner may lack and still count as up to date, as in the daemon.
pub(super) const LAG: u64 = 100;

pub(super) async fn run(process: Process) {
    let pace = process.host.pace;
    let mut ticks = tokio::time::interval(pace.report());
    process.host.state.lock().verdict = None;
    let mut leads_since: Option<(u64, Instant)> = None;
    let mut asked = 0;
    loop {
        if next_look(&process, &mut ticks, leads_since.map(|(term, _)| term)).await.is_break() {
            return;
        }
        let leadership = process.leadership();
        let Some(term) = leadership.own_term else {
            leads_since = None;
            report(&process, leadership.leader, &mut asked).await;
            continue;
        };
        let since = match leads_since {
            Some((of, since)) if of == term => since,
            _ => {
                process.reports.lock().clear();
                leads_since = Some((term, Instant::now()));
                Instant::now()
            }
        };
        // A failed step is retried at the next tick, by the leader at that time.
        let _ = process.write_in_term(term, records::note("tick", process.id, term)).await;
        while let Ok(true) = reconcile(&process, term, since).await {}
        transfer(&process).await;
    }
}

/// Returns when it is time for the next pass, or when Raft has ended, and soon the process. With rivals a new leader runs a pass at once,
/// or it would be deposed before its first one.
async fn next_look(process: &Process, ticks: &mut tokio::time::Interval, known: Option<u64>) -> ControlFlow<()> {
    if !process.host.rivals {
        ticks.tick().await;
        return ControlFlow::Continue(());
    }
    let mut metrics = process.raft.raft().metrics();
    loop {
        tokio::select! {
            biased;
            _ = ticks.tick() => return ControlFlow::Continue(()),
            changed = metrics.changed() => {
                if changed.is_err() {
                    return ControlFlow::Break(());
                }
                let term = process.leadership().own_term;
                if term.is_some() && term != known {
                    return ControlFlow::Continue(());
                }
            }
        }
    }
}

/// Reports to the leader; a node that does not know the leader tries one node after the other.
async fn report(process: &Process, leader: Option<u64>, asked: &mut usize) {
    let everybody = &process.host.everybody;
    let address = match leader.and_then(|leader| process.address_of(leader)) {
        Some(address) => address,
        None => {
            *asked += 1;
            match everybody.get(*asked % everybody.len().max(1)) {
                Some(name) if *name != process.host.name => super::process::address(name),
                _ => return,
            }
        }
    };
    let ask = Ask::Report { node: process.id, address: super::process::address(&process.host.name) };
    // A report that is lost is followed by the next.
    let _ = process.line(&address).ask(&ask, process.host.pace.report()).await;
}

/// One pass, with at most one change.
async fn reconcile(process: &Process, term: u64, since: Instant) -> Result<bool, String> {
    if process.leadership().own_term != Some(term) {
        return Ok(false);
    }
    let policy = policy(process);
    let members = planned(process, since);
    let reports = process.reports.lock().clone();
    let newcomer = reports
        .iter()
        .find(|(id, (at, _))| at.elapsed() < policy.suspect_after && members.iter().all(|member| member.id != **id));
    if let Some((id, (_, address))) = newcomer {
        let info = NodeInfo { address: address.clone(), name: format!("node-{id}") };
        process.raft.add_learner(*id, info).await.map_err(said)?;
        process.write_in_term(term, records::note(&format!("joined-{id}"), process.id, term)).await?;
        return Ok(true);
    }
    if process.raft.is_joint() {
        process.raft.finish_change().await.map_err(said)?;
        return Ok(true);
    }
    let change = voters::next_change(&members, &policy);
    process.host.state.lock().verdict = Some(match &change {
        None => Ok(()),
        Some(change) => Err(format!("the planner wants {change:?} of {members:?}")),
    });
    let Some(change) = change else { return Ok(false) };
    match &change {
        Change::Promote(ids) => process.raft.promote(ids).await.map_err(said)?,
        Change::Demote(ids) => process.raft.demote(ids).await.map_err(said)?,
        Change::Replace { old, new } => process.raft.replace_voter(*old, *new).await.map_err(said)?,
    }
    process.write_in_term(term, records::note("voters", process.id, term)).await?;
    Ok(true)
}

fn said(error: RaftError) -> String {
    error.to_string()
}

/// Transfers leadership, if the run requests it.
async fn transfer(process: &Process) {
    if !std::mem::take(&mut process.host.state.lock().transfer) {
        return;
    }
    let target = {
        let metrics = process.raft.raft().metrics();
        let metrics = metrics.borrow_watched();
        let voters: Vec<u64> = metrics.membership_config.membership().voter_ids().collect();
        let others = metrics.replication.iter().flatten().filter(|(id, _)| **id != process.id && voters.contains(id));
        others.max_by_key(|(_, matched)| matched.map(|id| id.index)).map(|(id, _)| *id)
    };
    if let Some(target) = target {
        // Raft has ended, or no node took over: an election follows.
        let _ = process.raft.raft().trigger().transfer_leader(target).await;
    }
}

/// The limits of decisions at this pace.
pub(super) fn policy(process: &Process) -> Policy {
    let pace = process.host.pace;
    let (suspect_after, unheard_after) = (pace.suspect_after(), pace.unheard_after());
    Policy { suspect_after, unheard_after, dead_after: pace.dead_after(), ..Policy::default() }
}

/// The leader's view of the members, for the planner.
fn planned(process: &Process, listening_since: Instant) -> Vec<Member> {
    let metrics = process.raft.raft().metrics();
    let metrics = metrics.borrow_watched();
    let membership = metrics.membership_config.membership();
    let voters: Vec<u64> = membership.voter_ids().collect();
    let last = metrics.last_log_index.unwrap_or(0);
    let reports = process.reports.lock();
    let acknowledged = |id: u64| -> Option<Duration> {
        metrics.heartbeat.iter().flatten().find(|(of, _)| **of == id)?.1.as_ref().map(|at| at.elapsed())
    };
    let matched = |id: u64| -> Option<u64> {
        metrics.replication.iter().flatten().find(|(of, _)| **of == id)?.1.as_ref().map(|id| id.index)
    };
    let members = membership.nodes().map(|(id, _)| {
        let own = *id == process.id;
        let reported = reports.get(id).map(|(at, _)| at.elapsed());
        Member {
            id: *id,
            voter: voters.contains(id),
            leader: own,
            silent_for: [reported, acknowledged(*id)]
                .into_iter()
                .flatten()
                .min()
                .unwrap_or_else(|| listening_since.elapsed()),
            up_to_date: own || matched(*id).is_some_and(|matched| matched + LAG >= last),
            draining: false,
            retiring: false,
            unhealthy_for: Duration::ZERO,
            spared: false,
        }
    });
    members.collect()
}
