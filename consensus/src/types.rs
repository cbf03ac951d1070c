//! The types that openraft is set up with.

use std::cmp::Ordering;
use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use disco_proto::v1::CommandResponse;
use openraft::async_runtime::AsyncRuntime;
use openraft::impls::TokioRuntime;
use openraft::vote::RaftLeaderId;
use openraft::{EntryPayload, OptionalSend, RaftTypeConfig};
use serde::{Deserialize, Serialize};

/// A command of the replicated log in its encoded form ([`disco_proto::v1::Command`]): it is decoded once, when it is applied.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request(#[serde(with = "serde_bytes_form")] pub Bytes);

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} bytes)", self.0.len())
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// The response to a command; `None` for entries that are not commands (membership, blank).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response(pub Option<CommandResponse>);

impl Serialize for Response {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes = self.0.as_ref().map(prost::Message::encode_to_vec);
        bytes.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Response {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = Option::<Vec<u8>>::deserialize(deserializer)?;
        let response = bytes.map(|bytes| prost::Message::decode(bytes.as_slice())).transpose();
        response.map(Response).map_err(serde::de::Error::custom)
    }
}

/// The membership's data of a node besides its id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// `IP:PORT` at which the other nodes reach it.
    pub address: String,
    /// The node's name, for operators.
    pub name: String,
}

/// The types that openraft works with here, on the runtime `R`: it spawns tasks, and draws the random times of elections.
///
/// The other types do not depend on the runtime.
pub struct TypeConfig<R = TokioRuntime>(PhantomData<fn() -> R>);

type LeaderId = openraft::impls::leader_id_adv::LeaderId<u64, u64>;
type Payload = EntryPayload<Request, u64, NodeInfo>;
/// An entry of the log.
pub type Entry = openraft::Entry<<LeaderId as RaftLeaderId>::Committed, Payload>;
/// An entry's index, and the leader that made it.
pub type LogId = openraft::LogId<<LeaderId as RaftLeaderId>::Committed>;
/// A node's vote.
pub type Vote = openraft::impls::Vote<LeaderId>;
/// A membership, and the entry that made it.
pub type StoredMembership = openraft::StoredMembership<<LeaderId as RaftLeaderId>::Committed, u64, NodeInfo>;
/// openraft's description of a snapshot.
pub type SnapshotMeta = openraft::SnapshotMeta<<LeaderId as RaftLeaderId>::Committed, u64, NodeInfo>;
/// A snapshot, with the data `D` that it is described with.
pub type Snapshot<D> = openraft::Snapshot<<LeaderId as RaftLeaderId>::Committed, u64, NodeInfo, D>;

impl<R: AsyncRuntime> RaftTypeConfig for TypeConfig<R> {
    type D = Request;
    type R = Response;
    type NodeId = u64;
    type Node = NodeInfo;
    type Term = u64;
    type LeaderId = LeaderId;
    type Vote = Vote;
    type Payload = Payload;
    type Entry = Entry;
    type AsyncRuntime = R;
    type Responder<T>
        = openraft::impls::ProgressResponder<Self, T>
    where
        T: OptionalSend + 'static;
    type Batch<T>
        = openraft::impls::InlineBatch<T>
    where
        T: OptionalSend + 'static;
    type ErrorSource = openraft::impls::BoxedErrorSource;
}

// Not derived, which would require the same of the runtime: a `TypeConfig` has no content.

impl<R> fmt::Debug for TypeConfig<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TypeConfig")
    }
}

impl<R> Default for TypeConfig<R> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<R> Clone for TypeConfig<R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for TypeConfig<R> {}

impl<R> PartialEq for TypeConfig<R> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<R> Eq for TypeConfig<R> {}

impl<R> PartialOrd for TypeConfig<R> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<R> Ord for TypeConfig<R> {
    fn cmp(&self, _: &Self) -> Ordering {
        Ordering::Equal
    }
}

/// [`Bytes`] as one byte string, not as a list of numbers.
mod serde_bytes_form {
    use bytes::Bytes;
    use serde::{Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Bytes;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E: de::Error>(self, v: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes::copy_from_slice(v))
            }

            fn visit_byte_buf<E: de::Error>(self, v: Vec<u8>) -> Result<Bytes, E> {
                Ok(Bytes::from(v))
            }
        }
        deserializer.deserialize_byte_buf(Visitor)
    }
}
