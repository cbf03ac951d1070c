//! A member as decisions see it.

use std::time::Duration;

/// A member of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Id.
    pub id: u64,
    /// Counts for the quorum.
    pub voter: bool,
    /// Leads.
    pub leader: bool,
    /// Since its last sign of life, or since this leader began to listen.
    pub silent_for: Duration,
    /// Holds (nearly) all of the log.
    pub up_to_date: bool,
    /// Is about to stop.
    pub draining: bool,
    /// Its machine will be taken away.
    pub retiring: bool,
    /// Since it says of itself that it is not healthy; nothing while it is.
    pub unhealthy_for: Duration,
    /// Its loss is not to be made up for, as the script has decided, or is still deciding.
    pub spared: bool,
}

/// Limits of the decisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Most voters: 1, 3, 5 or 7; an even number means one less. More make every write slower (HashiCorp and Docker both advise at most 7).
    pub max_voters: usize,
    /// A member that was silent for longer is not counted as alive.
    pub suspect_after: Duration,
    /// A leader that has had no report of a member for longer may be one that the member cannot call.
    pub unheard_after: Duration,
    /// A member that was silent for longer is dead.
    pub dead_after: Duration,
    /// A member that was not healthy for longer is replaced.
    pub unhealthy_after: Duration,
    /// A member that was silent for longer does not come back: it is removed.
    pub remove_after: Duration,
    /// Most members.
    pub max_members: usize,
    /// Machines that are started and installed at the same time.
    pub starts_at_once: usize,
    /// A machine that has not become a node by then is given up.
    pub give_up_after: Duration,
    /// Between the starts of two machines that take dead members' places.
    pub replace_every: Duration,
}

// === impl Member ===

impl Member {
    /// Gives signs of life.
    #[must_use]
    pub fn is_alive(&self, policy: &Policy) -> bool {
        self.leader || self.silent_for <= policy.suspect_after
    }

    /// Needs a substitute: it is dead, or will be, or has not been healthy for too long. Who leads hands over first.
    #[must_use]
    pub fn is_lost(&self, policy: &Policy) -> bool {
        let useless = self.retiring || self.unhealthy_for > policy.unhealthy_after;
        !self.spared && (self.is_dead(policy) || (useless && !self.leader))
    }

    /// Was silent for so long that somebody else should do its work.
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
            // Longer than a weekend's power cut; the record of a machine is all that it costs.
            remove_after: Duration::from_secs(72 * 60 * 60),
            max_members: 50,
            starts_at_once: 8,
            give_up_after: Duration::from_secs(600),
            replace_every: Duration::from_secs(600),
        }
    }
}
