//! The time of leases: counted by the leader, read and renewed at any node.

use disco_proto::v1::{LeaseTimeRequest, LeaseTimeResponse};

use super::{Error, Executor, Result, leader};
use crate::node::Node;
use crate::peers::Hops;

/// The remaining time of a lease; with `renew`, after its whole time was restored.
///
/// # Errors
/// No leader with a confirmed majority answers in time.
pub async fn time(node: &Node, hops: Hops, message: LeaseTimeRequest) -> Result<LeaseTimeResponse> {
    let limit = node.raft().pace().request_timeout();
    let leader = match leader(node, hops).await? {
        Executor::There(mut client) => return Ok(client.lease_time(message, limit).await?),
        Executor::Here(leader) => leader,
    };
    // A leader that was deposed without noticing must not report that a lease lives, nor one that has not applied all
    // entries yet that a lease does not exist.
    node.raft().read_barrier(limit).await?;
    if leader.has_ended() {
        // Elected again, this node restarts the time of leases, and this renewal would be lost.
        return Err(Error::Unavailable("leader changed; try again".to_owned()));
    }
    Ok(node.raft().store().read(|store| match store.lease(message.id) {
        Some(lease) if !message.renew || leader.lease_times().renew(lease) => {
            let remaining_ms = leader.lease_times().remaining_ms(lease);
            LeaseTimeResponse { found: true, ttl: lease.ttl(), remaining_ms }
        }
        _ => LeaseTimeResponse::default(),
    }))
}
