//! When this node last received entries or a heartbeat, and from which node.
//!
//! openraft keeps the last leader that it knew for as long as there is no other one, so it does not show that the leader
//! is silent.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// The time of the last message of each node that sent one as the leader.
#[derive(Default)]
pub(super) struct Heard(Mutex<BTreeMap<u64, Instant>>);

// === impl Heard ===

impl Heard {
    pub(super) fn note(&self, from: u64) {
        self.0.lock().insert(from, Instant::now());
    }

    pub(super) fn within(&self, from: u64, limit: Duration) -> bool {
        self.0.lock().get(&from).is_some_and(|at| at.elapsed() <= limit)
    }
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
}
