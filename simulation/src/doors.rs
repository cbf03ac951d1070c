//! Partitions that distinguish connections: by the side that opened them, and by when.
//!
//! A firewall that is switched on passes open connections and drops new ones; one that loses its state does the opposite; a closed
//! port drops both, but only connections from others. The simulator's own partitions only know messages. So the side that opens a
//! connection checks here, before opening it and before each of its messages, and waits for as long as it would be lost.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

/// The polling interval of waiting connections.
const LOOK: Duration = Duration::from_millis(20);

/// Dropped connections of one machine, which is the side that opens them, or the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Door {
    /// The machine's name.
    pub host: String,
    /// Whether connections that it opens itself are dropped; else those that others open to it.
    pub outgoing: bool,
    /// Drop connections that are opened while the door is closed.
    pub new: bool,
    /// Drop connections that existed before.
    pub established: bool,
}

/// All closed doors. Cheap to clone.
#[derive(Clone, Default)]
pub struct Doors {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    /// The number of the last connection.
    number: u64,
    /// Each with the number of the last connection before it was closed.
    closed: Vec<(Door, u64)>,
}

/// A caller, which opens connections.
#[derive(Clone)]
pub struct Caller {
    /// Its name.
    pub name: String,
    /// The doors that it may have to pass.
    pub doors: Doors,
}

/// A connection of a caller.
#[derive(Clone)]
pub struct Passage {
    from: Caller,
    to: String,
    /// `None` before it is open.
    number: Option<u64>,
}

// === impl Doors ===

impl Doors {
    /// Drops these connections from now on.
    pub fn close(&self, door: Door) {
        let mut inner = self.inner.lock();
        let number = inner.number;
        inner.closed.push((door, number));
    }

    /// Stops dropping them.
    pub fn open(&self, door: &Door) {
        let mut inner = self.inner.lock();
        if let Some(place) = inner.closed.iter().position(|(closed, _)| closed == door) {
            inner.closed.remove(place);
        }
    }

    fn next_number(&self) -> u64 {
        let mut inner = self.inner.lock();
        inner.number += 1;
        inner.number
    }

    fn lose(&self, from: &str, to: &str, number: Option<u64>) -> bool {
        self.inner.lock().closed.iter().any(|(door, last)| {
            let is_new = number.is_none_or(|number| number > *last);
            let host = if door.outgoing { from } else { to };
            door.host == host && if is_new { door.new } else { door.established }
        })
    }
}

// === impl Passage ===

impl Passage {
    /// To `HOST:PORT`.
    pub fn new(from: Caller, address: &str) -> Self {
        let to = address.split(':').next().unwrap_or_default().to_owned();
        Self { from, to, number: None }
    }

    /// Records that the connection is open.
    pub fn opened(&mut self) {
        self.number = Some(self.from.doors.next_number());
    }

    /// Records that it is closed.
    pub fn closed(&mut self) {
        self.number = None;
    }

    /// Returns when no door drops the connection.
    pub async fn pass(&self) {
        while self.from.doors.lose(&self.from.name, &self.to, self.number) {
            tokio::time::sleep(LOOK).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door(outgoing: bool, new: bool, established: bool) -> Door {
        Door { host: "a".to_owned(), outgoing, new, established }
    }

    #[test]
    fn each_kind_loses_its_own_and_nothing_else() {
        for outgoing in [false, true] {
            for (new, established) in [(true, false), (false, true), (true, true)] {
                let doors = Doors::default();
                let before = doors.next_number();
                let door = door(outgoing, new, established);
                doors.close(door.clone());
                let after = doors.next_number();
                let (from, to) = if outgoing { ("a", "b") } else { ("b", "a") };
                assert_eq!(doors.lose(from, to, None), new, "{door:?}");
                assert_eq!(doors.lose(from, to, Some(after)), new, "{door:?}");
                assert_eq!(doors.lose(from, to, Some(before)), established, "{door:?}");
                assert!(!doors.lose(to, from, Some(before)) && !doors.lose(to, from, None), "{door:?}");
                doors.open(&door);
                assert!(!doors.lose(from, to, None) && !doors.lose(from, to, Some(before)), "{door:?}");
            }
        }
    }
}
