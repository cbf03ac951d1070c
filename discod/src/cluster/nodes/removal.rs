//! How a node leaves: the leader demotes it, removes it from the membership, deletes its records, and releases its
//! machine if the cluster started it.

use anyhow::{Context, Result, bail};
use disco_planner::{Member, Policy};
use disco_proto::v1::Progress;
use futures_util::Stream;
use tokio_stream::wrappers::ReceiverStream;

use super::moving::{self, MOVING};
use crate::cluster::{self, Error, artifacts};
use crate::node::Leader;
use crate::raft::{Recovery, Role};
use crate::records::{self, NodeRecord, Records, Severity};

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

/// Removes a node and reduces the target size by one; unless by `force`, its tasks move first. Continues without a client that follows the steps.
pub fn start(leader: &Leader, id: u64, force: bool) -> impl Stream<Item = cluster::Result<Progress>> + Send + 'static {
    let (sender, receiver) = tokio::sync::mpsc::channel(UNDER_WAY);
    let leader = leader.clone();
    tokio::spawn(async move {
        let subject = records::node_name(&leader, id);
        let step = |state: &str| Progress { subject: subject.clone(), state: state.to_owned(), ..Progress::default() };
        // A client that has disconnected only misses the steps.
        let _ = sender.send(Ok(step(REMOVING))).await;
        let record = leader.raft().store().read(|store| records::node(store, id));
        let removed = async {
            mark(&leader, id, true).await?;
            if !force && moving::has_tasks(&leader, id) {
                let _ = sender.send(Ok(step(MOVING))).await;
                moving::end(&leader, id).await;
            }
            remove(&leader, id, true, force).await
        };
        if let Err(error) = removed.await {
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
/// else. `force`: also if contents of programs' files are lost with it.
///
/// # Errors
/// What failed; completed steps remain.
pub async fn remove(leader: &Leader, id: u64, fewer: bool, force: bool) -> Result<()> {
    let _turn = leader.removals().await;
    let is_member = || leader.raft().members().iter().any(|member| member.id == id);
    let name = records::node_name(leader, id);
    let record = leader.raft().store().read(|store| records::node(store, id));
    if record.is_none() && !is_member() {
        return Ok(());
    }
    begin(leader, id, leader.raft().members().len(), fewer).await?;
    if leader.has_ended() {
        bail!("leader changed; the next leader goes on with removing {name}");
    }
    // With the mark that an earlier leader may have set.
    let record = leader.raft().store().read(|store| records::node(store, id)).or(record);
    if leader.raft().members().iter().any(|member| member.id == id && member.role == Role::Voter) {
        if !force {
            check_programs(leader, id, &name).await?;
        }
        leader.raft().demote(&[id]).await.with_context(|| format!("demoting {name} to a learner"))?;
        super::voter_secrets::take_back(leader, id).await;
    }
    if is_member() {
        leader.raft().remove(id).await.with_context(|| format!("removing {name} from the membership"))?;
    }
    // Before the node's record is deleted: observers find one of the two until nothing is left.
    if let Some(record) = &record {
        crate::cluster::machines::ending::release(leader, record).await?;
    }
    // Without its record it is not admitted again, whatever it reports.
    let txn = records::Txn::new().delete(&records::keys::node(id)).delete(&records::keys::health(id));
    leader.write_in_term(txn.operation()).await?;
    leader.reports().forget(id);
    leader.peers().retain(|peer| peer != id);
    records::emit_in_term(leader, "node.removed", Severity::Info, Some(id), format!("{name} was removed")).await;
    Ok(())
}

/// Whether the other voters have what this one has of programs, if it answers: a voter that died a moment ago may have had the
/// second copy.
async fn check_programs(leader: &Leader, id: u64, name: &str) -> Result<()> {
    let programs = match artifacts::only_on(leader, id).await {
        0 => return Ok(()),
        1 => "one program's file".to_owned(),
        count => format!("{count} programs' files"),
    };
    bail!("{name} has the only copy of {programs}; the other voters are copying it, then the removal goes on");
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

/// Marks a node that will be removed: it gets no new tasks, and those that it has move.
///
/// # Errors
/// The mark was not written.
pub async fn mark(leader: &Leader, id: u64, fewer: bool) -> Result<()> {
    begin(leader, id, leader.raft().members().len(), fewer).await
}

/// Marks the node before any other step, so that no controller gives it a vote again and the next leader continues. The
/// same transaction reduces the target size: a controller that sees one without the other brings the node back, or
/// chooses another node to remove. A marked node has already been counted. Compares both records with what was read: a
/// new address or a new target size that is written at the same time is not lost.
async fn begin(records: &impl Records, id: u64, members: usize, fewer: bool) -> Result<()> {
    let key = records::keys::node(id);
    loop {
        let (record, desired) = records.read(|store| {
            (records::get::<NodeRecord>(store, &key), records::get::<u32>(store, records::keys::DESIRED_NODES))
        });
        if record.as_ref().is_some_and(|record| record.value.leaving) {
            return Ok(());
        }
        let target = desired.filter(|desired| fewer && desired.value as usize >= members);
        if record.is_none() && target.is_none() {
            return Ok(());
        }
        let mut txn = records::Txn::new();
        if let Some(record) = record {
            let marked = NodeRecord { leaving: true, dismissed: fewer, ..record.value };
            txn = txn.expect(&key, record.revision).put(&key, &marked);
        }
        if let Some(target) = target {
            let key = records::keys::DESIRED_NODES;
            txn = txn.expect(key, target.revision).put(key, &(target.value - 1));
        }
        if records::succeeded(&records.write(txn.operation()).await?) {
            return Ok(());
        }
    }
}

/// Continues the removals that an earlier leader began, and those of nodes that the operator gave up.
pub async fn resume(leader: &Leader) {
    if let Err(error) = remove_lost(leader).await {
        tracing::warn!(error = format!("{error:#}"), "cannot remove lost nodes yet");
    }
    let leaving = leader.raft().store().read(records::nodes).into_iter().filter(|record| record.leaving);
    for record in leaving {
        moving::end(leader, record.id).await;
        if let Err(error) = remove(leader, record.id, false, false).await {
            tracing::warn!(node = record.id, error = format!("{error:#}"), "cannot remove the node yet");
        }
    }
}

/// Removes what is left of nodes that were given up when this one continued alone: records, and machines.
async fn remove_lost(leader: &Leader) -> Result<()> {
    let folder = leader.home().path();
    let Some(recovery) = Recovery::done(folder)? else { return Ok(()) };
    for id in recovery.lost.into_iter().filter(|id| *id != leader.id()) {
        remove(leader, id, false, true).await?;
    }
    Recovery::forget(folder)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use disco_store::Store;

    use super::*;
    use crate::records::{FakeRecords, keys};

    fn cluster(desired: u32) -> FakeRecords {
        let records = FakeRecords::default();
        records.put(&keys::node(2), &NodeRecord { id: 2, ..NodeRecord::default() });
        records.put(keys::DESIRED_NODES, &desired);
        records
    }

    fn state(records: &FakeRecords) -> (NodeRecord, u32) {
        (records.get(&keys::node(2)).unwrap(), records.get(keys::DESIRED_NODES).unwrap())
    }

    #[tokio::test]
    async fn a_removal_marks_the_node_and_lowers_the_target_size_once() {
        let records = cluster(3);
        begin(&records, 2, 3, true).await.unwrap();
        let (node, desired) = state(&records);
        assert!(node.leaving && node.dismissed);
        assert_eq!(desired, 2);
        let revision = records.read(Store::revision);
        begin(&records, 2, 3, true).await.unwrap();
        assert_eq!(records.read(Store::revision), revision, "the next leader counts a marked node no second time");
    }

    #[tokio::test]
    async fn a_surplus_node_leaves_the_target_size_as_it_is() {
        for (desired, fewer) in [(2, true), (3, false)] {
            let records = cluster(desired);
            begin(&records, 2, 3, fewer).await.unwrap();
            assert_eq!((state(&records).0.dismissed, state(&records).1), (fewer, desired));
        }
    }

    #[tokio::test]
    async fn a_change_of_either_record_at_the_same_time_is_not_lost() {
        let records = cluster(3);
        let address = "198.51.100.2".to_owned();
        records.put_meanwhile(&keys::node(2), &NodeRecord { id: 2, public_address: address, ..NodeRecord::default() });
        begin(&records, 2, 3, true).await.unwrap();
        let (node, desired) = state(&records);
        assert!(node.leaving);
        assert_eq!((node.public_address.as_str(), desired), ("198.51.100.2", 2));

        let records = cluster(3);
        records.put_meanwhile(keys::DESIRED_NODES, &7_u32);
        begin(&records, 2, 3, true).await.unwrap();
        assert_eq!(state(&records).1, 6);
    }
}
