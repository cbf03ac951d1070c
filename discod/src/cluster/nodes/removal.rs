//! How a node leaves: it stops voting, leaves the membership, its records go, and its machine where the cluster has it.

use anyhow::{Context, Result, bail};
use disco_planner::{Member, Policy};
use disco_proto::v1::Progress;
use futures_util::Stream;
use tokio_stream::wrappers::ReceiverStream;

use crate::cluster::{self, Error};
use crate::node::Leader;
use crate::raft::{Recovery, Role};
use crate::records::{self, NodeRecord, Severity};

/// Steps that may wait for a slow client.
const UNDER_WAY: usize = 32;
/// States of a node that leaves, and of its machine, as they are told.
pub const REMOVING: &str = "removing";
/// The node is no member any more, and its machine has not ended.
pub const ENDING: &str = "ending its machine";
/// Nothing is left of it.
pub const REMOVED: &str = "removed";

/// Whether a node may be removed. Asks the living for a sign of life, so that nobody counts who died a moment ago.
///
/// # Errors
/// Why not, in a sentence with the way out.
pub async fn check(leader: &Leader, id: u64, force: bool) -> Result<(), String> {
    let members = leader.raft().members();
    if members.len() == 1 {
        return Err("it is the last node; `disco destroy` ends the cluster".to_owned());
    }
    if force {
        return Ok(());
    }
    let survives = |view: &[Member], policy: &Policy| {
        if disco_planner::quorum::survives_without(view, id, policy) { Ok(()) } else { Err(()) }
    };
    super::confirm::confirmed(leader, survives).await.map_err(|()| {
        format!("cannot remove node {id}: the living voters would be no quorum; bring a dead voter back first")
    })
}

/// The same for a node of which it is not known whether it is a member.
///
/// # Errors
/// The node is not a member, or cannot be removed.
pub async fn check_member(leader: &Leader, id: u64, force: bool) -> cluster::Result<()> {
    if !leader.raft().members().iter().any(|member| member.id == id) {
        return Err(Error::NotFound(format!("node {id} does not exist")));
    }
    check(leader, id, force).await.map_err(Error::Refused)
}

/// Removes a node, so that the cluster has one less. Goes on when nobody follows the steps any more.
pub fn start(leader: &Leader, id: u64) -> impl Stream<Item = cluster::Result<Progress>> + Send + 'static {
    let (sender, receiver) = tokio::sync::mpsc::channel(UNDER_WAY);
    let leader = leader.clone();
    tokio::spawn(async move {
        let subject = records::node_name(&leader, id);
        let step = |state: &str| Progress { subject: subject.clone(), state: state.to_owned(), ..Progress::default() };
        // A client that has gone away misses the steps, no more.
        let _ = sender.send(Ok(step(REMOVING))).await;
        let record = leader.raft().store().read(|store| records::node(store, id));
        if let Err(error) = remove(&leader, id, true).await {
            let failed = Progress { done: true, error: format!("{error:#}"), ..step("failed") };
            let _ = sender.send(Ok(failed)).await;
            return;
        }
        let _ = sender.send(Ok(step(ENDING))).await;
        let machine = record.map(|record| record.instance).unwrap_or_default();
        let ended = tokio::select! {
            biased;
            () = sender.closed() => return,
            ended = machine_ended(&leader, &machine) => ended,
        };
        let end = match ended {
            true => Ok(Progress { done: true, ..step(REMOVED) }),
            false => {
                Err(Error::Unavailable("leader changed; the next leader goes on with ending the machine".to_owned()))
            }
        };
        let _ = sender.send(end).await;
    });
    ReceiverStream::new(receiver)
}

/// Removes a node. Repeating it does what is missing. `fewer`: the cluster shall then be smaller by one. Its machine is given back
/// by the controller of machines, which [`machine_ended`] waits for: one that does not end holds up nothing else.
///
/// # Errors
/// What could not be done; what was done stays done.
pub async fn remove(leader: &Leader, id: u64, fewer: bool) -> Result<()> {
    let _turn = leader.removals().await;
    let is_member = || leader.raft().members().iter().any(|member| member.id == id);
    let name = records::node_name(leader, id);
    let record = leader.raft().store().read(|store| records::node(store, id));
    if record.is_none() && !is_member() {
        return Ok(());
    }
    begin(leader, record.as_ref(), fewer).await?;
    if leader.has_ended() {
        bail!("leader changed; the next leader goes on with removing {name}");
    }
    // With the mark, which an earlier leader may have set.
    let record = leader.raft().store().read(|store| records::node(store, id)).or(record);
    if leader.raft().members().iter().any(|member| member.id == id && member.role == Role::Voter) {
        leader.raft().demote(&[id]).await.with_context(|| format!("demoting {name} to a learner"))?;
        super::voter_secrets::take_back(leader, id).await;
    }
    if is_member() {
        leader.raft().remove(id).await.with_context(|| format!("removing {name} from the membership"))?;
    }
    // Before the node's record goes: whoever looks finds one of the two until nothing is left.
    if let Some(record) = &record {
        crate::cluster::machines::provider::release(leader, record).await?;
    }
    // Without its record it is not admitted again, whatever it reports.
    let txn = records::Txn::new().delete(&records::keys::node(id)).delete(&records::keys::health(id));
    leader.write_in_term(txn.operation()).await?;
    leader.reports().forget(id);
    leader.peers().retain(|peer| peer != id);
    records::emit_in_term(leader, "node.removed", Severity::Info, Some(id), format!("{name} was removed")).await;
    Ok(())
}

/// Waits for the end of a machine that was given back. False: this node leads no more, so it does not learn of it.
pub async fn machine_ended(leader: &Leader, machine: &str) -> bool {
    let mut revisions = leader.raft().store().revisions();
    loop {
        if leader.raft().leads().is_none() {
            return false;
        }
        let ending = leader.raft().store().read(records::ending);
        if machine.is_empty() || ending.iter().all(|one| one.id != machine) {
            return true;
        }
        // A leadership that is lost is no revision.
        let _ = tokio::time::timeout(leader.raft().pace().heartbeat(), revisions.changed()).await;
    }
}

/// Marks the node before anything is done, so that no controller gives it a vote again, and the next leader goes on. The wish for
/// fewer nodes is part of the same transaction: a controller that sees one without the other brings the node back, or chooses
/// another one to go. Who is marked already has been counted.
async fn begin(leader: &Leader, record: Option<&NodeRecord>, fewer: bool) -> Result<()> {
    if record.is_some_and(|record| record.leaving) {
        return Ok(());
    }
    let members = u32::try_from(leader.raft().members().len())?;
    let desired = leader.raft().store().read(records::desired_nodes);
    let wished = desired.filter(|desired| fewer && *desired >= members).map(|desired| desired - 1);
    let mut txn = records::Txn::new();
    if let Some(record) = record {
        txn =
            txn.put(&records::keys::node(record.id), &NodeRecord { leaving: true, dismissed: fewer, ..record.clone() });
    }
    if let Some(wished) = wished {
        txn = txn.put(records::keys::DESIRED_NODES, &wished);
    }
    if record.is_some() || wished.is_some() {
        leader.write_in_term(txn.operation()).await?;
    }
    Ok(())
}

/// Goes on with the removals that an earlier leader had begun, and with those of nodes that the operator has given up.
pub async fn resume(leader: &Leader) {
    if let Err(error) = remove_lost(leader).await {
        tracing::warn!(error = format!("{error:#}"), "cannot remove lost nodes yet");
    }
    let leaving = leader.raft().store().read(records::nodes).into_iter().filter(|record| record.leaving);
    for record in leaving {
        if let Err(error) = remove(leader, record.id, false).await {
            tracing::warn!(node = record.id, error = format!("{error:#}"), "cannot remove the node yet");
        }
    }
}

/// What is left of nodes that were given up when this one went on alone: records, and machines.
async fn remove_lost(leader: &Leader) -> Result<()> {
    let folder = leader.home().path();
    let Some(recovery) = Recovery::done(folder)? else { return Ok(()) };
    for id in recovery.lost.into_iter().filter(|id| *id != leader.id()) {
        remove(leader, id, false).await?;
    }
    Recovery::forget(folder)?;
    Ok(())
}
