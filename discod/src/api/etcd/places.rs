//! Limits of what one connection, and all of a node, may hold: watches, and requests that stay open.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;
use parking_lot::Mutex;
use tonic::Status;

use crate::api::Answers;

/// Places of one kind. Clones share them.
#[derive(Clone)]
pub(super) struct Places(Arc<Shared>);

struct Shared {
    per_connection: usize,
    per_node: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    by_connection: HashMap<Option<SocketAddr>, usize>,
}

/// One place, released when it is dropped.
pub(super) struct Place {
    places: Places,
    connection: Option<SocketAddr>,
}

/// Answers that hold a place until they end.
struct Holding<T> {
    answers: Answers<T>,
    _place: Place,
}

// === impl Places ===

impl Places {
    pub(super) fn new(per_connection: usize, per_node: usize) -> Self {
        Self(Arc::new(Shared { per_connection, per_node, taken: Mutex::default() }))
    }

    /// Reserves a place for the connection from this address; `None` if all are taken.
    pub(super) fn take(&self, connection: Option<SocketAddr>) -> Option<Place> {
        let mut taken = self.0.taken.lock();
        let of_connection = taken.by_connection.get(&connection).copied().unwrap_or_default();
        if taken.all >= self.0.per_node || of_connection >= self.0.per_connection {
            return None;
        }
        taken.all += 1;
        taken.by_connection.insert(connection, of_connection + 1);
        Some(Place { places: self.clone(), connection })
    }
}

// === impl Place ===

impl Place {
    /// Holds the place as long as the answers go on.
    pub(super) fn hold<T: Send + 'static>(self, answers: Answers<T>) -> Answers<T> {
        Box::pin(Holding { answers, _place: self })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.0.taken.lock();
        taken.all -= 1;
        if let Some(count) = taken.by_connection.get_mut(&self.connection) {
            *count -= 1;
            if *count == 0 {
                taken.by_connection.remove(&self.connection);
            }
        }
    }
}

impl<T> Stream for Holding<T> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.answers.as_mut().poll_next(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_released() {
        let places = Places::new(4, 32);
        let from = |port| Some(SocketAddr::from(([127, 0, 0, 1], port)));
        let mut held: Vec<Place> = (0..4).map(|_| places.take(from(1)).unwrap()).collect();
        assert!(places.take(from(1)).is_none());
        for connection in 2..10 {
            held.extend((0..4).filter_map(|_| places.take(from(connection))));
        }
        assert_eq!(held.len(), 32);
        assert!(places.take(from(99)).is_none());
        held.clear();
        assert!(places.0.taken.lock().by_connection.is_empty() && places.take(from(1)).is_some());
    }
}
