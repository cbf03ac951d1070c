//! Requests that change the cluster's size.
//!
//! A request writes the target size; the leader's controllers do the rest. The request only follows their steps, so a client
//! that disconnects stops nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::time::Duration;

use disco_planner::scale::{self as planner, Refusal};
use disco_planner::{Member, Policy};
use disco_proto::v1::{NodeStatus, Progress, ScaleRequest};
use futures_util::{Stream, StreamExt, TryStreamExt};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;

use super::capacity::check_can_have;
use crate::cluster::nodes::confirm::confirmed;
use crate::cluster::nodes::moving::MOVING;
use crate::cluster::nodes::removal::{ENDING, REMOVED, REMOVING};
use crate::cluster::nodes::status::{Condition, condition};
use crate::cluster::nodes::view::{planned, planned_with, policy};
use crate::cluster::recorded::Recorded;
use crate::cluster::{Error, Executor, Result, leader};
use crate::node::{Leader, Node, Pass};
use crate::peers::Hops;
use crate::records::{self, MachineRecord};

/// Steps that may wait for a slow client.
const QUEUE: usize = 64;
/// How often the state is checked between steps.
const CHECK_EVERY: Duration = Duration::from_millis(50);
/// How long the request waits for a new node that the leader cannot reach: a closed port does not open by itself.
const UNREACHED: Duration = Duration::from_secs(20);
/// Failures of a machine since the request after which it no longer waits for that machine: few causes disappear by themselves.
const MAX_FAILURES: usize = 3;
/// How long the request waits while the cluster is incomplete and nothing changes.
const IDLE: Duration = Duration::from_secs(60);

/// The steps to a target size. The stream ends when it is reached, or with the reason why it is not.
pub type Steps = Pin<Box<dyn Stream<Item = Result<Progress>> + Send>>;

/// Sets the target size, and follows the steps to it.
///
/// # Errors
/// The number is refused, or could not be written.
pub async fn scale(node: &Node, hops: Hops, message: ScaleRequest) -> Result<Steps> {
    let leader = match leader(node, hops).await? {
        Executor::There(mut client) => return Ok(client.scale(message).await?.map_err(Error::from).boxed()),
        Executor::Here(leader) => leader,
    };
    as_expected(&message, leader.raft().store().read(records::desired_nodes))?;
    let members = check(&leader, message.nodes).await?;
    let (sender, receiver) = mpsc::channel(QUEUE);
    let steps = leader.listen();
    if message.dry_run {
        let text = format!("from {} to {} nodes", members.len(), message.nodes);
        let plan = Progress {
            subject: leader.cluster_name().to_owned(),
            state: "planned".into(),
            detail: text,
            done: true,
            ..Progress::default()
        };
        // The receiver exists in this function.
        let _ = sender.send(Ok(plan)).await;
        return Ok(ReceiverStream::new(receiver).boxed());
    }
    set_desired(&leader, &message).await?;
    leader.wake_controllers();
    if !message.detach {
        tokio::spawn(follow(leader.clone(), message, steps, sender));
    }
    Ok(ReceiverStream::new(receiver).boxed())
}

/// Refuses a request that was decided for another target size than the current one. A repeated request finds its own number.
fn as_expected(message: &ScaleRequest, desired: Option<u32>) -> Result<()> {
    match (message.expected, desired) {
        (Some(expected), Some(desired)) if desired != expected && desired != message.nodes => {
            Err(Error::Refused(format!(
                "the target size is {desired} now, and was {expected} when this was decided\nhint: run the command again"
            )))
        }
        _ => Ok(()),
    }
}

/// Writes the target size, and with it the number that the script requests.
async fn set_desired(leader: &Leader, message: &ScaleRequest) -> Result<()> {
    loop {
        let found = leader.raft().store().read(|store| records::get::<u32>(store, records::keys::DESIRED_NODES));
        let (desired, revision) = found.map_or((None, 0), |found| (Some(found.value), found.revision));
        as_expected(message, desired)?;
        let mut txn = records::Txn::new()
            .expect(records::keys::DESIRED_NODES, revision)
            .put(records::keys::DESIRED_NODES, &message.nodes);
        if let Some(nodes) = &message.script_nodes {
            txn = txn.put(records::keys::SCRIPT_NODES, nodes);
        }
        let response = leader.write_in_term(txn.operation()).await?;
        // Otherwise another request has changed the target size since it was read: check again.
        if records::succeeded(&response) {
            return Ok(());
        }
    }
}

/// Checks whether the cluster can have this number of nodes, and returns its present members.
///
/// # Errors
/// The reason why it cannot.
pub async fn check(leader: &Leader, desired: u32) -> Result<Vec<Member>> {
    let allowed = |members: &[Member], policy: &Policy| planner::check(members, desired as usize, policy).map(|_| ());
    confirmed(leader, allowed).await.map_err(refuse)?;
    let (members, policy) = (planned(leader), policy(leader));
    if desired as usize > members.len() {
        let dead: Vec<u64> = members.iter().filter(|member| member.is_lost(&policy)).map(|member| member.id).collect();
        let checked = check_can_have(leader, desired as usize, &dead).await;
        checked.map_err(Error::Refused)?;
    }
    Ok(members)
}

fn refuse(refusal: Refusal) -> Error {
    Error::Refused(refusal.to_string())
}

/// Sends the steps until the cluster has its target size, this node no longer leads, or no more progress is expected.
async fn follow(
    leader: Leader,
    message: ScaleRequest,
    mut steps: tokio::sync::broadcast::Receiver<Progress>,
    sender: mpsc::Sender<Result<Progress>>,
) {
    let desired = message.nodes;
    let mut reported = Reported::default();
    let mut unreached: Option<Instant> = None;
    let mut idle_since = Instant::now();
    let mut ticks = tokio::time::interval(CHECK_EVERY);
    let mut recorded = Recorded::default();
    loop {
        let step = tokio::select! {
            biased;
            () = sender.closed() => return,
            step = steps.recv() => match step {
                Ok(step) => Some(step),
                Err(RecvError::Lagged(_)) => None,
                Err(RecvError::Closed) => return,
            },
            _ = ticks.tick() => None,
        };
        if leader.has_ended() {
            // The client repeats its request, which is then forwarded to the new leader.
            let _ = sender.send(Err(Error::Unavailable("the leader has changed; the work continues".to_owned()))).await;
            return;
        }
        recorded.follow(&leader);
        let condition = condition(&leader, &recorded);
        let mut news: Vec<Progress> = step.into_iter().collect();
        news.extend(reported.healthy(&condition.nodes));
        let waits = waits_for_ends(&message);
        let ending: Vec<&MachineRecord> = recorded.ending().filter(|_| waits).collect();
        let leaving = waits && recorded.is_any_leaving();
        news.extend(reported.ending(&ending));
        let complete = is_complete(&leader, &recorded, &condition, desired) && ending.is_empty() && !leaving;
        if complete {
            // Earlier steps are still sent, and begun ones have ended.
            while let Ok(step) = steps.try_recv() {
                news.push(step);
            }
        }
        let in_progress: Vec<&MachineRecord> = recorded.in_progress().collect();
        // Without a quorum no change of members advances.
        let changing = leader.raft().is_changing() && leader.raft().has_leader();
        if !(news.is_empty() && in_progress.is_empty() && ending.is_empty()) || leaving || changing {
            idle_since = Instant::now();
        }
        for step in news {
            reported.note(&step);
            if sender.send(Ok(step)).await.is_err() {
                return;
            }
        }
        if complete {
            for step in reported.ended() {
                // A client that has disconnected misses only the last lines.
                let _ = sender.send(Ok(step)).await;
            }
            return;
        }
        match condition.nodes.iter().find(|member| is_unreached(member)) {
            None => unreached = None,
            Some(member) if unreached.get_or_insert_with(Instant::now).elapsed() >= UNREACHED => {
                let text = format!(
                    "the cluster is not complete: {} has joined and reports, but the leader cannot reach it at {}\nhint: open \
                     that port to the other nodes, then run the command again",
                    member.name, member.address
                );
                let _ = sender.send(Err(Error::internal(anyhow::Error::msg(text)))).await;
                return;
            }
            Some(_) => {}
        }
        let given_up = reported.given_up(&in_progress, Instant::now()).or_else(|| {
            (idle_since.elapsed() >= IDLE)
                .then(|| why_incomplete(&condition.nodes, leader.blocked(), &leader.passes().all()))
                .flatten()
        });
        if let Some(why) = given_up {
            let text = format!(
                "the cluster is not complete: {why}\nhint: the leader goes on trying, and `disco status` shows the progress; remove \
                 the cause, then run the command again"
            );
            let _ = sender.send(Err(Error::internal(anyhow::Error::msg(text)))).await;
            return;
        }
        if let Some(now) = recorded.desired.filter(|now| *now != desired) {
            let text = format!("the target size was changed to {now} nodes\nhint: `disco status` shows it");
            let _ = sender.send(Err(Error::Conflict(text))).await;
            return;
        }
    }
}

/// A machine that has not ended still costs money, so a request for a target size waits for it. A bootstrap that removes nothing
/// does not: an earlier machine that cannot be ended must not delay a repair.
fn waits_for_ends(message: &ScaleRequest) -> bool {
    message.script_nodes.is_none() || message.expected.is_some_and(|expected| message.nodes < expected)
}

/// Why a cluster is incomplete although nothing is in progress; `None` if unknown.
fn why_incomplete(nodes: &[NodeStatus], blocked: Option<String>, passes: &BTreeMap<&str, Pass>) -> Option<String> {
    let ill = nodes.iter().filter(|member| !member.healthy);
    let mut reasons: Vec<String> = ill
        .map(|member| match member.reason.as_str() {
            "" => format!("{} is not healthy", member.name),
            reason => format!("{} is not healthy: {reason}", member.name),
        })
        .collect();
    reasons.extend(blocked);
    let controllers = ["members", "machines"].into_iter().filter_map(|name| passes.get(name));
    reasons.extend(controllers.filter_map(|pass| pass.error.clone()));
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

/// Whether the cluster has its target size and number of voters, and all nodes are healthy.
fn is_complete(leader: &Leader, recorded: &Recorded, condition: &Condition, desired: u32) -> bool {
    let members = planned_with(leader, &recorded.nodes);
    let voters = members.iter().filter(|member| member.voter).count();
    let settled = voters == disco_planner::voters::wanted(members.len(), &policy(leader));
    condition.nodes.len() == desired as usize && condition.healthy && settled
}

/// The failures of one machine since the request.
#[derive(Debug)]
struct Failures {
    count: usize,
    first: Instant,
    /// The last one's.
    reason: String,
}

/// The steps that the client has received.
#[derive(Debug, Default)]
struct Reported {
    joined: BTreeSet<u64>,
    /// Names of machines that were reported as ending, with the reported error.
    ending: BTreeMap<String, String>,
    /// Names of nodes and machines whose removal was reported, but not its end.
    going: BTreeSet<String>,
    /// Names of machines that have failed, with the number of failures and the last reason.
    failures: BTreeMap<String, Failures>,
}

impl Reported {
    fn note(&mut self, step: &Progress) {
        if !step.error.is_empty() {
            let first = Failures { count: 0, first: Instant::now(), reason: String::new() };
            let failures = self.failures.entry(step.subject.clone()).or_insert(first);
            failures.count += 1;
            failures.reason.clone_from(&step.error);
        }
        if step.done || !step.error.is_empty() {
            self.going.remove(&step.subject);
        } else if [REMOVING, MOVING, ENDING].contains(&step.state.as_str()) {
            self.going.insert(step.subject.clone());
        }
    }

    /// Nodes that have become healthy.
    fn healthy(&mut self, nodes: &[NodeStatus]) -> Vec<Progress> {
        let new = nodes.iter().filter(|member| member.healthy && self.joined.insert(member.id));
        let step = |member: &NodeStatus| Progress {
            detail: member.address.clone(),
            done: true,
            ..step(&member.name, "healthy")
        };
        new.map(step).collect()
    }

    /// Machines whose ending, or whose present error, was not reported yet.
    fn ending(&mut self, machines: &[&MachineRecord]) -> Vec<Progress> {
        let mut news = Vec::new();
        for machine in machines {
            if self.ending.get(&machine.name) != Some(&machine.error) {
                self.ending.insert(machine.name.clone(), machine.error.clone());
                news.push(Progress { detail: machine.error.clone(), ..step(&machine.name, ENDING) });
            }
        }
        news
    }

    /// The reason to stop waiting: every machine in progress has failed repeatedly, and for a while.
    fn given_up(&self, in_progress: &[&MachineRecord], now: Instant) -> Option<String> {
        let failed = |machine: &&MachineRecord| {
            let Failures { count, first, reason } = self.failures.get(&machine.name)?;
            let given_up = *count >= MAX_FAILURES && now.saturating_duration_since(*first) >= IDLE;
            given_up.then(|| format!("{} did not become a node in {count} attempts: {reason}", machine.name))
        };
        let reasons: Option<Vec<String>> = in_progress.iter().map(failed).collect();
        reasons.filter(|reasons| !reasons.is_empty()).map(|reasons| reasons.join("; "))
    }

    /// The ends of all reported removals, once the cluster has its target size.
    fn ended(&mut self) -> Vec<Progress> {
        let gone = std::mem::take(&mut self.going).into_iter();
        gone.map(|subject| Progress { done: true, ..step(&subject, REMOVED) }).collect()
    }
}

/// Whether the leader hears a member that it cannot call.
fn is_unreached(member: &NodeStatus) -> bool {
    let within = |ms: Option<u64>| ms.is_some_and(|ms| u128::from(ms) < UNREACHED.as_millis());
    within(member.last_seen_ms) && !within(member.answered_ms)
}

fn step(subject: &str, state: &str) -> Progress {
    Progress { subject: subject.to_owned(), state: state.to_owned(), ..Progress::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(nodes: u32, script: Option<u32>, expected: Option<u32>) -> ScaleRequest {
        ScaleRequest { nodes, script_nodes: script, expected, ..ScaleRequest::default() }
    }

    #[test]
    fn a_request_for_an_outdated_target_size_is_refused() {
        assert!(as_expected(&request(3, None, None), Some(7)).is_ok());
        assert!(as_expected(&request(3, Some(3), Some(5)), Some(5)).is_ok());
        // Repeated after a lost answer.
        assert!(as_expected(&request(3, Some(3), Some(5)), Some(3)).is_ok());
        let refused = as_expected(&request(3, Some(3), Some(5)), Some(7)).unwrap_err();
        assert!(refused.to_string().contains("the target size is 7 now"), "{refused:?}");
    }

    #[test]
    fn a_smaller_target_size_waits_for_machines_to_end_and_a_repair_does_not() {
        assert!(waits_for_ends(&request(2, None, None)));
        assert!(waits_for_ends(&request(2, Some(2), Some(3))));
        assert!(!waits_for_ends(&request(5, Some(3), Some(5))));
        assert!(!waits_for_ends(&request(5, Some(5), Some(3))));
    }

    #[test]
    fn the_wait_for_machines_ends_after_three_failures_and_a_minute() {
        let machine = |name: &str| MachineRecord { name: name.to_owned(), ..MachineRecord::default() };
        let failed = |name: &str| Progress { error: "refused the key".to_owned(), ..step(name, "failed") };
        let mut reported = Reported::default();
        let now = Instant::now();
        let later = now + IDLE * 2;
        for _ in 0..MAX_FAILURES {
            assert_eq!(reported.given_up(&[&machine("web-2")], later), None);
            reported.note(&failed("web-2"));
        }
        assert_eq!(reported.given_up(&[&machine("web-2")], now), None, "a shortage may pass within a minute");
        let why = reported.given_up(&[&machine("web-2")], later).unwrap();
        assert!(why.contains("web-2 did not become a node in 3 attempts: refused the key"), "{why}");
        assert_eq!(
            reported.given_up(&[&machine("web-2"), &machine("web-3")], later),
            None,
            "the other one may still join"
        );
        assert_eq!(reported.given_up(&[], later), None);
    }

    #[test]
    fn an_idle_incomplete_cluster_has_a_reason() {
        let node = |healthy| NodeStatus {
            name: "web-2".to_owned(),
            reason: "silent for 65 s".to_owned(),
            healthy,
            ..NodeStatus::default()
        };
        assert_eq!(why_incomplete(&[node(true)], None, &BTreeMap::new()), None);
        let blocked = Some("all 2 hosts are in use".to_owned());
        let why = why_incomplete(&[node(false)], blocked, &BTreeMap::new()).unwrap();
        assert_eq!(why, "web-2 is not healthy: silent for 65 s; all 2 hosts are in use");
        let error = Some("giving node 2 the signing key: no answer".to_owned());
        let pass = Pass { started: Instant::now(), took: Duration::ZERO, error: error.clone(), waits_for: None };
        assert_eq!(why_incomplete(&[node(true)], None, &BTreeMap::from([("members", pass)])), error);
    }

    #[test]
    fn each_reported_removal_gets_an_end() {
        let mut reported = Reported::default();
        reported.note(&step("web-4", REMOVING));
        let machine = MachineRecord { name: "web-5".to_owned(), ..MachineRecord::default() };
        let news = reported.ending(&[&machine]);
        assert_eq!(news.len(), 1);
        news.iter().for_each(|step| reported.note(step));
        assert!(reported.ending(&[&machine]).is_empty(), "it is reported once");
        let stuck = MachineRecord { error: "it hangs".to_owned(), ..machine };
        assert_eq!(reported.ending(&[&stuck])[0].detail, "it hangs");
        reported.note(&Progress { done: true, ..step("web-4", REMOVED) });
        let last = reported.ended();
        assert_eq!(last.len(), 1);
        assert_eq!((last[0].subject.as_str(), last[0].done), ("web-5", true));
    }
}
