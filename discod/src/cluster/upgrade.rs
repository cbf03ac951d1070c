//! The right to upgrade the cluster: one operator at a time.
//!
//! The claim is a record with a lease. Its holder renews it, and checks before every step that it still holds it; a
//! client that has died loses it by itself, a stuck client when another one takes it over.

use disco_proto::v1::command::Operation;
use disco_proto::v1::upgrade_step::Kind;
use disco_proto::v1::{
    ClaimUpgradeRequest, ClaimUpgradeResponse, LeaseGrantRequest, LeaseRevokeRequest, LeaseTimeRequest, UpgradeStep,
};

use super::{Error, Result, leases};
use crate::node::{Leader, WriteError};
use crate::peers::Hops;
use crate::records::{self, Severity, UpgradeRecord, Versioned};

/// Seconds that a claim remains valid without renewal. Clients renew it several times in that time; without a leader
/// the time does not pass.
const CLAIM_TTL: i64 = 15;
/// Attempts while other clients claim it too.
const CONFLICTS: usize = 16;
/// Longest text of a claim.
const MAX_TEXT: usize = 256;

/// Whether a claim is valid.
///
/// # Errors
/// It names no holder, or a text is too long.
pub fn check(message: &ClaimUpgradeRequest) -> Result<()> {
    if message.holder.is_empty() || [&message.holder, &message.by, &message.binary].iter().any(|t| t.len() > MAX_TEXT) {
        return Err(Error::Invalid(format!("a claim must name its holder with 1 to {MAX_TEXT} bytes")));
    }
    Ok(())
}

/// Takes, renews or releases the right to upgrade. Only on the leader.
///
/// # Errors
/// A write failed, or this node cannot confirm that it leads. That another operator holds the right is an answer, not
/// an error.
pub async fn claim(leader: &Leader, message: &ClaimUpgradeRequest) -> Result<ClaimUpgradeResponse> {
    if let Some(step) = &message.step {
        report(leader, message, step).await?;
    }
    for _ in 0..CONFLICTS {
        if let Some(answer) = try_claim(leader, message).await? {
            return Ok(answer);
        }
    }
    Err(Error::Conflict("other clients request the right to upgrade at the same time; try again".to_owned()))
}

/// Makes an event of a step of the upgrade's holder, once.
async fn report(leader: &Leader, message: &ClaimUpgradeRequest, step: &UpgradeStep) -> Result<()> {
    leader.raft().linearizable().await?;
    let key = records::keys::UPGRADE;
    let Some(now) = leader.raft().store().read(|store| records::get::<UpgradeRecord>(store, key)) else {
        return Ok(());
    };
    if now.value.holder != message.holder || now.value.step >= step.number {
        return Ok(());
    }
    let Some((kind, severity, text)) = words(leader, message, step) else { return Ok(()) };
    let record = UpgradeRecord { step: step.number, ..now.value };
    let txn = records::Txn::new().expect(key, now.revision).put_leased(key, &record, record.lease);
    if records::succeeded(&leader.write_in_term(txn.operation()).await?) {
        let node = Some(step.node_id).filter(|id| *id != 0);
        records::emit_in_term(leader, kind, severity, node, text).await;
    }
    Ok(())
}

/// The event of a step; `None` for a step that this version does not know.
fn words(
    leader: &Leader,
    message: &ClaimUpgradeRequest,
    step: &UpgradeStep,
) -> Option<(&'static str, Severity, String)> {
    let binary = message.binary.get(..12).unwrap_or(&message.binary);
    let node = || records::node_name(leader, step.node_id);
    let why = match step.reason.as_str() {
        "" => String::new(),
        reason => format!(": {}", &reason[..reason.floor_char_boundary(MAX_TEXT)]),
    };
    Some(match step.kind() {
        Kind::Unspecified => return None,
        Kind::Started => {
            let text = format!("`{}` upgrades the nodes to discod {binary}", message.by);
            ("upgrade.started", Severity::Info, text)
        }
        Kind::Replaced => ("upgrade.node", Severity::Info, format!("{} runs discod {binary}", node())),
        Kind::Returned => ("upgrade.node", Severity::Warning, format!("{} runs the previous discod again", node())),
        Kind::Finished => ("upgrade.finished", Severity::Info, format!("all nodes run discod {binary}")),
        Kind::Failed => ("upgrade.failed", Severity::Error, format!("the upgrade to discod {binary} failed{why}")),
        Kind::RolledBack => {
            let text = format!("the upgrade to discod {binary} was rolled back{why}");
            ("upgrade.rolled_back", Severity::Error, text)
        }
    })
}

/// `None` if another client changed the claim meanwhile.
async fn try_claim(leader: &Leader, message: &ClaimUpgradeRequest) -> Result<Option<ClaimUpgradeResponse>> {
    leader.raft().linearizable().await?;
    let now = leader.raft().store().read(|store| records::get::<UpgradeRecord>(store, records::keys::UPGRADE));
    let own = now.as_ref().is_some_and(|now| now.value.holder == message.holder);
    if message.release {
        if let Some(now) = now.filter(|_| own) {
            revoke(leader, now.value.lease).await?;
        }
        return Ok(Some(ClaimUpgradeResponse { granted: true, ..ClaimUpgradeResponse::default() }));
    }
    match now {
        Some(now) if !own && !message.take_over => {
            let remaining_ms = remaining(leader, now.value.lease, false).await?;
            Ok(Some(answer(now.value, false, remaining_ms.unwrap_or(0))))
        }
        Some(now) if own && now.value.binary == message.binary => {
            match remaining(leader, now.value.lease, true).await? {
                Some(remaining_ms) => Ok(Some(answer(now.value, true, remaining_ms))),
                // The lease has ended, and its keys are about to be deleted.
                None => take(leader, message, Some(now)).await,
            }
        }
        now => take(leader, message, now).await,
    }
}

/// Writes a new claim in the place of the existing one.
async fn take(
    leader: &Leader,
    message: &ClaimUpgradeRequest,
    before: Option<Versioned<UpgradeRecord>>,
) -> Result<Option<ClaimUpgradeResponse>> {
    let lease = rand::random_range(1..=i64::MAX);
    let grant = Operation::LeaseGrant(LeaseGrantRequest { id: lease, ttl: CLAIM_TTL });
    leader.write_in_term(grant).await?;
    let record = UpgradeRecord {
        holder: message.holder.clone(),
        by: message.by.clone(),
        since: crate::clock::rfc3339(),
        binary: message.binary.clone(),
        lease,
        // The same operator's next attempt goes on counting.
        step: before
            .as_ref()
            .filter(|before| before.value.holder == message.holder)
            .map_or(0, |before| before.value.step),
    };
    let key = records::keys::UPGRADE;
    let txn = records::Txn::new().expect(key, before.as_ref().map_or(0, |before| before.revision));
    let written = leader.write_in_term(txn.put_leased(key, &record, lease).operation()).await;
    if !records::succeeded(&written?) {
        revoke(leader, lease).await?;
        return Ok(None);
    }
    if let Some(before) = before {
        if before.value.holder != record.holder {
            let what = format!("`{}` took the upgrade over from `{}`", record.by, before.value.by);
            let kind = "upgrade.taken_over";
            records::emit_in_term(leader, kind, Severity::Warning, None, what).await;
        }
        revoke(leader, before.value.lease).await?;
    }
    Ok(Some(answer(record, true, u64::try_from(CLAIM_TTL).unwrap_or_default() * 1_000)))
}

fn answer(record: UpgradeRecord, granted: bool, remaining_ms: u64) -> ClaimUpgradeResponse {
    let UpgradeRecord { by, since, binary, .. } = record;
    ClaimUpgradeResponse { granted, by, since, binary, remaining_ms }
}

/// The remaining time of a lease; `None` if it has ended.
async fn remaining(leader: &Leader, id: i64, renew: bool) -> Result<Option<u64>> {
    let time = leases::time(leader, Hops::default(), LeaseTimeRequest { id, renew }).await?;
    Ok(time.found.then_some(time.remaining_ms))
}

/// Ends a lease, and its keys. A lease that has already ended is not an error.
async fn revoke(leader: &Leader, id: i64) -> Result<()> {
    match leader.write_in_term(Operation::LeaseRevoke(LeaseRevokeRequest { id })).await {
        Ok(_) | Err(WriteError::Refused(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
