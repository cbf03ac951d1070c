//! When to compact.

use std::collections::VecDeque;

use crate::Store;

/// How much history is retained. The leader calls [`due`](Self::due) periodically, and proposes the compaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompactionPolicy {
    /// Number of revisions that stay readable, as long as they are small.
    pub keep_revisions: i64,
    /// How many more may accumulate before a compaction is worth a command.
    pub slack_revisions: i64,
    /// Size of the history ([`Store::history_bytes`]) at which the oldest quarter of the revisions is compacted, or the
    /// older half at twice this size, however few they are: the bound on memory.
    pub history_bytes: u64,
    /// Number of revisions that are retained even then, for watches that lag slightly.
    pub keep_at_least: i64,
    /// Versions superseded for longer than this are compacted, in milliseconds.
    pub age_ms: u64,
}

impl Default for CompactionPolicy {
    fn default() -> Self {
        Self {
            keep_revisions: 10_000,
            slack_revisions: 1_000,
            // 80 versions of 100 kB each: clients that watch from a revision, or read at one, use the last ones. Snapshots
            // have the history too, two of them at a time, within the 64 MiB of disk that a node uses.
            history_bytes: 8 << 20,
            keep_at_least: 16,
            age_ms: 60 * 60 * 1_000,
        }
    }
}

impl CompactionPolicy {
    /// The revision to compact at now, if any. Repeated calls after each compaction terminate: each answer is above the
    /// previous one. `ages` must have been updated with the store's revision periodically.
    pub fn due(&self, store: &Store, ages: &Ages, now_ms: u64) -> Option<i64> {
        let aged = now_ms.checked_sub(self.age_ms).and_then(|then| ages.newest_before(then));
        self.decide(store.revision(), store.compact_revision(), store.history_bytes(), aged)
    }

    /// Like [`Self::due`], from the bare figures; `aged` is the newest revision that existed before the age limit.
    pub fn decide(&self, revision: i64, compact_revision: i64, history_bytes: u64, aged: Option<i64>) -> Option<i64> {
        let kept = revision - compact_revision;
        let by_count = (kept > self.keep_revisions + self.slack_revisions).then(|| revision - self.keep_revisions);
        let part = if history_bytes > 2 * self.history_bytes { 2 } else { 4 };
        let by_size = (history_bytes > self.history_bytes)
            .then(|| (compact_revision + (kept + part - 1) / part).min(revision - self.keep_at_least));
        // Without history a compaction gains nothing.
        let by_age = aged.filter(|_| history_bytes > 0);
        by_count.max(by_size).max(by_age).filter(|&target| target > compact_revision)
    }
}

/// The age of revisions, as one leader has observed it: periodic samples.
#[derive(Debug, Clone, Default)]
pub struct Ages {
    /// Milliseconds of the leader's monotonic clock and the newest revision at that time; both increase.
    samples: VecDeque<(u64, i64)>,
}

/// A day at one sample per five minutes.
const SAMPLES: usize = 288;
/// Milliseconds between two samples.
const SAMPLE_EVERY_MS: u64 = 5 * 60 * 1_000;

impl Ages {
    /// Takes a sample, unless the last one is recent.
    pub fn note(&mut self, now_ms: u64, revision: i64) {
        if self.samples.back().is_some_and(|&(at, _)| now_ms < at.saturating_add(SAMPLE_EVERY_MS)) {
            return;
        }
        if self.samples.len() == SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back((now_ms, revision));
    }

    /// The newest revision that certainly existed at that time.
    pub fn newest_before(&self, at_ms: u64) -> Option<i64> {
        self.samples.iter().rev().find(|&&(at, _)| at <= at_ms).map(|&(_, revision)| revision)
    }
}

#[cfg(test)]
mod tests {
    use disco_proto::v1::{Command, CompactRequest, PutRequest, command::Operation};

    use super::*;

    #[test]
    fn the_last_revisions_stay() {
        let policy = CompactionPolicy::default();
        assert_eq!(policy.decide(1, 0, 0, None), None);
        assert_eq!(policy.decide(11_000, 0, 0, None), None);
        assert_eq!(policy.decide(11_001, 0, 0, None), Some(1_001));
        assert_eq!(policy.decide(11_001, 1_001, 0, None), None);
        assert_eq!(policy.decide(12_002, 1_001, 0, None), Some(2_002));
    }

    #[test]
    fn a_slightly_large_history_loses_its_oldest_quarter() {
        let policy = CompactionPolicy::default();
        let limit = policy.history_bytes;
        assert_eq!(policy.decide(200, 100, limit, None), None);
        assert_eq!(policy.decide(200, 100, limit + 1, None), Some(125));
        assert_eq!(policy.decide(200, 100, 2 * limit, None), Some(125));
        assert_eq!(policy.decide(200, 100, 2 * limit + 1, None), Some(150));
    }

    /// As many large values are readable as memory and disk allow.
    #[test]
    fn overwrites_of_large_values_stay_readable() {
        let (policy, mut store) = (CompactionPolicy::default(), Store::default());
        for version in 1..=500 {
            let value = vec![b'v'; 100_000].into();
            let put = PutRequest { key: "k".into(), value, ..PutRequest::default() };
            store.apply(1, &Command { operation: Some(Operation::Put(put)), ..Command::default() });
            if let Some(revision) = policy.due(&store, &Ages::default(), 0) {
                let compact = CompactRequest { revision };
                store.apply(1, &Command { operation: Some(Operation::Compact(compact)), ..Command::default() });
            }
            let readable = store.revision() - store.compact_revision();
            assert!(readable >= version.min(60), "{readable} of {version}");
            assert!(store.history_bytes() <= policy.history_bytes);
        }
    }

    #[test]
    fn large_history_is_halved_until_few_are_left() {
        let policy = CompactionPolicy::default();
        let mut compact_revision = 0;
        let mut steps = 0;
        while let Some(target) = policy.decide(1_000, compact_revision, u64::MAX, None) {
            assert!(target > compact_revision && target <= 984);
            compact_revision = target;
            steps += 1;
        }
        assert_eq!(compact_revision, 984);
        assert!(steps < 10, "{steps}");
        assert_eq!(policy.decide(10, 0, u64::MAX, None), None);
    }

    #[test]
    fn old_revisions_are_compacted_if_history_exists() {
        const MINUTE: u64 = 60_000;
        let policy = CompactionPolicy::default();
        let mut ages = Ages::default();
        for minute in 0..=180 {
            ages.note(minute * MINUTE, 100 + minute as i64);
        }
        assert_eq!(ages.newest_before(62 * MINUTE), Some(160), "a sample every five minutes");
        assert!(ages.samples.len() < 40);
        assert_eq!(policy.decide(280, 0, 1, ages.newest_before(120 * MINUTE)), Some(220));
        assert_eq!(policy.decide(280, 220, 1, Some(220)), None);
        assert_eq!(policy.decide(280, 0, 0, Some(220)), None, "nothing is superseded");
        // Exceeding the bound on revisions takes precedence.
        assert_eq!(policy.decide(11_001, 0, 1, Some(500)), Some(1_001));
        assert_eq!(Ages::default().newest_before(u64::MAX), None);
        for sample in 0..1_000 {
            ages.note((200 + sample * 5) * MINUTE, 300 + sample as i64);
        }
        assert_eq!(ages.samples.len(), SAMPLES);
    }
}
