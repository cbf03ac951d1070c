//! `AwsProvider`, `LocalProvider`, `HostsProvider`, `Cluster`, `Service`, `Node`.

mod health;
mod interface;
pub(crate) mod ops;
mod path;
mod types;

pub use health::HealthVerdict;
pub use interface::{ClusterHandle, ClusterHost};
pub use types::{
    ClusterSpec, CommandOutput, CopyRequest, KeyPairPaths, MachineInfo, NodeInfo, ProviderInfo, ProviderKind,
    ProviderSpec, RepairOptions, RunRequest, ServiceChange, ServiceName,
};
