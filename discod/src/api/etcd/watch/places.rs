//! Limits of the number of watchers.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;

/// Watchers of one connection.
const PER_CONNECTION: usize = 4_096;
/// Watchers of a node: some 10 MB.
const PER_NODE: usize = 32_768;

/// The places of a node. Clones share them.
#[derive(Clone, Default)]
pub(in crate::api::etcd) struct Places(Arc<Mutex<Taken>>);

#[derive(Default)]
struct Taken {
    all: usize,
    by_connection: HashMap<Option<SocketAddr>, usize>,
}

/// One watcher's place, released when it is dropped.
pub(super) struct Place {
    places: Places,
    connection: Option<SocketAddr>,
}

// === impl Places ===

impl Places {
    /// Reserves a place for a watcher of the connection from this address; `None` if all are taken.
    pub(super) fn take(&self, connection: Option<SocketAddr>) -> Option<Place> {
        let mut taken = self.0.lock();
        if taken.all >= PER_NODE || taken.by_connection.get(&connection).is_some_and(|count| *count >= PER_CONNECTION) {
            return None;
        }
        taken.all += 1;
        *taken.by_connection.entry(connection).or_default() += 1;
        Some(Place { places: self.clone(), connection })
    }
}

// === impl Place ===

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.0.lock();
        taken.all -= 1;
        if let Some(count) = taken.by_connection.get_mut(&self.connection) {
            *count -= 1;
            if *count == 0 {
                taken.by_connection.remove(&self.connection);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_released() {
        let places = Places::default();
        let from = |port| Some(SocketAddr::from(([127, 0, 0, 1], port)));
        let mut held: Vec<Place> = (0..PER_CONNECTION).map(|_| places.take(from(1)).unwrap()).collect();
        assert!(places.take(from(1)).is_none());
        for connection in 2..10 {
            held.extend((0..PER_CONNECTION).filter_map(|_| places.take(from(connection))));
        }
        assert_eq!(held.len(), PER_NODE);
        assert!(places.take(from(99)).is_none());
        held.clear();
        assert!(places.0.lock().by_connection.is_empty() && places.take(from(1)).is_some());
    }
}
