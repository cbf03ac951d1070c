//! An unreachable leader hands over, as in the daemon.

use std::collections::BTreeSet;
use std::time::Duration;

use disco_consensus::members::LAG;
use disco_planner::reach::{self, Heard, Verdict, View};
use futures_util::future::join_all;
use openraft::Instant as _;
use openraft::async_runtime::watch::WatchReceiver;
use tokio::time::Instant;

use super::Process;
use super::members::policy;
use crate::events::Event;
use crate::wire::{Answer, Ask, Line};

/// Beside the tries themselves, as in the daemon.
const ROUND_TRIP: Duration = Duration::from_millis(500);

/// A voter, as its leader knows it.
struct Voter {
    id: u64,
    answered: Duration,
    reported: Duration,
    up_to_date: bool,
}

/// Runs until the process ends.
pub(super) async fn run(process: Process) {
    let pace = process.host.pace;
    let mut ticks = tokio::time::interval(pace.report());
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut leads_since: Option<(u64, Instant)> = None;
    loop {
        ticks.tick().await;
        let Some(term) = process.leadership().own_term else {
            leads_since = None;
            continue;
        };
        let since = match leads_since {
            Some((of, since)) if of == term => since,
            _ => leads_since.insert((term, Instant::now())).1,
        };
        let others = others(&process, since);
        let heard: Vec<Heard> =
            others.iter().map(|voter| Heard { answered: voter.answered, reported: voter.reported }).collect();
        if process.raft.is_joint() || !reach::is_suspect(&heard, &policy(&process)) {
            continue;
        }
        let views = views(&process, &others).await;
        match reach::verdict(process.id, others.len() + 1, &views) {
            Verdict::HandOver(to) if process.leadership().own_term == Some(term) => {
                process.host.observer.tell(Event::GaveWay { node: process.id, to });
                // Raft has ended, or no node took over: an election follows.
                let _ = process.raft.raft().trigger().transfer_leader(to).await;
                tokio::time::sleep(pace.election_timeout() * 4).await;
            }
            _ => tokio::time::sleep(pace.unheard_after()).await,
        }
    }
}

/// The other voters; empty if this node no longer votes.
fn others(process: &Process, since: Instant) -> Vec<Voter> {
    let metrics = process.raft.raft().metrics();
    let metrics = metrics.borrow_watched();
    let voters: Vec<u64> = metrics.membership_config.membership().voter_ids().collect();
    if !voters.contains(&process.id) {
        return Vec::new();
    }
    let last = metrics.last_log_index.unwrap_or(0);
    let reports = process.reports.lock();
    let others = voters.into_iter().filter(|id| *id != process.id).map(|id| {
        let answered = metrics.heartbeat.iter().flatten().find(|(of, _)| **of == id);
        let matched = metrics.replication.iter().flatten().find(|(of, _)| **of == id);
        let reported = reports.get(&id).filter(|reported| reported.at >= since);
        Voter {
            id,
            answered: answered.and_then(|(_, at)| at.as_ref()).map_or_else(|| since.elapsed(), |at| at.elapsed()),
            reported: reported.map_or_else(|| since.elapsed(), |reported| reported.at.elapsed()),
            up_to_date: matched.and_then(|(_, id)| id.as_ref()).is_some_and(|id| id.index + LAG >= last),
        }
    });
    others.collect()
}

/// Has all voters that answer try to reach each other, this one included.
async fn views(process: &Process, others: &[Voter]) -> Vec<View> {
    let ids: Vec<u64> = others.iter().map(|voter| voter.id).chain([process.id]).collect();
    let answering = others.iter().filter(|voter| voter.answered <= process.host.pace.suspect_after());
    let ids = &ids;
    let asked = join_all(answering.map(|voter| async move {
        let nodes = ids.iter().copied().filter(|id| *id != voter.id).collect();
        View { id: voter.id, fit: voter.up_to_date, reaches: ask(process, voter.id, nodes).await }
    }));
    let own = process.reached(ids.iter().copied().filter(|id| *id != process.id).collect());
    let (own, mut views) = futures_util::future::join(own, asked).await;
    views.push(View { id: process.id, fit: true, reaches: Some(own.into_iter().collect()) });
    views
}

/// The nodes that a node can reach; the request needs a new connection here, while the daemon has one.
async fn ask(process: &Process, to: u64, nodes: Vec<u64>) -> Option<BTreeSet<u64>> {
    let limit = process.host.pace.reach_within() + ROUND_TRIP;
    match process.line(&process.address_of(to)?).ask(&Ask::Reach { to, nodes }, limit).await {
        Ok(Answer::Reached(reached)) => Some(reached.into_iter().collect()),
        _ => None,
    }
}

impl Process {
    /// The nodes that answer over a new connection.
    pub(super) async fn reached(&self, nodes: Vec<u64>) -> Vec<u64> {
        let limit = self.host.pace.reach_within();
        let tries = nodes.into_iter().map(|to| async move {
            let mut line = self.line(&self.address_of(to)?);
            let answer = line.ask(&Ask::Reach { to, nodes: Vec::new() }, limit).await;
            matches!(answer, Ok(Answer::Reached(_))).then_some(to)
        });
        join_all(tries).await.into_iter().flatten().collect()
    }

    /// The connection to a machine.
    pub(super) fn line(&self, address: &str) -> Line {
        Line::new(self.host.caller(), address)
    }
}
