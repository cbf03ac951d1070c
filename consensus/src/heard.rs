//! When this node last received entries or a heartbeat, and from which node; for itself, when it was last elected: a
//! majority has just voted for it, and the first answers to its messages arrive a round trip later.
//!
//! openraft keeps the last leader that it knew for as long as there is no other one, so it does not show that the leader
//! is silent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// The time of the last message of each node that sent one as the leader. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Heard(Arc<Mutex<BTreeMap<u64, Instant>>>);

// === impl Heard ===

impl Heard {
    pub(super) fn note(&self, from: u64) {
        self.0.lock().insert(from, Instant::now());
    }

    pub(super) fn within(&self, from: u64, limit: Duration) -> bool {
        self.age(from).is_some_and(|age| age <= limit)
    }

    /// Time since the last message.
    pub(super) fn age(&self, from: u64) -> Option<Duration> {
        self.0.lock().get(&from).map(Instant::elapsed)
    }
}

/// Whether a majority of the voters, the leader among them, has answered the leader within `limit`.
pub(super) fn answered_by_majority(
    leader: u64,
    voters: impl Iterator<Item = u64>,
    acknowledged: &BTreeMap<u64, Duration>,
    limit: Duration,
) -> bool {
    let answers = |id: &u64| *id == leader || acknowledged.get(id).is_some_and(|age| *age <= limit);
    let (all, there) = voters.fold((0, 0), |(all, there), id| (all + 1, there + usize::from(answers(&id))));
    there * 2 > all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn silence_is_counted_for_each_node() {
        let (heard, limit) = (Heard::default(), Duration::from_secs(3));
        heard.note(1);
        tokio::time::advance(Duration::from_secs(2)).await;
        heard.note(2);
        assert!(heard.within(1, limit) && heard.within(2, limit) && !heard.within(3, limit));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(!heard.within(1, limit) && heard.within(2, limit));
    }

    #[test]
    fn a_leader_needs_recent_answers_of_a_majority() {
        let limit = Duration::from_secs(3);
        let ages = |ages: &[(u64, u64)]| ages.iter().map(|(id, age)| (*id, Duration::from_secs(*age))).collect();
        let has_leader = |ages: &BTreeMap<u64, Duration>| answered_by_majority(1, 1..=3, ages, limit);
        assert!(has_leader(&ages(&[(2, 1)])) && has_leader(&ages(&[(2, 9), (3, 3)])));
        assert!(!has_leader(&ages(&[])) && !has_leader(&ages(&[(2, 4), (3, 4)])));
        assert!(answered_by_majority(1, 1..=1, &ages(&[]), limit), "the only voter is its own majority");
    }
}
