//! The time of leases: counted by the leader, read and renewed at any node.

use std::time::Duration;

use disco_proto::v1::{LeaseTimeRequest, LeaseTimeResponse};

use super::{Error, Executor, Result, leader};
use crate::node::{Leader, Node};
use crate::peers::{Hops, MemberClient};

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
    confirm(node, &leader, limit).await?;
    Ok(node.raft().store().read(|store| match store.lease(message.id) {
        Some(lease) if !message.renew || leader.lease_times().renew(lease) => {
            let remaining_ms = leader.lease_times().remaining_ms(lease);
            LeaseTimeResponse { found: true, ttl: lease.ttl(), remaining_ms }
        }
        _ => LeaseTimeResponse::default(),
    }))
}

/// Restores the whole time of many leases, with one confirmation of the majority. Returns the time to live of each in
/// seconds, 0 for one that does not exist or has expired.
///
/// # Errors
/// No leader with a confirmed majority answers in time.
pub async fn renew(node: &Node, hops: Hops, ids: Vec<i64>) -> Result<Vec<i64>> {
    let limit = node.raft().pace().request_timeout();
    let leader = match leader(node, hops).await? {
        Executor::There(client) => return renew_there(client, ids, limit).await,
        Executor::Here(leader) => leader,
    };
    confirm(node, &leader, limit).await?;
    Ok(node.raft().store().read(|store| {
        let renewed = |id: &i64| store.lease(*id).filter(|lease| leader.lease_times().renew(lease));
        ids.iter().map(|id| renewed(id).map_or(0, disco_store::Lease::ttl)).collect()
    }))
}

async fn renew_there(mut client: MemberClient, ids: Vec<i64>, limit: Duration) -> Result<Vec<i64>> {
    match client.renew_leases(ids.clone(), limit).await {
        // A leader of an earlier version, during an upgrade.
        Err(error) if error.is_unimplemented() => {}
        Err(error) => return Err(error.into()),
        Ok(ttls) if ttls.len() == ids.len() => return Ok(ttls),
        Ok(ttls) => {
            let what = format!("the leader renewed {} leases instead of {}", ttls.len(), ids.len());
            return Err(Error::Unavailable(what));
        }
    }
    let mut ttls = Vec::with_capacity(ids.len());
    for id in ids {
        let time = client.lease_time(LeaseTimeRequest { id, renew: true }, limit).await?;
        ttls.push(if time.found { time.ttl } else { 0 });
    }
    Ok(ttls)
}

/// Confirms that this node still leads. A leader that was deposed without noticing must not report that a lease lives,
/// nor one that has not applied all entries yet that a lease does not exist.
async fn confirm(node: &Node, leader: &Leader, limit: Duration) -> Result<()> {
    node.raft().read_barrier(limit).await?;
    if leader.has_ended() {
        // Elected again, this node restarts the time of leases, and this renewal would be lost.
        return Err(Error::Unavailable("leader changed; try again".to_owned()));
    }
    Ok(())
}
