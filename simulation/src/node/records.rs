//! What the leader writes for itself, in its term alone, and how a command of that kind names who proposed it.

use disco_proto::v1::{Command, PutRequest, command::Operation};

/// Below it are the leader's own records.
const PREFIX: &[u8] = b"/disco/leader/";

/// A note of the leader: the command's value is who proposed it, and in which term.
pub fn note(name: &str, node: u64, term: u64) -> Operation {
    let key = [PREFIX, name.as_bytes()].concat();
    Operation::Put(PutRequest { key: key.into(), value: format!("{node} {term}").into(), ..PutRequest::default() })
}

/// Who proposed the command, where it is such a note.
pub fn proposer(command: &Command) -> Option<u64> {
    let Some(Operation::Put(put)) = &command.operation else { return None };
    if !put.key.starts_with(PREFIX) {
        return None;
    }
    std::str::from_utf8(&put.value).ok()?.split(' ').next()?.parse().ok()
}
