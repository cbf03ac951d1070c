//! The membership: admitted nodes become learners, learners voters, dead voters are replaced, all one change at a time.
//!
//! What to change is decided by [`disco_planner`], which knows the rules; here is what it needs to know, and the doing.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use disco_identity::INTERMEDIATE_LIFETIME;
use disco_planner::twins::Life;
use disco_planner::voters::{self, Change};
use disco_proto::v1::ReportRequest;

use super::driver::{Controller, Outcome, Schedule};
use crate::cluster::nodes::view::{LAG, planned, policy};
use crate::cluster::nodes::{own, removal, voter_secrets};
use crate::home::VoterSecrets;
use crate::node::{Leader, NodeReport};
use crate::raft::{Member, NodeInfo, Role, remembered};
use crate::records::{self, NodeRecord, Severity};

/// By how much clocks may differ before a retired signing key is forgotten too early.
const SKEW: Duration = Duration::from_secs(30 * 24 * 3600);

/// Brings the membership to what the planner decides, one change at a time.
pub(super) struct Members;

// === impl Members ===

impl Controller for Members {
    const NAME: &'static str = "members";

    fn schedule(&self, leader: &Leader) -> Schedule {
        Schedule { period: leader.raft().pace().report(), on_wake_up: true, on_revision: None, pause: None }
    }

    async fn pass(&mut self, leader: &Leader) -> Result<Outcome> {
        // The leader's own report, beside those of the others.
        leader.reports().record(own::report(leader));
        Ok(if reconcile(leader).await? { Outcome::Changed } else { Outcome::Settled })
    }
}

/// One look and at most one change. True when something was changed.
async fn reconcile(leader: &Leader) -> Result<bool> {
    let members = leader.raft().members();
    Ok(leave_full_disk(leader, &members).await?
        || leave_unhealthy(leader, &members).await?
        || keep_records(leader, &members).await?
        || remember_starts(leader).await?
        || admit(leader, &members).await?
        || follow_addresses(leader, &members).await?
        || hand_out_secrets(leader, &members).await?
        || retire_signing_keys(leader, &members).await?
        || change_voters(leader, &members).await?
        || super::format::raise(leader, &members).await?
        || remove_dead(leader).await?)
}

/// A leader whose disk fills up hands over to a voter that has more room, before it has to refuse writes.
async fn leave_full_disk(leader: &Leader, members: &[Member]) -> Result<bool> {
    let own = leader.raft().room();
    if own.free >= own.needed * 2 {
        return Ok(false);
    }
    let last = leader.raft().last_index();
    let voters = members.iter().filter(|member| member.role == Role::Voter && member.id != leader.id());
    let up_to_date = voters.filter(|member| member.matched.is_some_and(|matched| matched + LAG >= last));
    let roomy = up_to_date.filter_map(|member| {
        let heard = leader.reports().get(member.id)?;
        let fresh = heard.at.elapsed() <= leader.raft().pace().suspect_after();
        (fresh && !heard.report.disk_low && heard.report.disk_free >= own.needed * 4).then_some(heard.report)
    });
    let Some(best) = roomy.max_by_key(|report| report.disk_free) else { return Ok(false) };
    leader.raft().transfer_leadership(Some(best.node_id)).await.context("leaving a disk that fills up")?;
    tracing::warn!(to = best.node_id, free_mib = own.free >> 20, "handed over leadership, as this disk fills up");
    Ok(true)
}

/// A leader that has not been healthy for too long hands over to a voter that is, which then replaces it.
async fn leave_unhealthy(leader: &Leader, members: &[Member]) -> Result<bool> {
    let limit = policy(leader).unhealthy_after;
    let unhealthy = leader.reports().get(leader.id()).and_then(|heard| heard.unhealthy_since);
    if unhealthy.is_none_or(|since| since.elapsed() <= limit) {
        return Ok(false);
    }
    let last = leader.raft().last_index();
    let healthy =
        members.iter().filter(|member| member.role == Role::Voter && member.id != leader.id()).find(|member| {
            let fresh = |heard: &NodeReport| heard.at.elapsed() <= leader.raft().pace().suspect_after();
            let good = |heard: &NodeReport| {
                fresh(heard) && heard.unhealthy_since.is_none() && heard.report.retiring.is_empty()
            };
            member.matched.is_some_and(|matched| matched + LAG >= last)
                && leader.reports().get(member.id).as_ref().is_some_and(good)
        });
    let Some(to) = healthy else { return Ok(false) };
    leader.raft().transfer_leadership(Some(to.id)).await.context("leaving, as this node is not healthy")?;
    tracing::warn!(to = to.id, "handed over leadership, as this node is not healthy");
    Ok(true)
}

/// Every member has a record; the founder's is made here.
async fn keep_records(leader: &Leader, members: &[Member]) -> Result<bool> {
    for member in members {
        if leader.raft().store().read(|store| records::node(store, member.id)).is_some() {
            continue;
        }
        let report = if member.id == leader.id() {
            Some(own::report(leader))
        } else {
            leader.reports().get(member.id).map(|heard| heard.report)
        };
        let Some(report) = report else { continue };
        let record = NodeRecord {
            id: member.id,
            name: member.info.name.clone(),
            address: member.info.address.clone(),
            instance: report.instance,
            extra_addresses: founders(leader, member.id, crate::join::extra_addresses),
            public_address: founders(leader, member.id, |args| {
                args.public_address.map(|address| address.to_string()).unwrap_or_default()
            }),
            version: report.version,
            joined_at: crate::clock::rfc3339(),
            ..NodeRecord::default()
        };
        let key = records::keys::node(member.id);
        let txn = records::Txn::new().expect(&key, 0).put(&key, &record);
        leader.write_in_term(txn.operation()).await?;
        return Ok(true);
    }
    Ok(false)
}

/// What the founder was started with; of others the record comes from their join.
fn founders<T: Default>(leader: &Leader, id: u64, read: impl Fn(&crate::args::DaemonArgs) -> T) -> T {
    if id == leader.id() { read(leader.args()) } else { T::default() }
}

/// The start of each node that is taken for it is remembered: whatever comes of an earlier one is a copy.
async fn remember_starts(leader: &Leader) -> Result<bool> {
    for heard in leader.reports().heard_within(leader.raft().pace().suspect_after()) {
        let report = heard.report;
        let Some(record) = leader.raft().store().read(|store| records::node(store, report.node_id)) else { continue };
        let (life, known) = (Life { number: report.incarnation, run: report.run }, remembered(&record));
        if !report.noted || life.run == 0 || life == known || life.number < known.number {
            continue;
        }
        let record = NodeRecord { incarnation: life.number, run: format!("{:016x}", life.run), ..record };
        let txn = records::Txn::new().put(&records::keys::node(report.node_id), &record);
        leader.write_in_term(txn.operation()).await?;
        return Ok(true);
    }
    Ok(false)
}

/// A node that was admitted and reports becomes a learner.
async fn admit(leader: &Leader, members: &[Member]) -> Result<bool> {
    for heard in leader.reports().heard_within(leader.raft().pace().suspect_after()) {
        let id = heard.report.node_id;
        if members.iter().any(|member| member.id == id) {
            continue;
        }
        let Some(record) = leader.raft().store().read(|store| records::node(store, id)) else {
            // It was removed; its certificate still lets it report.
            continue;
        };
        if record.leaving {
            continue;
        }
        let info = NodeInfo { address: heard.report.address.clone(), name: record.name.clone() };
        leader.raft().add_learner(id, info).await.with_context(|| format!("adding node {id}"))?;
        let text = format!("{} joined at {}", record.name, heard.report.address);
        records::emit_in_term(leader, "node.joined", Severity::Info, Some(id), text).await;
        return Ok(true);
    }
    Ok(false)
}

/// A node that came back under another address proved by its certificate who it is.
async fn follow_addresses(leader: &Leader, members: &[Member]) -> Result<bool> {
    for member in members {
        let address = if member.id == leader.id() {
            leader.address().to_string()
        } else {
            match leader.reports().get(member.id) {
                Some(heard) if heard.at.elapsed() <= leader.raft().pace().suspect_after() => heard.report.address,
                _ => continue,
            }
        };
        if address == member.info.address {
            continue;
        }
        let info = NodeInfo { address: address.clone(), name: member.info.name.clone() };
        leader.raft().set_info(member.id, info).await.with_context(|| format!("moving node {}", member.id))?;
        let key = records::keys::node(member.id);
        if let Some(record) = leader.raft().store().read(|store| records::node(store, member.id)) {
            let record = NodeRecord { address: address.clone(), ..record };
            leader.write_in_term(records::Txn::new().put(&key, &record).operation()).await?;
        }
        let text = format!("{} moved from {} to {address}", member.info.name, member.info.address);
        records::emit_in_term(leader, "node.moved", Severity::Info, Some(member.id), text).await;
        return Ok(true);
    }
    Ok(false)
}

/// A voter without the secrets in use gets them. A failure keeps nobody else from getting theirs.
async fn hand_out_secrets(leader: &Leader, members: &[Member]) -> Result<bool> {
    let Some(secrets) = leader.secrets() else { return Ok(false) };
    let serial = leader.signing_serial();
    let signing = leader.raft().store().read(records::signing);
    if signing.is_some_and(|signing| signing.value.retired.contains(&serial)) {
        // This node missed a replacement; others may hold the key that is accepted.
        return Ok(false);
    }
    let mut handed = false;
    for member in members.iter().filter(|member| member.role == Role::Voter && member.id != leader.id()) {
        let Some(heard) = leader.reports().get(member.id) else { continue };
        let fresh = heard.at.elapsed() < leader.raft().pace().suspect_after();
        if fresh && heard.report.signing_serial != serial {
            match give_secrets(leader, member.id, secrets.clone()).await {
                Ok(()) => handed = true,
                Err(error) => {
                    tracing::warn!(node = member.id, error = format!("{error:#}"), "did not take the signing key")
                }
            }
        }
    }
    Ok(handed)
}

/// A signing key that no member's certificate was made with any more is refused from then on.
async fn retire_signing_keys(leader: &Leader, members: &[Member]) -> Result<bool> {
    let serial = leader.signing_serial();
    if serial.is_empty() {
        return Ok(false);
    }
    let record = leader.raft().store().read(records::signing).map(|record| record.value).unwrap_or_default();
    if record.serial != serial {
        let mut followed = record.clone();
        followed.follow(&serial);
        if followed != record {
            // The founder's, or this leader has another than the one before had.
            records::change_signing(leader, |record| record.follow(&serial)).await?;
            return Ok(true);
        }
    }
    // None was made later than now.
    let now = disco_identity::unix_now();
    let latest = now + (INTERMEDIATE_LIFETIME + SKEW).as_secs();
    let mut kept = record.clone();
    kept.forget(now, latest);
    if kept != record {
        records::change_signing(leader, |record| record.forget(now, latest)).await?;
        return Ok(true);
    }
    let certified = |member: &Member| {
        let signer = if member.id == leader.id() {
            leader.identity().signer_serial()
        } else {
            leader.reports().get(member.id).map(|heard| heard.report.certificate_signer)
        };
        signer.is_some_and(|signer| signer == record.serial)
    };
    if record.retiring.is_empty() || !members.iter().all(certified) {
        return Ok(false);
    }
    records::change_signing(leader, disco_store::typed::SigningRecord::retire).await?;
    records::emit(
        leader,
        "pki.retired",
        Severity::Info,
        None,
        "the signing key before is refused from now on".to_owned(),
    )
    .await;
    Ok(true)
}

async fn change_voters(leader: &Leader, members: &[Member]) -> Result<bool> {
    if leader.raft().is_joint() {
        // openraft does not end what another leader began, and until then two majorities decide together.
        leader.raft().finish_change().await.context("ending a change of the voters")?;
        let voters = |members: &[Member]| {
            let voters = members.iter().filter(|member| member.role == Role::Voter);
            voters.map(|member| member.id).collect::<BTreeSet<u64>>()
        };
        for id in voters(members).difference(&voters(&leader.raft().members())) {
            voter_secrets::take_back(leader, *id).await;
        }
        return Ok(true);
    }
    let Some(change) = voters::next_change(&planned(leader), &policy(leader)) else { return Ok(false) };
    match change {
        Change::Promote(ids) => {
            let _held = super::instances::hold_rights(leader).await;
            for id in &ids {
                prepare_promotion(leader, members, *id).await?;
            }
            leader.raft().promote(&ids).await.with_context(|| format!("promoting {ids:?}"))?;
            for id in ids {
                voter_secrets::tell(leader, "node.promoted", id, "votes now").await;
            }
        }
        Change::Demote(ids) => {
            leader.raft().demote(&ids).await.with_context(|| format!("demoting {ids:?}"))?;
            for id in ids {
                voter_secrets::take_back(leader, id).await;
            }
        }
        Change::Replace { old, new } => {
            let _held = super::instances::hold_rights(leader).await;
            prepare_promotion(leader, members, new).await?;
            leader.raft().replace_voter(old, new).await.with_context(|| format!("replacing voter {old} by {new}"))?;
            voter_secrets::tell(leader, "node.promoted", new, &format!("votes now in place of node {old}")).await;
            voter_secrets::take_back(leader, old).await;
        }
    }
    Ok(true)
}

/// A member that was silent for days is removed.
async fn remove_dead(leader: &Leader) -> Result<bool> {
    let Some(id) = disco_planner::dead::to_remove(&planned(leader), &policy(leader)) else { return Ok(false) };
    voter_secrets::tell(leader, "node.expired", id, "was silent for so long that it does not come back").await;
    removal::remove(leader, id, false).await.with_context(|| format!("removing node {id}"))?;
    Ok(true)
}

/// What a voter needs, since it may lead.
async fn prepare_promotion(leader: &Leader, members: &[Member], id: u64) -> Result<()> {
    if !members.iter().any(|member| member.id == id) {
        bail!("node {id} is not a member");
    }
    let Some(secrets) = leader.secrets() else { bail!("this leader does not have the signing key") };
    give_secrets(leader, id, secrets).await.with_context(|| format!("giving node {id} the signing key"))?;
    super::instances::give_before_promotion(leader, id).await;
    Ok(())
}

/// Gives a node the secrets of voters, and does not give them again before its next report.
async fn give_secrets(leader: &Leader, id: u64, secrets: VoterSecrets) -> Result<()> {
    voter_secrets::hand_over(leader, id, secrets.into()).await?;
    if let Some(heard) = leader.reports().get(id) {
        let signing_serial = leader.signing_serial();
        leader.reports().record(ReportRequest { signing_serial, ..heard.report });
    }
    Ok(())
}
