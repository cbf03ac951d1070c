//! How a node leaves: the leader demotes it, removes it from the membership, deletes its records, and releases its
//! machine if the cluster started it.

use anyhow::{Context, Result, bail};
use disco_planner::{Member, Policy};
use disco_proto::v1::Progress;
use futures_util::Stream;
use tokio_stream::wrappers::ReceiverStream;

use crate::cluster::{self, Error};
use crate::node::Leader;
use crate::raft::{Recovery, Role};
use crate::records::{self, NodeRecord, Severity};

/// Steps that may be queued for a slow client.
const UNDER_WAY: usize = 32;
/// States of a node that leaves, and of its machine, as reported to clients.
pub const REMOVING: &str = "removing";
/// The node is no longer a member, but its machine has not ended.
pub const ENDING: &str = "ending its machine";
/// Nothing is left of the node.
pub const REMOVED: &str = "removed";

/// Whether a node may be removed. Requires a new sign of life of the living members, so that a voter that died a moment
/// ago does not count.
///
/// # Errors
/// Why not, with the next step.
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

/// Like [`check`], for a node that may not be a member.
///
/// # Errors
/// The node is not a member, or cannot be removed.
pub async fn check_member(leader: &Leader, id: u64, force: bool) -> cluster::Result<()> {
    if !leader.raft().members().iter().any(|member| member.id == id) {
        return Err(Error::NotFound(format!("node {id} does not exist")));
    }
    check(leader, id, force).await.map_err(Error::Refused)
}

/// Removes a node and reduces the target size by one. Continues without a client that follows the steps.
pub fn start(leader: &Leader, id: u64) -> impl Stream<Item = cluster::Result<Progress>> + Send + 'static {
    let (sender, receiver) = tokio::sync::mpsc::channel(UNDER_WAY);
    let leader = leader.clone();
    tokio::spawn(async move {
        let subject = records::node_name(&leader, id);
        let step = |state: &str| Progress { subject: subject.clone(), state: state.to_owned(), ..Progress::default() };
        // A client that has disconnected only misses the steps.
        let _ = sender.send(Ok(step(REMOVING))).await;
        let record = leader.raft().store().read(|store| records::node(store, id));
        if let Err(error) = remove(&leader, id, true).await {
            let failed = Progress { done: true, error: format!("{error:#}"), ..step("failed") };
            let _ = sender.send(Ok(failed)).await;
            return;
        }
        let _ = sender.send(Ok(step(ENDING))).await;
        let machine = record.map(|record| record.machine).unwrap_or_default();
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

/// Removes a node. A repetition completes what is missing. `fewer`: reduce the target size by one. The controller of
/// machines releases the node's machine, which [`machine_ended`] waits for: a machine that does not end blocks nothing
/// else.
///
/// # Errors
/// What failed; completed steps remain.
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
    // With the mark that an earlier leader may have set.
    let record = leader.raft().store().read(|store| records::node(store, id)).or(record);
    if leader.raft().members().iter().any(|member| member.id == id && member.role == Role::Voter) {
        leader.raft().demote(&[id]).await.with_context(|| format!("demoting {name} to a learner"))?;
        super::voter_secrets::take_back(leader, id).await;
    }
    if is_member() {
        leader.raft().remove(id).await.with_context(|| format!("removing {name} from the membership"))?;
    }
    // Before the node's record is deleted: observers find one of the two until nothing is left.
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

/// Waits for the end of a released machine. False if this node no longer leads and so does not learn of it.
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
        // Lost leadership does not change the revision.
        let _ = tokio::time::timeout(leader.raft().pace().heartbeat(), revisions.changed()).await;
    }
}

/// Marks the node before any other step, so that no controller gives it a vote again and the next leader continues. The
/// same transaction reduces the target size: a controller that sees one without the other brings the node back, or
/// chooses another node to remove. A marked node has already been counted.
async fn begin(leader: &Leader, record: Option<&NodeRecord>, fewer: bool) -> Result<()> {
    if record.is_some_and(|record| record.leaving) {
        return Ok(());
    }
    let members = u32::try_from(leader.raft().members().len())?;
    let desired = leader.raft().store().read(records::desired_nodes);
    let target = desired.filter(|desired| fewer && *desired >= members).map(|desired| desired - 1);
    let mut txn = records::Txn::new();
    if let Some(record) = record {
        txn =
            txn.put(&records::keys::node(record.id), &NodeRecord { leaving: true, dismissed: fewer, ..record.clone() });
    }
    if let Some(target) = target {
        txn = txn.put(records::keys::DESIRED_NODES, &target);
    }
    if record.is_some() || target.is_some() {
        leader.write_in_term(txn.operation()).await?;
    }
    Ok(())
}

/// Continues the removals that an earlier leader began, and those of nodes that the operator gave up.
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

/// Removes what is left of nodes that were given up when this one continued alone: records, and machines.
async fn remove_lost(leader: &Leader) -> Result<()> {
    let folder = leader.home().path();
    let Some(recovery) = Recovery::done(folder)? else { return Ok(()) };
    for id in recovery.lost.into_iter().filter(|id| *id != leader.id()) {
        remove(leader, id, false).await?;
    }
    Recovery::forget(folder)?;
    Ok(())
}
