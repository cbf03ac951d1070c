//! What a provider can do, and what it suggests.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What can be asked of a provider; asking for anything else is [`crate::ProviderError::NotSupported`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// New machines can be had.
    pub can_start: bool,
    /// A machine can be stopped and started again with its disk and its address.
    pub can_stop: bool,
    /// A machine that is given back ceases to exist with all that is on it. Where this is false, `terminate` only gives
    /// the machine back, and what was installed on it has to be removed over SSH before that.
    pub can_terminate: bool,
    /// A public address that follows the leader can be attached.
    pub can_attach_address: bool,
    /// Machines have rights of their own at the provider, which only voters shall have.
    pub has_roles: bool,
    /// A new machine boots for a while, in which it does not answer SSH, or refuses keys that it will take later.
    pub boots: bool,
    /// How fast the cluster's consensus can run on such machines, unless the operator says otherwise.
    pub pace: Pace,
}

/// How fast the cluster's consensus runs: the value of `discod --raft-pace`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pace {
    /// Short time limits, for machines that are near and not throttled.
    Fast,
    /// For small cloud machines.
    #[default]
    Default,
    /// For links or machines that stall.
    Slow,
}

impl Pace {
    /// The word that `discod --raft-pace` takes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Default => "default",
            Self::Slow => "slow",
        }
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
