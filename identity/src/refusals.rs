//! Signing keys that are no longer trusted, although their certificates have not expired.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;

/// Serial numbers of retired signing keys. Read at each handshake, and by open connections after a change.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    serials: ArcSwap<BTreeSet<String>>,
    /// Incremented by each change, so that an open connection compares one number for each read, not a set.
    generation: AtomicU64,
}

impl Refusals {
    pub(crate) fn replace(&self, serials: BTreeSet<String>) {
        if **self.serials.load() != serials {
            self.serials.store(serials.into());
            self.generation.fetch_add(1, Ordering::Release);
        }
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub(crate) fn contains(&self, serial: &str) -> bool {
        self.serials.load().contains(serial)
    }
}
