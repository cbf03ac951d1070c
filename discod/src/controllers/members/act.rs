//! Performs the changes that the planner decides.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};
use disco_planner::members::{Reason, Step};
use disco_planner::twins::Life;
use disco_planner::voters::Change;
use disco_proto::v1::ReportRequest;

use crate::cluster::nodes::{removal, voter_secrets};
use crate::controllers::machines;
use crate::home::VoterSecrets;
use crate::node::Leader;
use crate::raft::{Member, NodeInfo, Role};
use crate::records::{self, NodeRecord, Severity};

/// Performs one step.
///
/// # Errors
/// The step was not performed, or its outcome is unknown.
pub(super) async fn perform(leader: &Leader, members: &[Member], step: Step) -> Result<()> {
    match step {
        Step::HandOver { to, reason } => hand_over(leader, to, reason).await,
        Step::Record(id) => record(leader, members, id).await,
        Step::Remember(id, life) => remember(leader, id, life).await,
        Step::Admit(id) => admit(leader, id).await,
        Step::Move(id) => update_address(leader, members, id).await,
    }
}

async fn hand_over(leader: &Leader, to: u64, reason: Reason) -> Result<()> {
    let why = match reason {
        Reason::Disk => "this disk is nearly full",
        Reason::Unhealthy => "this node is not healthy",
    };
    // Said before: the term, and this pass with it, ends with success.
    tracing::warn!(to, free_mib = leader.raft().room().free >> 20, "hands leadership over, because {why}");
    let handed = leader.raft().transfer_leadership(Some(to)).await;
    handed.map(drop).with_context(|| format!("handing leadership over to node {to}, because {why}"))
}

/// Creates the record of a member without one: the founder.
async fn record(leader: &Leader, members: &[Member], id: u64) -> Result<()> {
    let Some((member, heard)) = find(members, id).zip(leader.reports().get(id)) else { return Ok(()) };
    let report = heard.report;
    let record = NodeRecord {
        id,
        name: member.info.name.clone(),
        address: member.info.address.clone(),
        machine: report.instance,
        extra_addresses: founders(leader, id, crate::join::extra_addresses),
        public_address: founders(leader, id, |args| {
            args.public_address.map(|address| address.to_string()).unwrap_or_default()
        }),
        version: report.version,
        joined_at: crate::clock::rfc3339(),
        ..NodeRecord::default()
    };
    let key = records::keys::node(id);
    let txn = records::Txn::new().expect(&key, 0).put(&key, &record);
    leader.write_in_term(txn.operation()).await.with_context(|| format!("recording node {id}"))?;
    Ok(())
}

/// The founder's own settings; the records of other nodes come from their join.
fn founders<T: Default>(leader: &Leader, id: u64, read: impl Fn(&crate::args::DaemonArgs) -> T) -> T {
    if id == leader.id() { read(leader.args()) } else { T::default() }
}

async fn remember(leader: &Leader, id: u64, life: Life) -> Result<()> {
    let changed = change_record(leader, id, |record| NodeRecord {
        incarnation: life.number,
        run: format!("{:016x}", life.run),
        ..record
    });
    changed.await.with_context(|| format!("recording the start of node {id}"))
}

async fn admit(leader: &Leader, id: u64) -> Result<()> {
    let record = leader.raft().store().read(|store| records::node(store, id));
    let Some((record, heard)) = record.zip(leader.reports().get(id)) else { return Ok(()) };
    let info = NodeInfo { address: heard.report.address.clone(), name: record.name.clone() };
    leader.raft().add_learner(id, info).await.with_context(|| format!("adding node {id}"))?;
    let text = format!("{} joined at {}", record.name, heard.report.address);
    records::emit_in_term(leader, "node.joined", Severity::Info, Some(id), text).await;
    Ok(())
}

/// Updates the address of a node whose certificate proved its identity at another one.
async fn update_address(leader: &Leader, members: &[Member], id: u64) -> Result<()> {
    let Some((member, heard)) = find(members, id).zip(leader.reports().get(id)) else { return Ok(()) };
    let address = heard.report.address;
    let info = NodeInfo { address: address.clone(), name: member.info.name.clone() };
    leader.raft().set_info(id, info).await.with_context(|| format!("changing the address of node {id}"))?;
    change_record(leader, id, |record| NodeRecord { address: address.clone(), ..record }).await?;
    let text = format!("{} moved from {} to {address}", member.info.name, member.info.address);
    records::emit_in_term(leader, "node.moved", Severity::Info, Some(id), text).await;
    Ok(())
}

/// Changes the record of a node, if it has one, as it is when it is written: a removal may mark it at the same time.
async fn change_record(leader: &Leader, id: u64, change: impl Fn(NodeRecord) -> NodeRecord) -> Result<()> {
    let key = records::keys::node(id);
    loop {
        let found = leader.raft().store().read(|store| records::get::<NodeRecord>(store, &key));
        let Some(found) = found else { return Ok(()) };
        let txn = records::Txn::new().expect(&key, found.revision).put(&key, &change(found.value));
        if records::succeeded(&leader.write_in_term(txn.operation()).await?) {
            return Ok(());
        }
    }
}

fn find(members: &[Member], id: u64) -> Option<&Member> {
    members.iter().find(|member| member.id == id)
}

/// Sends these nodes the secrets of voters. A node that does not accept them does not prevent the others. Returns
/// whether any accepted them.
pub(super) async fn give_secrets_to(leader: &Leader, ids: &[u64]) -> bool {
    let Some(secrets) = leader.secrets() else { return false };
    let mut given = false;
    for id in ids {
        match give_secrets(leader, *id, secrets.clone()).await {
            Ok(()) => given = true,
            Err(error) => {
                tracing::warn!(node = id, error = format!("{error:#}"), "the node did not accept the signing key")
            }
        }
    }
    given
}

/// Completes a change of the voters that another leader has begun: openraft does not, and until then two quorums must agree.
pub(super) async fn finish_change(leader: &Leader, members: &[Member]) -> Result<()> {
    leader.raft().finish_change().await.context("completing a change of the voters")?;
    let voters = |members: &[Member]| {
        let voters = members.iter().filter(|member| member.role == Role::Voter);
        voters.map(|member| member.id).collect::<BTreeSet<u64>>()
    };
    for id in voters(members).difference(&voters(&leader.raft().members())) {
        voter_secrets::take_back(leader, *id).await;
    }
    Ok(())
}

pub(super) async fn change_voters(leader: &Leader, members: &[Member], change: Change) -> Result<()> {
    match change {
        Change::Promote(ids) => {
            let _held = machines::hold_rights(leader).await;
            for id in &ids {
                prepare_promotion(leader, members, *id).await?;
            }
            leader.raft().promote(&ids).await.with_context(|| format!("promoting {ids:?}"))?;
            for id in ids {
                voter_secrets::tell(leader, "node.promoted", id, "is a voter now").await;
            }
        }
        Change::Demote(ids) => {
            leader.raft().demote(&ids).await.with_context(|| format!("demoting {ids:?}"))?;
            for id in ids {
                voter_secrets::take_back(leader, id).await;
            }
        }
        Change::Replace { old, new } => {
            let _held = machines::hold_rights(leader).await;
            prepare_promotion(leader, members, new).await?;
            leader.raft().replace_voter(old, new).await.with_context(|| format!("replacing voter {old} by {new}"))?;
            voter_secrets::tell(leader, "node.promoted", new, &format!("is a voter now, in place of node {old}")).await;
            voter_secrets::take_back(leader, old).await;
        }
    }
    Ok(())
}

/// Removes a member that was silent for days.
pub(super) async fn remove_dead(leader: &Leader, id: u64) -> Result<()> {
    voter_secrets::tell(leader, "node.expired", id, "was silent for too long, and is removed").await;
    removal::remove(leader, id, false).await.with_context(|| format!("removing node {id}"))
}

/// Gives a node the secrets and rights of a voter, since it may lead.
async fn prepare_promotion(leader: &Leader, members: &[Member], id: u64) -> Result<()> {
    if !members.iter().any(|member| member.id == id) {
        bail!("node {id} is not a member");
    }
    let Some(secrets) = leader.secrets() else { bail!("this leader does not have the signing key") };
    give_secrets(leader, id, secrets).await.with_context(|| format!("sending node {id} the signing key"))?;
    machines::give_before_promotion(leader, id).await;
    Ok(())
}

/// Sends a node the secrets of voters, and not again before its next report.
async fn give_secrets(leader: &Leader, id: u64, secrets: VoterSecrets) -> Result<()> {
    voter_secrets::hand_over(leader, id, secrets.into()).await?;
    if let Some(heard) = leader.reports().get(id) {
        let signing_serial = leader.signing_serial();
        leader.reports().record(ReportRequest { signing_serial, ..heard.report });
    }
    Ok(())
}
