//! Stacks, services and tasks: their records, and what operators change about them.
//!
//! A request changes what shall be, in one transaction, and nothing else: the leader's controller
//! (`controllers/workloads`) starts and ends tasks until it is so.

pub mod check;
pub mod draft;
pub mod fence;
pub mod jobs;
pub mod recorded;
pub mod requests;
pub mod table;
pub mod values;
pub mod versions;
pub mod write;

use disco_proto::v1::change_workloads_request::Change;
use disco_proto::v1::{ChangeWorkloadsRequest, ChangeWorkloadsResponse, DeployStack};
use disco_store::typed::FileRecord;

use self::draft::{Draft, Moment};
use self::recorded::Workloads;
use self::requests::Answer;
use super::artifacts::{self, Lacking};
use super::scripts::blobs;
use super::secrets::{self, Sealer};
use super::{Error, Executor, Result, leader};
use crate::node::{Leader, Node};
use crate::peers::Hops;
use crate::records::ValueKind;

/// Attempts while other records change.
const CONFLICTS: usize = 32;

/// The same by the leader, whichever node it is.
///
/// # Errors
/// The request is wrong, or it is not known whether the change was written.
pub async fn request(node: &Node, hops: Hops, request: ChangeWorkloadsRequest) -> Result<ChangeWorkloadsResponse> {
    match leader(node, hops).await? {
        Executor::Here(leader) => change(&leader, request).await,
        Executor::There(mut client) => {
            let limit = node.raft().pace().request_timeout() * 2;
            Ok(client.change_workloads(request, limit).await?)
        }
    }
}

/// Changes what stacks and services shall be, as one transaction.
///
/// # Errors
/// The request is wrong, or the change was not written.
pub async fn change(leader: &Leader, request: ChangeWorkloadsRequest) -> Result<ChangeWorkloadsResponse> {
    let change = request.change.ok_or_else(|| Error::Invalid("the request names no change".to_owned()))?;
    leader.raft().linearizable().await?;
    let sealer = sealer(leader, &change, request.dry_run).await?;
    // Asks other nodes, so not under the lock.
    let deploy = match &change {
        Change::Deploy(deploy) => Some(deploy),
        Change::DeployWithValues(with) => with.deploy.as_ref(),
        _ => None,
    };
    if let Some(deploy) = deploy
        && check::has_jobs(deploy.clone())?
    {
        // Such a node would start runs without their arguments.
        all_know(leader)?;
    }
    let only_stored = match deploy {
        Some(deploy) if !request.dry_run => artifacts::check(leader, &files(deploy.clone())?).await?,
        _ => Lacking::default(),
    };
    // No content may be removed between the check that it exists and the record that refers to it, and numbers of
    // deployments are given under this lock.
    let commit = leader.commits().await;
    for _ in 0..CONFLICTS {
        let before = leader.raft().store().read(Workloads::read);
        let mut draft = Draft::new(before.clone(), Moment::now(leader.id(), leader.term()));
        let (deployment, changes) = apply(leader, &mut draft, change.clone(), &sealer, &only_stored)?;
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

/// The files of all services.
fn files(deploy: DeployStack) -> Result<Vec<FileRecord>> {
    let targets = check::targets(deploy)?;
    let specs = targets.values().filter_map(|target| match &target.version {
        versions::Version::New { spec, .. } => spec.process.as_ref(),
        versions::Version::Group(_) => None,
    });
    Ok(specs.flat_map(|process| &process.files).cloned().collect())
}

/// `only_stored`: contents that a client of the previous version of Disco has put into the store.
fn apply(
    leader: &Leader,
    draft: &mut Draft,
    request: Change,
    sealer: &Sealer,
    only_stored: &Lacking,
) -> Result<Answer> {
    match request {
        Change::Deploy(_) | Change::DeployWithValues(_) => {
            let (deploy, values) = match request {
                Change::DeployWithValues(with) => (with.deploy.unwrap_or_default(), with.values),
                Change::Deploy(deploy) => (deploy, Vec::new()),
                _ => Default::default(),
            };
            let stack = deploy.stack.clone();
            let mut targets = check::targets(deploy.clone())?;
            values::resolve(draft, &stack, &mut targets, values, sealer)?;
            let mut stored = if only_stored.sha256.is_empty() { Vec::new() } else { files(deploy)? };
            stored.retain(|file| only_stored.sha256.contains(&file.sha256));
            leader.raft().store().read(|store| blobs::check(store, &stored))?;
            versions::carry_out(draft, &stack, targets, "deploy")
        }
        Change::Rollback(rollback) => requests::rollback(draft, &rollback.stack, rollback.to),
        Change::Remove(remove) => requests::remove(draft, &remove.stack),
        Change::Scale(scale) => requests::scale(draft, &scale.stack, &scale.service, scale.copies),
        Change::Restart(restart) => requests::restart(draft, &restart.stack, &restart.service),
        Change::Stop(stop) => requests::stop(draft, &stop.stack, &stop.service),
        Change::Drain(drain) => requests::drain(draft, drain.node_id, drain.drained),
        Change::SetValue(set) => {
            let value = set.value.ok_or_else(|| Error::Invalid("the request names no value".to_owned()))?;
            values::set(draft, &value, sealer)
        }
        Change::RemoveValue(remove) => values::remove(draft, values::kind(&remove.kind)?, &remove.name, remove.force),
    }
}

/// Refuses secrets, configs and jobs while a node runs a program that knows none of them.
fn all_know(leader: &Leader) -> Result<()> {
    let members = leader.raft().members();
    let is_old = |id: u64| leader.reports().get(id).is_some_and(|heard| heard.report.secrets_keys.is_none());
    match members.iter().find(|member| is_old(member.id)) {
        None => Ok(()),
        Some(old) => Err(Error::Refused(format!(
            "{} runs a program of the previous version; `disco upgrade` brings all nodes to the same program",
            old.info.name
        ))),
    }
}

/// What encrypts the secrets of a request.
async fn sealer(leader: &Leader, change: &Change, dry_run: bool) -> Result<Sealer> {
    let values: &[_] = match change {
        Change::DeployWithValues(deploy) => &deploy.values,
        Change::SetValue(set) => set.value.as_slice(),
        _ => return Ok(Sealer::new(leader.secrets_keys(), String::new())),
    };
    // Such a node would start tasks without their files.
    all_know(leader)?;
    if dry_run {
        return Sealer::of_dry_run(&leader.secrets_keys());
    }
    let has_secrets = values.iter().any(|value| value.kind == ValueKind::Secret.word());
    let current = if has_secrets { secrets::current(leader).await? } else { String::new() };
    Ok(Sealer::new(leader.secrets_keys(), current))
}
