//! Revokes leases that have expired.
//!
//! The state machine has no clock: the leader measures with its own monotonic one and proposes the revocation. A new
//! leader grants every lease its full time again, as etcd does: a lease may live longer than requested, never shorter.

use std::time::Duration;

use anyhow::{Context, Result};
use disco_proto::v1::LeaseRevokeRequest;
use disco_proto::v1::command::Operation;

use super::driver::{Controller, Outcome, Schedule};
use crate::node::Leader;

/// How late a lease may end.
const PERIOD: Duration = Duration::from_millis(500);
/// Leases that one pass revokes, so that thousands that expire together do not delay everything else.
const AT_ONCE: usize = 64;

/// Revokes leases that have expired.
pub(super) struct Leases;

// === impl Leases ===

impl Controller for Leases {
    const NAME: &'static str = "leases";

    fn schedule(&self, _: &Leader) -> Schedule {
        Schedule { period: PERIOD, on_wake_up: false, on_revision: None, pause: None }
    }

    async fn pass(&mut self, leader: &Leader) -> Result<Outcome> {
        let expired = leader.raft().store().read(|store| leader.lease_times().due(store, AT_ONCE));
        let more = expired.len() == AT_ONCE;
        let revoke = expired.into_iter().map(|id| async move {
            let revoke = Operation::LeaseRevoke(LeaseRevokeRequest { id });
            leader.write_in_term(revoke).await.with_context(|| format!("revoking lease {id}, which has expired"))
        });
        // A failure of one does not prevent the others.
        for revoked in futures_util::future::join_all(revoke).await {
            revoked?;
        }
        Ok(if more { Outcome::Changed } else { Outcome::Settled })
    }
}
