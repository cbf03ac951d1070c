//! The number of nodes.
//!
//! The number is written; the leader's controllers bring it about. This only watches, so a client that goes away stops nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::time::Duration;

use disco_planner::scale::{self as planner, Refusal};
use disco_planner::{Member, Policy};
use disco_proto::v1::{NodeStatus, Progress, ScaleRequest, StatusResponse};
use futures_util::{Stream, StreamExt, TryStreamExt};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;

use super::provider;
use crate::cluster::nodes::confirm::confirmed;
use crate::cluster::nodes::removal::{ENDING, REMOVED, REMOVING};
use crate::cluster::nodes::status;
use crate::cluster::nodes::view::{planned, policy};
use crate::cluster::{Error, Executor, Result, leader};
use crate::node::{Leader, Node};
use crate::peers::Hops;
use crate::records::{self, MachineRecord};

/// Steps that may wait for a slow client.
const UNDER_WAY: usize = 64;
/// How often the state is looked at between steps.
const LOOK: Duration = Duration::from_millis(50);
/// A new node that the leader cannot reach for so long is not waited for: a closed port does not open by itself.
const UNREACHED: Duration = Duration::from_secs(20);
/// A machine that has failed so often since the request is not waited for: what is in its way seldom goes by itself.
const MOST_FAILURES: usize = 3;
/// A cluster that is not whole and where nothing has moved for so long is not waited for.
const IDLE: Duration = Duration::from_secs(60);

/// What is done to have a number of nodes, step by step. It ends when there are so many, or with why there are not.
pub type Steps = Pin<Box<dyn Stream<Item = Result<Progress>> + Send>>;

/// Sets the number of nodes, and follows what is done.
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
    let (sender, receiver) = mpsc::channel(UNDER_WAY);
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
        // The receiver is right here.
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

/// Refused where another number is desired than the one by which it was decided. A request that is repeated finds its own.
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

/// Writes the number, and with it the one that the script asks for.
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
        // Else somebody else has written a number since it was read, and it is looked at again.
        if records::succeeded(&response) {
            return Ok(());
        }
    }
}

/// Whether the cluster can have so many nodes; the members that there are.
///
/// # Errors
/// Why it cannot.
pub async fn check(leader: &Leader, desired: u32) -> Result<Vec<Member>> {
    let allowed = |members: &[Member], policy: &Policy| planner::check(members, desired as usize, policy).map(|_| ());
    confirmed(leader, allowed).await.map_err(refuse)?;
    let (members, policy) = (planned(leader), policy(leader));
    if desired as usize > members.len() {
        let dead: Vec<u64> = members.iter().filter(|member| member.is_lost(&policy)).map(|member| member.id).collect();
        let checked = provider::check_can_have(leader, desired as usize, &dead).await;
        checked.map_err(Error::Refused)?;
    }
    Ok(members)
}

fn refuse(refusal: Refusal) -> Error {
    Error::Refused(refusal.to_string())
}

/// Sends the steps until the cluster has the number, or this node leads no more, or nothing more is to be expected.
async fn follow(
    leader: Leader,
    message: ScaleRequest,
    mut steps: tokio::sync::broadcast::Receiver<Progress>,
    sender: mpsc::Sender<Result<Progress>>,
) {
    let desired = message.nodes;
    let mut told = Told::default();
    let mut unreached: Option<Instant> = None;
    let mut idle_since = Instant::now();
    let mut look = tokio::time::interval(LOOK);
    loop {
        let step = tokio::select! {
            biased;
            () = sender.closed() => return,
            step = steps.recv() => match step {
                Ok(step) => Some(step),
                Err(RecvError::Lagged(_)) => None,
                Err(RecvError::Closed) => return,
            },
            _ = look.tick() => None,
        };
        if leader.has_ended() {
            // Whoever asked asks again, and is forwarded to the new leader.
            let _ = sender.send(Err(Error::Unavailable("leadership has changed; the work goes on".to_owned()))).await;
            return;
        }
        let status = status::leader_view(&leader);
        let mut news: Vec<Progress> = step.into_iter().collect();
        news.extend(told.healthy(&status));
        let (ending, leaving) = if waits_for_ends(&message) { going(&leader) } else { (Vec::new(), false) };
        news.extend(told.ending(&ending));
        let whole = is_whole(&leader, &status, desired) && ending.is_empty() && !leaving;
        if whole {
            // What was said before this moment is said, and what was begun has ended.
            while let Ok(step) = steps.try_recv() {
                news.push(step);
            }
        }
        let under_way = under_way(&leader);
        if !(news.is_empty() && under_way.is_empty() && ending.is_empty()) || leaving || status.changing {
            idle_since = Instant::now();
        }
        for step in news {
            told.note(&step);
            if sender.send(Ok(step)).await.is_err() {
                return;
            }
        }
        if whole {
            for step in told.ended() {
                // Whoever has gone away misses the last lines, no more.
                let _ = sender.send(Ok(step)).await;
            }
            return;
        }
        match status.nodes.iter().find(|member| is_unreached(member)) {
            None => unreached = None,
            Some(member) if unreached.get_or_insert_with(Instant::now).elapsed() >= UNREACHED => {
                let text = format!(
                    "the cluster is not whole: {} has joined and reports, but the leader cannot reach it at {}\nhint: open \
                     that port to the other nodes, then run the command again",
                    member.name, member.address
                );
                let _ = sender.send(Err(Error::internal(anyhow::Error::msg(text)))).await;
                return;
            }
            Some(_) => {}
        }
        let given_up = told
            .given_up(&under_way)
            .or_else(|| (idle_since.elapsed() >= IDLE).then(|| why_not_whole(&status, leader.blocked())).flatten());
        if let Some(why) = given_up {
            let text = format!(
                "the cluster is not whole: {why}\nhint: the leader goes on trying and `disco status` shows how it stands; mend the \
                 cause, then run the command again"
            );
            let _ = sender.send(Err(Error::internal(anyhow::Error::msg(text)))).await;
            return;
        }
        let now_desired = leader.raft().store().read(records::desired_nodes);
        if now_desired.is_some_and(|now| now != desired) {
            let text = format!(
                "the target size was changed to {} nodes\nhint: `disco status` shows it",
                now_desired.unwrap_or(0)
            );
            let _ = sender.send(Err(Error::Conflict(text))).await;
            return;
        }
    }
}

/// A machine that has not ended is still paid for, so a request for a number waits for it. A script's bootstrap that takes nothing away
/// does not: a machine of before that cannot be ended is not in the way of a repair.
fn waits_for_ends(message: &ScaleRequest) -> bool {
    message.script_nodes.is_none() || message.expected.is_some_and(|expected| message.nodes < expected)
}

/// Machines that are to end, and whether a node leaves whose machine is not among them yet.
fn going(leader: &Leader) -> (Vec<MachineRecord>, bool) {
    leader
        .raft()
        .store()
        .read(|store| (records::ending(store), records::nodes(store).iter().any(|record| record.leaving)))
}

/// Machines that have not become nodes yet.
fn under_way(leader: &Leader) -> Vec<MachineRecord> {
    let mut machines = leader.raft().store().read(records::machines);
    machines.retain(|machine| machine.node.is_none() && machine.state != records::machine_state::TERMINATING);
    machines
}

/// Why a cluster is not whole in which nothing is under way; `None` where that is not known.
fn why_not_whole(status: &StatusResponse, blocked: Option<String>) -> Option<String> {
    let ill = status.nodes.iter().filter(|member| !member.healthy);
    let mut reasons: Vec<String> = ill
        .map(|member| match member.reason.as_str() {
            "" => format!("{} is not healthy", member.name),
            reason => format!("{} is not healthy: {reason}", member.name),
        })
        .collect();
    reasons.extend(blocked);
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

/// Whether there are so many nodes, all are healthy, and as many vote as shall.
fn is_whole(leader: &Leader, status: &StatusResponse, desired: u32) -> bool {
    let members = planned(leader);
    let voters = members.iter().filter(|member| member.voter).count();
    let settled = voters == disco_planner::voters::wanted(members.len(), &policy(leader));
    status.nodes.len() == desired as usize && status.healthy && settled
}

/// What whoever follows was told.
#[derive(Debug, Default)]
struct Told {
    joined: BTreeSet<u64>,
    /// Names of machines that were said to be ending, with what was said.
    ending: BTreeMap<String, String>,
    /// Who is going and has not gone, as far as was told.
    going: BTreeSet<String>,
    /// Names of machines that have failed, with how often and the last reason.
    failures: BTreeMap<String, (usize, String)>,
}

impl Told {
    fn note(&mut self, step: &Progress) {
        if !step.error.is_empty() {
            let (count, reason) = self.failures.entry(step.subject.clone()).or_default();
            *count += 1;
            reason.clone_from(&step.error);
        }
        if step.done || !step.error.is_empty() {
            self.going.remove(&step.subject);
        } else if [REMOVING, ENDING].contains(&step.state.as_str()) {
            self.going.insert(step.subject.clone());
        }
    }

    /// Nodes that have become healthy.
    fn healthy(&mut self, status: &StatusResponse) -> Vec<Progress> {
        let new = status.nodes.iter().filter(|member| member.healthy && self.joined.insert(member.id));
        let step = |member: &NodeStatus| Progress {
            detail: member.address.clone(),
            done: true,
            ..step(&member.name, "healthy")
        };
        new.map(step).collect()
    }

    /// Machines that are not told of yet, or of which something else is to be said.
    fn ending(&mut self, machines: &[MachineRecord]) -> Vec<Progress> {
        let mut news = Vec::new();
        for machine in machines {
            if self.ending.get(&machine.name) != Some(&machine.error) {
                self.ending.insert(machine.name.clone(), machine.error.clone());
                news.push(Progress { detail: machine.error.clone(), ..step(&machine.name, ENDING) });
            }
        }
        news
    }

    /// Why no machine is waited for any more: each that is under way has failed again and again.
    fn given_up(&self, under_way: &[MachineRecord]) -> Option<String> {
        let failed = |machine: &MachineRecord| {
            self.failures
                .get(&machine.name)
                .filter(|(count, _)| *count >= MOST_FAILURES)
                .map(|(count, reason)| format!("{} has not become a node in {count} tries: {reason}", machine.name))
        };
        let reasons: Option<Vec<String>> = under_way.iter().map(failed).collect();
        reasons.filter(|reasons| !reasons.is_empty()).map(|reasons| reasons.join("; "))
    }

    /// For all who were told to be going when everything is as wished.
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
    fn a_number_is_refused_that_was_decided_by_another_one() {
        assert!(as_expected(&request(3, None, None), Some(7)).is_ok());
        assert!(as_expected(&request(3, Some(3), Some(5)), Some(5)).is_ok());
        // Repeated after a lost answer.
        assert!(as_expected(&request(3, Some(3), Some(5)), Some(3)).is_ok());
        let refused = as_expected(&request(3, Some(3), Some(5)), Some(7)).unwrap_err();
        assert!(refused.to_string().contains("the target size is 7 now"), "{refused:?}");
    }

    #[test]
    fn whoever_takes_nodes_away_waits_for_their_machines_and_a_repair_does_not() {
        assert!(waits_for_ends(&request(2, None, None)));
        assert!(waits_for_ends(&request(2, Some(2), Some(3))));
        assert!(!waits_for_ends(&request(5, Some(3), Some(5))));
        assert!(!waits_for_ends(&request(5, Some(5), Some(3))));
    }

    #[test]
    fn machines_that_fail_again_and_again_are_waited_for_no_more() {
        let machine = |name: &str| MachineRecord { name: name.to_owned(), ..MachineRecord::default() };
        let failed = |name: &str| Progress { error: "refused the key".to_owned(), ..step(name, "failed") };
        let mut told = Told::default();
        for _ in 0..MOST_FAILURES {
            assert_eq!(told.given_up(&[machine("web-2")]), None);
            told.note(&failed("web-2"));
        }
        let why = told.given_up(&[machine("web-2")]).unwrap();
        assert!(why.contains("web-2 has not become a node in 3 tries: refused the key"), "{why}");
        assert_eq!(told.given_up(&[machine("web-2"), machine("web-3")]), None, "the other one may still come");
        assert_eq!(told.given_up(&[]), None);
    }

    #[test]
    fn a_cluster_in_which_nothing_moves_is_not_whole_for_a_reason() {
        let node = |healthy| NodeStatus {
            name: "web-2".to_owned(),
            reason: "silent for 65 s".to_owned(),
            healthy,
            ..NodeStatus::default()
        };
        let status = |healthy| StatusResponse { nodes: vec![node(healthy)], ..StatusResponse::default() };
        assert_eq!(why_not_whole(&status(true), None), None);
        let why = why_not_whole(&status(false), Some("all 2 hosts are in use".to_owned())).unwrap();
        assert_eq!(why, "web-2 is not healthy: silent for 65 s; all 2 hosts are in use");
    }

    #[test]
    fn each_line_that_was_begun_is_completed() {
        let mut told = Told::default();
        told.note(&step("web-4", REMOVING));
        let machine = MachineRecord { name: "web-5".to_owned(), ..MachineRecord::default() };
        let news = told.ending(std::slice::from_ref(&machine));
        assert_eq!(news.len(), 1);
        news.iter().for_each(|step| told.note(step));
        assert!(told.ending(std::slice::from_ref(&machine)).is_empty(), "it is said once");
        let stuck = MachineRecord { error: "it hangs".to_owned(), ..machine };
        assert_eq!(told.ending(&[stuck])[0].detail, "it hangs");
        told.note(&Progress { done: true, ..step("web-4", REMOVED) });
        let last = told.ended();
        assert_eq!(last.len(), 1);
        assert_eq!((last[0].subject.as_str(), last[0].done), ("web-5", true));
    }
}
