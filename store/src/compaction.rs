//! When to forget the past.

use crate::Store;

/// How much of the past is kept. The leader asks [`due`](Self::due) now and then, and proposes the compaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompactionPolicy {
    /// Revisions that stay readable, as long as they are small.
    pub keep_revisions: i64,
    /// How many more may gather before it is worth a command.
    pub slack_revisions: i64,
    /// Bytes of history ([`Store::history_bytes`]) at which the older half of the revisions goes, however few they are: the
    /// bound on memory.
    pub history_bytes: u64,
    /// Revisions that stay even then, for watches that are a moment behind.
    pub keep_at_least: i64,
}

impl Default for CompactionPolicy {
    fn default() -> Self {
        Self { keep_revisions: 10_000, slack_revisions: 1_000, history_bytes: 4 << 20, keep_at_least: 16 }
    }
}

impl CompactionPolicy {
    /// The revision to compact at now, if any. Asked again after that compaction it comes to an end: each answer lies above the
    /// one before.
    pub fn due(&self, store: &Store) -> Option<i64> {
        self.decide(store.revision(), store.compact_revision(), store.history_bytes())
    }

    /// The same from the bare figures.
    pub fn decide(&self, revision: i64, compact_revision: i64, history_bytes: u64) -> Option<i64> {
        let kept = revision - compact_revision;
        let by_count = (kept > self.keep_revisions + self.slack_revisions).then(|| revision - self.keep_revisions);
        let by_size = (history_bytes > self.history_bytes)
            .then(|| (compact_revision + (kept + 1) / 2).min(revision - self.keep_at_least));
        by_count.max(by_size).filter(|&target| target > compact_revision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_revisions_stay() {
        let policy = CompactionPolicy::default();
        assert_eq!(policy.decide(1, 0, 0), None);
        assert_eq!(policy.decide(11_000, 0, 0), None);
        assert_eq!(policy.decide(11_001, 0, 0), Some(1_001));
        assert_eq!(policy.decide(11_001, 1_001, 0), None);
        assert_eq!(policy.decide(12_002, 1_001, 0), Some(2_002));
    }

    #[test]
    fn large_history_is_halved_until_few_are_left() {
        let policy = CompactionPolicy::default();
        let mut compact_revision = 0;
        let mut steps = 0;
        while let Some(target) = policy.decide(1_000, compact_revision, u64::MAX) {
            assert!(target > compact_revision && target <= 984);
            compact_revision = target;
            steps += 1;
        }
        assert_eq!(compact_revision, 984);
        assert!(steps < 10, "{steps}");
        assert_eq!(policy.decide(10, 0, u64::MAX), None);
    }
}
