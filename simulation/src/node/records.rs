//! The leader's own writes, valid only in its term, and how such a command names its proposer.

use disco_proto::v1::{Command, PutRequest, command::Operation};
use disco_store::typed::{NodeRecord, Txn, keys};

/// The prefix of the leader's own records.
const PREFIX: &[u8] = b"/disco/leader/";

/// A note of the leader: the command's value is its proposer and the term.
pub fn note(name: &str, node: u64, term: u64) -> Operation {
    let key = [PREFIX, name.as_bytes()].concat();
    Operation::Put(PutRequest { key: key.into(), value: format!("{node} {term}").into(), ..PutRequest::default() })
}

/// What the cluster records about a node.
pub fn node(record: &NodeRecord) -> Operation {
    Txn::new().put(&keys::node(record.id), record).operation()
}

/// The proposer of the command, if it is such a note.
pub fn proposer(command: &Command) -> Option<u64> {
    let Some(Operation::Put(put)) = &command.operation else { return None };
    if !put.key.starts_with(PREFIX) {
        return None;
    }
    std::str::from_utf8(&put.value).ok()?.split(' ').next()?.parse().ok()
}
