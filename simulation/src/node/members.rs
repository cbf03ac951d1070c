//! The members controller of the daemon, in a cluster without certificates, secrets and machines.

use std::ops::ControlFlow;
use std::time::Duration;

use disco_consensus::members::{self, LAG};
use disco_consensus::types::NodeInfo;
use disco_consensus::{Member, RaftError, Role, node_record, remembered};
use disco_planner::members::{Leader as Own, Node, Reason, Record, Report};
use disco_planner::twins::Life;
use disco_planner::{Member as Planned, Policy};
use disco_store::typed::NodeRecord;
use tokio::time::Instant;

use super::process::Reported;
use super::{Process, records};
use crate::events::is_refused;
use crate::types::RaftNode;
use crate::wire::Ask;

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
        let acting = Acting { process: &process, term, since };
        // A failed step is retried at the next tick, by the leader at that time.
        let _ = acting.note("tick").await;
        process.reports.lock().insert(process.id, own_report(&process));
        let settled = acting.settle().await;
        process.host.state.lock().verdict = Some(settled);
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
    let mut leadership = process.raft.leadership();
    loop {
        tokio::select! {
            biased;
            _ = ticks.tick() => return ControlFlow::Continue(()),
            changed = leadership.changed() => {
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
    let Reported { address: own, life, .. } = own_report(process);
    let ask = Ask::Report { node: process.id, address: own, life };
    // A report that is lost is followed by the next.
    let _ = process.line(&address).ask(&ask, process.host.pace.report()).await;
}

fn own_report(process: &Process) -> Reported {
    Reported { at: Instant::now(), address: super::process::address(&process.host.name), life: process.life }
}

/// Transfers leadership, if the run requests it.
async fn transfer(process: &Process) {
    if std::mem::take(&mut process.host.state.lock().transfer) {
        // Raft has ended, or no node took over: an election follows.
        let _ = process.raft.transfer_leadership(None).await;
    }
}

/// The limits of decisions at this pace.
pub(super) fn policy(process: &Process) -> Policy {
    let pace = process.host.pace;
    let (suspect_after, unheard_after) = (pace.suspect_after(), pace.unheard_after());
    Policy { suspect_after, unheard_after, dead_after: pace.dead_after(), ..Policy::default() }
}

/// The start of a node, of which its machine counts the processes.
fn life(number: u64) -> Life {
    Life { number, run: number }
}

/// The leader in one term.
struct Acting<'a> {
    process: &'a Process,
    term: u64,
    since: Instant,
}

// === impl Acting ===

impl Acting<'_> {
    /// Admits the nodes that report for the first time, and makes all changes that are due. `Err` with what failed.
    async fn settle(&self) -> Result<(), String> {
        let reports: Vec<(u64, String)> =
            self.process.reports.lock().iter().map(|(id, reported)| (*id, reported.address.clone())).collect();
        for (id, address) in reports {
            let known = self.process.raft.store().read(|store| node_record(store, id)).is_some();
            let is_member = self.process.address_of(id).is_some();
            if !known && !is_member {
                // As a join does.
                self.write(&NodeRecord { id, name: format!("node-{id}"), address, ..NodeRecord::default() }).await?;
            }
        }
        while members::pass(self).await? {}
        Ok(())
    }

    async fn note(&self, name: &str) -> Result<(), String> {
        let note = records::note(name, self.process.id, self.term);
        self.process.write_in_term(self.term, note).await.map(drop)
    }

    async fn write(&self, record: &NodeRecord) -> Result<(), String> {
        let answer = self.process.write_in_term(self.term, records::node(record)).await?;
        if is_refused(&answer) { Err("the term has ended".to_owned()) } else { Ok(()) }
    }

    fn reported(&self, id: u64) -> Option<Reported> {
        self.process.reports.lock().get(&id).cloned()
    }
}

impl members::Leader for Acting<'_> {
    type Raft = RaftNode;
    type Error = String;
    type Held = ();

    fn raft(&self) -> &RaftNode {
        &self.process.raft
    }

    /// Disks are never full here, all nodes are healthy, and there are no signing keys.
    fn own(&self) -> Own {
        Own { id: self.process.id, free: u64::MAX, ..Own::default() }
    }

    fn nodes(&self, members: &[Member]) -> Vec<Node> {
        let raft = &self.process.raft;
        let fresh_for = self.process.host.pace.suspect_after();
        let mut nodes = members::nodes(members, raft.last_index());
        for (id, reported) in self.process.reports.lock().iter() {
            let report = Report {
                fresh: reported.at.elapsed() <= fresh_for,
                address: reported.address.clone(),
                good: true,
                disk_free: u64::MAX,
                life: Some(life(reported.life)),
                ..Report::default()
            };
            nodes.entry(*id).or_insert_with(|| Node { id: *id, ..Node::default() }).report = Some(report);
        }
        raft.store().read(|store| {
            for node in nodes.values_mut() {
                let record = node_record(store, node.id);
                node.record = record.map(|record| Record { leaving: record.leaving, life: remembered(&record) });
            }
        });
        nodes.into_values().collect()
    }

    fn planned(&self) -> Vec<Planned> {
        let raft = &self.process.raft;
        let (last, acknowledged) = (raft.last_index(), raft.acknowledged());
        let members = raft.members().into_iter().map(|member| {
            let own = member.id == self.process.id;
            let reported = self.reported(member.id).map(|reported| reported.at.elapsed());
            let seen = [reported, acknowledged.get(&member.id).copied()].into_iter().flatten().min();
            Planned {
                id: member.id,
                voter: member.role == Role::Voter,
                leader: own,
                silent_for: seen.unwrap_or_else(|| self.since.elapsed()),
                up_to_date: own || member.matched.is_some_and(|matched| matched + LAG >= last),
                draining: false,
                retiring: false,
                unhealthy_for: Duration::ZERO,
                spared: false,
            }
        });
        members.collect()
    }

    fn policy(&self) -> Policy {
        policy(self.process)
    }

    fn name(&self, id: u64) -> Option<String> {
        self.process.raft.store().read(|store| node_record(store, id)).map(|record| record.name)
    }

    fn address(&self, id: u64) -> Option<String> {
        self.reported(id).map(|reported| reported.address)
    }

    fn failed(&self, what: String, error: RaftError) -> String {
        format!("{what}: {error}")
    }

    fn hands_over(&self, _: u64, _: Reason) {}

    /// That of the founder.
    async fn record(&self, member: &Member) -> Result<(), String> {
        let NodeInfo { name, address } = member.info.clone();
        self.write(&NodeRecord { id: member.id, name, address, ..NodeRecord::default() }).await
    }

    async fn remember(&self, id: u64, life: Life) -> Result<(), String> {
        let record = self.process.raft.store().read(|store| node_record(store, id));
        let Some(record) = record else { return Ok(()) };
        self.write(&NodeRecord { incarnation: life.number, run: format!("{:016x}", life.run), ..record }).await
    }

    async fn admitted(&self, id: u64, _: &NodeInfo) -> Result<(), String> {
        self.note(&format!("joined-{id}")).await
    }

    async fn moved(&self, before: &Member, address: &str) -> Result<(), String> {
        self.note(&format!("moved-{}-to-{address}", before.id)).await
    }

    async fn before_voters(&self, _: &Own, _: &[Node], _: &[Member]) -> Result<bool, String> {
        Ok(false)
    }

    async fn hold(&self) {}

    async fn prepare(&self, _: u64) -> Result<(), String> {
        Ok(())
    }

    async fn promoted(&self, id: u64, _: Option<u64>) -> Result<(), String> {
        self.note(&format!("votes-{id}")).await
    }

    async fn lost_vote(&self, id: u64) -> Result<(), String> {
        self.note(&format!("lost-vote-{id}")).await
    }

    async fn after_voters(&self, _: &[Member]) -> Result<bool, String> {
        Ok(false)
    }
}
