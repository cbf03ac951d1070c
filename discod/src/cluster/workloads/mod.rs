//! Stacks, services and tasks: their records, and what operators change about them.
//!
//! A request changes what shall be, in one transaction, and nothing else: the leader's controller
//! (`controllers/workloads`) starts and ends tasks until it is so.

pub mod check;
pub mod draft;
pub mod fence;
pub mod recorded;
pub mod requests;
pub mod table;
pub mod versions;
pub mod write;

use disco_proto::v1::change_workloads_request::Change;
use disco_proto::v1::{ChangeWorkloadsRequest, ChangeWorkloadsResponse};

use self::draft::{Draft, Moment};
use self::recorded::Workloads;
use self::requests::Answer;
use super::scripts::blobs;
use super::{Error, Result};
use crate::node::Leader;

/// Attempts while other records change.
const CONFLICTS: usize = 32;

/// Changes what stacks and services shall be, as one transaction.
///
/// # Errors
/// The request is wrong, or the change was not written.
pub async fn change(leader: &Leader, request: ChangeWorkloadsRequest) -> Result<ChangeWorkloadsResponse> {
    let change = request.change.ok_or_else(|| Error::Invalid("the request names no change".to_owned()))?;
    leader.raft().linearizable().await?;
    // No content may be removed between the check that it exists and the record that refers to it, and numbers of
    // deployments are given under this lock.
    let commit = leader.commits().await;
    for _ in 0..CONFLICTS {
        let before = leader.raft().store().read(Workloads::read);
        let mut draft = Draft::new(before.clone(), Moment::now(leader.id(), leader.term()));
        let (deployment, changes) = apply(leader, &mut draft, change.clone())?;
        let written = draft.records.changes_since(&before);
        write::fits(&written, &draft.news).map_err(Error::Invalid)?;
        if request.dry_run {
            return Ok(ChangeWorkloadsResponse { deployment: 0, changes });
        }
        if write::commit_one(leader, written, draft.news).await? {
            drop(commit);
            leader.wake_controllers();
            return Ok(ChangeWorkloadsResponse { deployment, changes });
        }
        // Events and tasks are recorded all the time.
        tokio::task::yield_now().await;
    }
    Err(Error::Conflict("too many concurrent changes; try again".to_owned()))
}

fn apply(leader: &Leader, draft: &mut Draft, request: Change) -> Result<Answer> {
    match request {
        Change::Deploy(deploy) => {
            let stack = deploy.stack.clone();
            let targets = check::targets(deploy)?;
            for target in targets.values() {
                let versions::Version::New { spec, .. } = &target.version else { continue };
                let files = spec.process.iter().flat_map(|process| &process.files).cloned().collect::<Vec<_>>();
                leader.raft().store().read(|store| blobs::check(store, &files))?;
            }
            versions::carry_out(draft, &stack, targets, "deploy")
        }
        Change::Rollback(rollback) => requests::rollback(draft, &rollback.stack, rollback.to),
        Change::Remove(remove) => requests::remove(draft, &remove.stack),
        Change::Scale(scale) => requests::scale(draft, &scale.stack, &scale.service, scale.copies),
        Change::Restart(restart) => requests::restart(draft, &restart.stack, &restart.service),
        Change::Stop(stop) => requests::stop(draft, &stop.stack, &stop.service),
        Change::Drain(drain) => requests::drain(draft, drain.node_id, drain.drained),
    }
}
