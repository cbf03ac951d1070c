//! A member as the input of decisions.

use std::time::Duration;

/// A member of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Id.
    pub id: u64,
    /// Whether it counts for the quorum.
    pub voter: bool,
    /// Whether it leads.
    pub leader: bool,
    /// Time since its last sign of life, or since this leader began to listen.
    pub silent_for: Duration,
    /// Whether it has (nearly) all of the log.
    pub up_to_date: bool,
    /// Whether it is about to stop.
    pub draining: bool,
    /// Whether its machine will be taken away.
    pub retiring: bool,
    /// Time since it reports itself as unhealthy; zero while it is healthy.
    pub unhealthy_for: Duration,
    /// Whether it must not be replaced, as the script has decided, or is still deciding.
    pub spared: bool,
}

/// Limits of the decisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Maximum number of voters: 1, 3, 5 or 7; an even number means one less. More make every write slower (HashiCorp
    /// and Docker both advise at most 7).
    pub max_voters: usize,
    /// A member that was silent for longer does not count as alive.
    pub suspect_after: Duration,
    /// A leader without a report of a member for longer may be unreachable for that member.
    pub unheard_after: Duration,
    /// A member that was silent for longer is dead.
    pub dead_after: Duration,
    /// A member that was unhealthy for longer is replaced.
    pub unhealthy_after: Duration,
    /// A member that was silent for longer does not return: it is removed.
    pub remove_after: Duration,
    /// Maximum number of members.
    pub max_members: usize,
    /// Maximum number of machines that are started and installed at the same time.
    pub starts_at_once: usize,
    /// A machine that has not become a node by then is given up.
    pub give_up_after: Duration,
    /// Pause between the starts of two machines that replace dead members.
    pub replace_every: Duration,
}

// === impl Member ===

impl Member {
    /// Whether it gives signs of life.
    #[must_use]
    pub fn is_alive(&self, policy: &Policy) -> bool {
        self.leader || self.silent_for <= policy.suspect_after
    }

    /// Whether it needs a substitute: it is dead, or will be, or was unhealthy for too long. A leader hands over first.
    #[must_use]
    pub fn is_lost(&self, policy: &Policy) -> bool {
        let useless = self.retiring || self.unhealthy_for > policy.unhealthy_after;
        !self.spared && (self.is_dead(policy) || (useless && !self.leader))
    }

    /// Whether it was silent for so long that another member should do its work.
    #[must_use]
    pub fn is_dead(&self, policy: &Policy) -> bool {
        !self.leader && self.silent_for > policy.dead_after
    }
}

// === impl Policy ===

impl Default for Policy {
    fn default() -> Self {
        Self {
            max_voters: 5,
            suspect_after: Duration::from_secs(4),
            unheard_after: Duration::from_secs(3),
            dead_after: Duration::from_secs(20),
            unhealthy_after: Duration::from_secs(60),
            // Longer than a weekend's power cut; it only costs the record of a machine.
            remove_after: Duration::from_secs(72 * 60 * 60),
            max_members: 50,
            starts_at_once: 8,
            give_up_after: Duration::from_secs(600),
            replace_every: Duration::from_secs(600),
        }
    }
}
