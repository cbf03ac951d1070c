//! Unreferenced contents of files, and since when they are.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

/// How long an unreferenced blob remains: it may just have been sent for a following push or deployment.
const GRACE: Duration = Duration::from_secs(600);

/// Since when this leader knows that blobs are unreferenced.
#[derive(Debug, Default)]
pub struct IdleBlobs {
    since: BTreeMap<String, Instant>,
}

// === impl IdleBlobs ===

impl IdleBlobs {
    /// A client relies on these blobs: their time restarts.
    pub fn touch<'a>(&mut self, blobs: impl Iterator<Item = &'a String>) {
        for blob in blobs {
            self.since.remove(blob);
        }
    }

    /// The blobs to remove: those that were unreferenced for the whole grace period.
    pub fn over(&mut self, all: &BTreeSet<String>, needed: &BTreeSet<String>, now: Instant) -> Vec<String> {
        self.since.retain(|blob, _| all.contains(blob) && !needed.contains(blob));
        let mut over = Vec::new();
        for blob in all.difference(needed) {
            let since = *self.since.entry(blob.clone()).or_insert(now);
            if now.duration_since(since) >= GRACE {
                over.push(blob.clone());
            }
        }
        over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_is_removed_after_long_disuse() {
        let all: BTreeSet<String> = ["a", "b", "c"].map(str::to_owned).into();
        let needed: BTreeSet<String> = ["a".to_owned()].into();
        let mut idle = IdleBlobs::default();
        let start = Instant::now();
        assert_eq!(idle.over(&all, &needed, start), Vec::<String>::new());
        idle.touch(["b".to_owned()].iter());
        assert_eq!(idle.over(&all, &needed, start + GRACE), ["c"]);
        assert_eq!(idle.over(&all, &all, start + GRACE), Vec::<String>::new());
        // Referenced meanwhile: the time restarts.
        assert_eq!(idle.over(&all, &needed, start + GRACE * 2), Vec::<String>::new());
        assert_eq!(idle.over(&all, &needed, start + GRACE * 3), ["b", "c"]);
    }
}
