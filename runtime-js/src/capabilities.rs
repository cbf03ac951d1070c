//! What a call is allowed to do outside the script.

use std::ops::BitOr;

/// A set of capabilities. A call that uses one that it does not have gets an error with code `NOT_ALLOWED`.
///
/// Always available: the console, timers, `env`, and pure computation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities(u32);

impl Capabilities {
    /// No effects outside.
    pub const NONE: Self = Self(0);
    /// Read from the cluster: `healthy`, `nodes`, `leader`, `deployments`, `service`, `events`, and `kv.get`, `list`, `watch`.
    pub const READ: Self = Self(1);
    /// Change the cluster and its machines: `start_instance`, `scale`, `deploy`, `destroy` and the like.
    pub const CLOUD: Self = Self(1 << 1);
    /// `kv.put`, `kv.delete`, `kv.txn`.
    pub const KV_WRITE: Self = Self(1 << 2);
    /// `node.run`, `node.copy`.
    pub const NODES: Self = Self(1 << 3);
    /// `fetch`, `http`, `tcp`.
    pub const NET: Self = Self(1 << 4);
    /// Commands on this machine, `$`.
    pub const PROCESS: Self = Self(1 << 5);
    /// `ask`.
    pub const ASK: Self = Self(1 << 6);
    /// Everything.
    pub const ALL: Self = Self(0x7f);
    /// Not a capability but a restriction: nothing is done that could change something. Commands, and requests other than `GET` and
    /// `HEAD`, are reported to [`Hosts::plan`](crate::Hosts), and the script continues with a placeholder answer. A
    /// [`ClusterHost`](crate::cluster::ClusterHost) and a [`Kv`](crate::kv::Kv) plan their requests themselves.
    pub const PLAN: Self = Self(1 << 7);
    /// For the `health` hook: inspect this node and its surroundings, change nothing in the cluster.
    pub const HEALTH: Self = Self(Self::READ.0 | Self::NET.0 | Self::PROCESS.0);

    /// The bits, for the script side.
    pub(crate) fn bits(self) -> u32 {
        self.0
    }

    /// Whether all of `other` is in this set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Capabilities {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
