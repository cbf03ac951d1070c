//! Raft's messages between nodes: openraft's values, sent as a start of a node.

use std::io;

use disco_consensus::codec;
use disco_planner::twins::{Life, Start};
use disco_proto::v1::RaftMessage;
use serde::Serialize;

/// The start of the node that sent the message.
pub(super) fn life_of(message: &RaftMessage) -> Life {
    Life { number: message.incarnation, run: message.run }
}

/// A message with an encoded payload, sent as this start of a node.
pub(super) fn message<T: Serialize>(from: u64, own: &Start, to: u64, value: &T) -> io::Result<RaftMessage> {
    let (payload, earlier) = (codec::encode(value)?.into(), own.earlier.clone());
    Ok(RaftMessage { from, to, payload, incarnation: own.life.number, run: own.life.run, earlier })
}
