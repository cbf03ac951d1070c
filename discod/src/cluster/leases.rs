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
    let term = match leader(node, hops).await? {
        Executor::There(mut client) => return Ok(client.lease_time(message, limit).await?),
        Executor::Here(term) => term,
    };
    // A leader that was deposed without noticing must not say that a lease lives, nor one that has not applied all yet that
    // there is none.
    node.raft().read_barrier(limit).await?;
    let answer = node.raft().store().read(|store| {
        let Some(lease) = store.lease(message.id) else { return Some(LeaseTimeResponse::default()) };
        if message.renew && !node.lessor().renew(term, lease)? {
            return Some(LeaseTimeResponse::default());
        }
        let remaining_ms = node.lessor().remaining_ms(term, lease)?;
        Some(LeaseTimeResponse { found: true, ttl: lease.ttl(), remaining_ms })
    });
    answer.ok_or_else(|| Error::Unavailable("leadership has just changed; try again".to_owned()))
}
