//! The time of leases: counted by the leader, asked for and renewed at any node.

use disco_proto::v1::{LeaseTimeRequest, LeaseTimeResponse};

use super::{Error, Executor, Result, leader};
use crate::node::Node;
use crate::peers::Hops;

/// What a lease has left; with `renew`, after it was given its whole time again.
///
/// # Errors
/// No leader that is sure of its majority answers in time.
pub async fn time(node: &Node, hops: Hops, message: LeaseTimeRequest) -> Result<LeaseTimeResponse> {
    let limit = node.raft().pace().request_timeout();
    let leader = match leader(node, hops).await? {
        Executor::There(mut client) => return Ok(client.lease_time(message, limit).await?),
        Executor::Here(leader) => leader,
    };
    // A leader that was deposed without noticing must not say that a lease lives, nor one that has not applied all yet that
    // there is none.
    node.raft().read_barrier(limit).await?;
    if leader.has_ended() {
        // Elected again, this node counts the time anew, and would know nothing of what is renewed here.
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
