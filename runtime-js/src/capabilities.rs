//! What a call may do to the world outside.

use std::ops::BitOr;

/// A set of abilities. A call that uses one it was not given gets an error with code `NOT_ALLOWED`.
///
/// Always there: the console, timers, `env`, and what only computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities(u32);

impl Capabilities {
    /// Nothing that reaches outside.
    pub const NONE: Self = Self(0);
    /// Ask the cluster: `healthy`, `nodes`, `leader`, `deployments`, `service`, `events`, and `kv.get`, `list`, `watch`.
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
    /// Not an ability but its opposite: nothing is done that could change something. Commands, and requests other than `GET` and
    /// `HEAD`, are told to [`Hosts::plan`](crate::Hosts), and the script goes on with an answer that stands in. What a
    /// [`ClusterHost`](crate::cluster::ClusterHost) and a [`Kv`](crate::kv::Kv) are asked they plan themselves.
    pub const PLAN: Self = Self(1 << 7);
    /// For the `health` hook: look at this node and its surroundings, change nothing in the cluster.
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
