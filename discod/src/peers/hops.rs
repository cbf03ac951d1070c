//! The number of times a request was forwarded. Two nodes that take each other for the leader would forward it forever.

use super::RemoteError;

/// Nodes that may forward one request.
const MOST: u32 = 2;

/// Nodes that have forwarded a request before this one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hops(u32);

// === impl Hops ===

impl Hops {
    /// The hops of a request that was forwarded this many times.
    #[must_use]
    pub fn new(count: u32) -> Self {
        Self(count)
    }

    /// The number for the next node.
    #[must_use]
    pub fn count(self) -> u32 {
        self.0
    }

    /// Adds a hop. `to` says where the request would go next, for the error.
    ///
    /// # Errors
    /// The request was forwarded as often as allowed.
    pub fn next(self, to: &str) -> Result<Self, RemoteError> {
        if self.0 >= MOST {
            let text = format!("the request was forwarded {} times and {to}; try again", self.0);
            return Err(RemoteError::unavailable(text));
        }
        Ok(Self(self.0 + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_forwarded_twice_at_most() {
        let second = Hops::default().next("x").and_then(|hops| hops.next("x")).unwrap();
        assert_eq!(second.count(), 2);
        let error = second.next("node 3 is now reported as the leader").unwrap_err();
        assert_eq!(
            error.message,
            "the request was forwarded 2 times and node 3 is now reported as the leader; try again"
        );
    }
}
