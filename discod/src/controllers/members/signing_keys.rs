//! Retires signing keys.

use std::time::Duration;

use anyhow::Result;
use disco_identity::INTERMEDIATE_LIFETIME;

use crate::node::Leader;
use crate::raft::Member;
use crate::records::{self, Severity};

/// Maximum difference of clocks with which a retired signing key is not forgotten too early.
const SKEW: Duration = Duration::from_secs(30 * 24 * 3600);

/// Has all nodes refuse a signing key once no member's certificate was signed with it.
pub(super) async fn retire(leader: &Leader, members: &[Member]) -> Result<bool> {
    let serial = leader.signing_serial();
    if serial.is_empty() {
        return Ok(false);
    }
    let record = leader.raft().store().read(records::signing).map(|record| record.value).unwrap_or_default();
    if record.serial != serial {
        let mut followed = record.clone();
        followed.follow(&serial);
        if followed != record {
            // The founder's key, or this leader has another key than its predecessor.
            records::change_signing(leader, |record| record.follow(&serial)).await?;
            return Ok(true);
        }
    }
    // No key was made later than now.
    let now = disco_identity::unix_now();
    let latest = now + (INTERMEDIATE_LIFETIME + SKEW).as_secs();
    let mut retained = record.clone();
    retained.forget(now, latest);
    if retained != record {
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
        "all nodes refuse the previous signing key from now on".to_owned(),
    )
    .await;
    Ok(true)
}
