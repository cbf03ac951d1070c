//! Whether the leader accepts writes while disks are full.
//!
//! The leader refuses before anything enters the log, and names the node and the remedy in the error. It also refuses
//! writes while so many other voters have a full disk that an entry could not become durable on a majority. Reads
//! continue, and so do deletes and the cluster's own writes, for which every node keeps a reserve (see
//! `raft/space.rs`).

use disco_proto::v1::command::Operation;
use disco_proto::v1::request_op::Request as Op;
use disco_proto::v1::{Command, TxnRequest};
use disco_store::SYSTEM_PREFIX;

use super::Node;
use crate::raft::Role;

/// Whether the command may enlarge the store of clients' keys.
#[must_use]
pub fn is_needed_by(command: &Command) -> bool {
    match &command.operation {
        Some(Operation::Put(put)) => is_clients(&put.key),
        Some(Operation::Txn(txn)) => txn_needs_space(txn),
        Some(Operation::LeaseGrant(_)) => true,
        _ => false,
    }
}

fn txn_needs_space(txn: &TxnRequest) -> bool {
    txn.success.iter().chain(&txn.failure).any(|op| match &op.request {
        Some(Op::Put(put)) => is_clients(&put.key),
        Some(Op::Txn(txn)) => txn_needs_space(txn),
        Some(Op::Range(_) | Op::DeleteRange(_)) | None => false,
    })
}

fn is_clients(key: &[u8]) -> bool {
    !key.starts_with(SYSTEM_PREFIX)
}

/// Why this leader refuses writes now, if it does.
#[must_use]
pub fn refusal(node: &Node) -> Option<String> {
    let room = node.raft().room();
    if room.low || room.exhausted {
        return Some(sentence(node.name(), room.free, room.needed));
    }
    let mut full = node.leader()?.reports().without_room(node.raft().pace().suspect_after());
    if full.is_empty() {
        // The common case, checked by every write.
        return None;
    }
    let members = node.raft().members();
    let voters: Vec<u64> = members.iter().filter(|member| member.role == Role::Voter).map(|member| member.id).collect();
    full.retain(|report| report.node_id != node.id() && voters.contains(&report.node_id));
    full.sort_by_key(|report| report.node_id);
    let first = full.first()?;
    // The remaining voters must be a majority.
    if (voters.len() - full.len()) * 2 > voters.len() {
        return None;
    }
    Some(sentence(&node.name_of(first.node_id), first.disk_free, room.needed))
}

fn sentence(name: &str, free: u64, needed: u64) -> String {
    format!(
        "the disk of {name} is full, so the leader refuses writes: {} MiB free, {} MiB needed\nhint: free space there; reads \
         and deletes still work, and writes resume by themselves",
        free >> 20,
        needed >> 20
    )
}

#[cfg(test)]
mod tests {
    use disco_proto::v1::{DeleteRangeRequest, LeaseGrantRequest, PutRequest, RequestOp};

    use super::*;

    fn put(key: &str) -> PutRequest {
        PutRequest { key: key.to_owned().into(), ..PutRequest::default() }
    }

    fn command(operation: Operation) -> Command {
        Command { operation: Some(operation), ..Command::default() }
    }

    #[test]
    fn deletes_and_the_clusters_own_writes_are_accepted() {
        let txn = |op| TxnRequest { failure: vec![RequestOp { request: Some(op) }], ..TxnRequest::default() };
        let delete = DeleteRangeRequest { key: "a".into(), ..DeleteRangeRequest::default() };
        for (operation, needs) in [
            (Operation::Put(put("a")), true),
            (Operation::Put(put("/disco/nodes/1")), false),
            (Operation::DeleteRange(delete.clone()), false),
            (Operation::LeaseGrant(LeaseGrantRequest { id: 1, ttl: 1 }), true),
            (Operation::Txn(txn(Op::Put(put("a")))), true),
            (Operation::Txn(txn(Op::Txn(txn(Op::Put(put("a")))))), true),
            (Operation::Txn(txn(Op::Put(put("/disco/events/1")))), false),
            (Operation::Txn(txn(Op::DeleteRange(delete))), false),
        ] {
            assert_eq!(is_needed_by(&command(operation.clone())), needs, "{operation:?}");
        }
    }
}
