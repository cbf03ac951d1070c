//! Wire types: the store's commands, Raft between nodes, and requests of operators and nodes.
//!
//! The `.proto` files under `proto/proto/` are the source; their comments describe each field. All keys, values and
//! payloads are [`bytes::Bytes`], so that a received message is shared, not copied.

pub mod backup;
pub mod codec;
pub mod format;
mod secrets;

/// Package `disco.v1`.
#[expect(
    missing_docs,
    clippy::all,
    clippy::allow_attributes,
    reason = "generated from the .proto files, which hold the documentation"
)]
pub mod v1 {
    tonic::include_proto!("disco.v1");
}

/// Package `etcdserverpb` of etcd's v3 API. Its keys and events (`mvccpb`) are those of [`v1`].
#[expect(
    missing_docs,
    clippy::all,
    clippy::allow_attributes,
    reason = "generated from the .proto files; the names are etcd's, which documents them"
)]
pub mod etcdserverpb {
    tonic::include_proto!("etcdserverpb");
}

/// Package `v3lockpb` of etcd's v3 API.
#[expect(
    missing_docs,
    clippy::allow_attributes,
    reason = "generated from the .proto files; the names are etcd's, which documents them"
)]
pub mod v3lockpb {
    tonic::include_proto!("v3lockpb");
}

/// Package `v3electionpb` of etcd's v3 API.
#[expect(
    missing_docs,
    clippy::allow_attributes,
    reason = "generated from the .proto files; the names are etcd's, which documents them"
)]
pub mod v3electionpb {
    tonic::include_proto!("v3electionpb");
}

/// Package `grpc.health.v1`: gRPC's health checks.
#[expect(
    missing_docs,
    clippy::allow_attributes,
    reason = "generated from the .proto files; the names are gRPC's, which documents them"
)]
pub mod health {
    tonic::include_proto!("grpc.health.v1");
}

/// Descriptors of [`etcdserverpb`], [`v3lockpb`] and [`v3electionpb`], an encoded `google.protobuf.FileDescriptorSet` without comments.
pub const ETCD_DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/etcd.bin"));
