//! How fast the cluster notices that its leader is gone.
//!
//! Burstable cloud instances stall for hundreds of milliseconds when their credits are used up, so the default is slow
//! enough not to mistake a stall for a death (Consul arrived at 5 s after measuring t2.micro). One name sets all
//! intervals.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A multiplier for all timeouts between nodes: the value of `discod --raft-pace`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pace {
    /// For nodes on one machine or one quiet network.
    Fast,
    /// For small cloud machines.
    #[default]
    Default,
    /// For overloaded machines and links across continents.
    Slow,
}

/// A text that is no pace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownPace(String);

// === impl Pace ===

impl Pace {
    /// All, the fastest first.
    pub const ALL: [Self; 3] = [Self::Fast, Self::Default, Self::Slow];

    /// The value for `discod --raft-pace`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Default => "default",
            Self::Slow => "slow",
        }
    }

    /// Interval of the leader's heartbeats. The leader's openraft checks its clocks five times as often, idle or
    /// not, so this determines the cost of an idle leader.
    #[must_use]
    pub fn heartbeat(self) -> Duration {
        Duration::from_millis(match self {
            Self::Fast => 200,
            Self::Default => 500,
            Self::Slow => 1500,
        })
    }

    /// A follower that received nothing for a random time between this and twice as much, beyond the leader's lease of
    /// twice as much, stands for election: the next write is accepted within slightly more than five times this. At
    /// least three heartbeats are lost before that.
    #[must_use]
    pub fn election_timeout(self) -> Duration {
        Duration::from_millis(match self {
            Self::Fast => 250,
            Self::Default => 1200,
            Self::Slow => 4500,
        })
    }

    /// How long after a leader's last message openraft lets no other node stand for election.
    #[must_use]
    pub fn lease(self) -> Duration {
        self.election_timeout() * 2
    }

    /// Interval of a node's reports to the leader.
    #[must_use]
    pub fn report(self) -> Duration {
        Duration::from_millis(match self {
            Self::Fast => 500,
            Self::Default => 1000,
            Self::Slow => 3000,
        })
    }

    /// A node without a sign of life for this long is shown as unhealthy.
    #[must_use]
    pub fn suspect_after(self) -> Duration {
        self.report() * 4
    }

    /// A leader that has missed three reports of too many voters checks whether they can reach it.
    #[must_use]
    pub fn unheard_after(self) -> Duration {
        self.report() * 3
    }

    /// Time limit of one node for opening a connection to another, to check whether it can.
    #[must_use]
    pub fn reach_within(self) -> Duration {
        self.report() * 2
    }

    /// A voter without a sign of life for this long is replaced by a learner, if one exists.
    #[must_use]
    pub fn dead_after(self) -> Duration {
        self.report() * 20
    }

    /// How long a request to Raft may take before its outcome counts as unknown.
    #[must_use]
    pub fn request_timeout(self) -> Duration {
        self.election_timeout() * 4 + Duration::from_secs(2)
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Pace {
    type Err = UnknownPace;

    fn from_str(text: &str) -> Result<Self, UnknownPace> {
        Self::ALL.into_iter().find(|pace| pace.as_str() == text).ok_or_else(|| UnknownPace(text.to_owned()))
    }
}

// === impl UnknownPace ===

impl fmt::Display for UnknownPace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown pace `{}`: expected fast, default or slow", self.0)
    }
}

impl std::error::Error for UnknownPace {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_is_read_as_it_is_written() {
        for pace in Pace::ALL {
            assert_eq!(pace.to_string().parse(), Ok(pace));
        }
        assert_eq!(
            "Fast".parse::<Pace>().unwrap_err().to_string(),
            "unknown pace `Fast`: expected fast, default or slow"
        );
    }
}
