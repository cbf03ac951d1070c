//! The records of a snapshot. Numbers are append-only: every later version reads them.

use bytes::Bytes;

/// One record.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Record {
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4, 5, 6, 7")]
    pub(super) kind: Option<Kind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Kind {
    #[prost(message, tag = "1")]
    Header(Header),
    #[prost(message, tag = "2")]
    Lease(Lease),
    #[prost(message, tag = "3")]
    Key(Key),
    #[prost(message, tag = "4")]
    Version(Version),
    #[prost(message, tag = "5")]
    Change(Change),
    #[prost(message, tag = "6")]
    Answer(Answer),
    #[prost(message, tag = "7")]
    End(End),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Header {
    #[prost(uint32, tag = "1")]
    pub(super) format_version: u32,
    #[prost(int64, tag = "2")]
    pub(super) revision: i64,
    #[prost(int64, tag = "3")]
    pub(super) compact_revision: i64,
    /// Whether the alarm is raised.
    #[prost(bool, tag = "4")]
    pub(super) full: bool,
}

/// A lease's keys are those whose newest version names it.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Lease {
    #[prost(int64, tag = "1")]
    pub(super) id: i64,
    #[prost(int64, tag = "2")]
    pub(super) ttl: i64,
    #[prost(int64, tag = "3")]
    pub(super) granted_at_ms: i64,
}

/// The following versions belong to this key.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Key {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) key: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Version {
    #[prost(int64, tag = "1")]
    pub(super) mod_revision: i64,
    #[prost(int64, tag = "2")]
    pub(super) create_revision: i64,
    #[prost(int64, tag = "3")]
    pub(super) version: i64,
    #[prost(int64, tag = "4")]
    pub(super) lease: i64,
    /// Absent for a deletion.
    #[prost(bytes = "bytes", optional, tag = "5")]
    pub(super) value: Option<Bytes>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Change {
    /// 0: the revision of the previous change.
    #[prost(int64, tag = "1")]
    pub(super) revision: i64,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) key: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Answer {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) request_id: Bytes,
    /// An encoded `CommandResponse`.
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) response: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct End {
    /// Number of records before this one.
    #[prost(uint64, tag = "1")]
    pub(super) records: u64,
}
