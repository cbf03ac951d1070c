//! Ends leases whose time is over.
//!
//! The state machine has no clock: the leader measures with its own monotonic one and proposes the revocation. A new
//! leader gives every lease its whole time again, as etcd does: a lease may live longer than asked for, never shorter.

use std::collections::HashMap;
use std::time::Duration;

use disco_proto::v1::LeaseRevokeRequest;
use disco_proto::v1::command::Operation;
use tokio::time::Instant;

use crate::node::Node;

/// How late a lease may end.
const INTERVAL: Duration = Duration::from_millis(500);

pub(super) async fn run(node: &Node, term: u64) {
    let mut deadlines: HashMap<i64, Instant> = HashMap::new();
    let mut ticks = tokio::time::interval(INTERVAL);
    loop {
        ticks.tick().await;
        let now = Instant::now();
        let leases: HashMap<i64, i64> =
            node.raft().store().read(|store| store.leases().map(|lease| (lease.id(), lease.ttl())).collect());
        deadlines.retain(|id, _| leases.contains_key(id));
        for (id, ttl) in &leases {
            deadlines.entry(*id).or_insert_with(|| now + Duration::from_secs(u64::try_from(*ttl).unwrap_or(0)));
        }
        let over: Vec<i64> = deadlines.iter().filter(|(_, deadline)| **deadline <= now).map(|(id, _)| *id).collect();
        for id in over {
            match node.write_in_term(term, Operation::LeaseRevoke(LeaseRevokeRequest { id })).await {
                Ok(_) => {
                    deadlines.remove(&id);
                }
                Err(error) => tracing::warn!(lease = id, %error, "a lease whose time is over was not revoked"),
            }
        }
    }
}
