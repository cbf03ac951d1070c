//! Ends leases whose time is over.
//!
//! The state machine has no clock: the leader measures with its own monotonic one and proposes the revocation. A new
//! leader gives every lease its whole time again, as etcd does: a lease may live longer than asked for, never shorter.

use std::time::Duration;

use disco_proto::v1::LeaseRevokeRequest;
use disco_proto::v1::command::Operation;

use crate::node::Leader;

/// How late a lease may end.
const INTERVAL: Duration = Duration::from_millis(500);
/// Leases that are ended at once, so that thousands that end together do not stop all else.
const AT_ONCE: usize = 64;

pub(super) async fn run(leader: &Leader) {
    let mut ticks = tokio::time::interval(INTERVAL);
    loop {
        ticks.tick().await;
        let over = leader.raft().store().read(|store| leader.lease_times().due(store, AT_ONCE));
        let revoke = over.into_iter().map(|id| async move {
            let operation = Operation::LeaseRevoke(LeaseRevokeRequest { id });
            if let Err(error) = leader.write_in_term(operation).await {
                tracing::warn!(lease = id, %error, "a lease whose time is over was not revoked");
            }
        });
        futures_util::future::join_all(revoke).await;
    }
}
