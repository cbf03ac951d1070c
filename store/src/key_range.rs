//! Ranges of keys in etcd's notation: a key and a range end.

use std::ops::Bound;

use bytes::Bytes;
use disco_proto::v1::RangeRequest;

use crate::{SYSTEM_END, SYSTEM_PREFIX, Scope};

/// A single key, all keys from one on, or the keys from one up to another; of these, the keys of a [`Scope`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyRange<'a> {
    start: &'a [u8],
    end: End<'a>,
    scope: Scope,
}

/// Bounds for an ordered map.
type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End<'a> {
    Single,
    Unbounded,
    Before(&'a [u8]),
}

impl<'a> KeyRange<'a> {
    /// The range of a request: an empty `range_end` is the one key, a single zero byte is all keys from `key` on,
    /// anything else is `[key, range_end)`, which is empty if `range_end` is not above `key`.
    pub fn new(key: &'a [u8], range_end: &'a [u8]) -> Self {
        let end = match range_end {
            [] => End::Single,
            [0] => End::Unbounded,
            end => End::Before(end),
        };
        Self { start: key, end, scope: Scope::All }
    }

    /// Only the keys of the range that are in the scope.
    #[must_use]
    pub fn within(self, scope: Scope) -> Self {
        Self { scope, ..self }
    }

    /// Whether it names one key rather than a range that may contain one.
    pub fn is_single(&self) -> bool {
        self.end == End::Single
    }

    /// Whether `key` lies in the range.
    pub fn contains(&self, key: &[u8]) -> bool {
        let within = match self.end {
            End::Single => key == self.start,
            End::Unbounded => key >= self.start,
            End::Before(end) => key >= self.start && key < end,
        };
        within && self.scope.contains(key)
    }

    /// The parts of an ordered map that have the keys of the range, in order: up to two, as the keys outside of a scope lie
    /// between them. Never start above end, which makes such maps panic.
    pub(crate) fn parts(&self) -> impl Iterator<Item = Bounds<'a>> + use<'a> {
        let start = self.start;
        let end = match self.end {
            End::Single => Bound::Included(start),
            End::Unbounded => Bound::Unbounded,
            End::Before(end) => Bound::Excluded(end.max(start)),
        };
        let whole = (Bound::Included(start), end);
        let ends_after = |key: &[u8]| !matches!(self.end, End::Before(end) if end <= key);
        let (below, above) = match (self.scope, self.end) {
            (Scope::All, _) => (Some(whole), None),
            (Scope::Users, End::Single) => (self.scope.contains(start).then_some(whole), None),
            (Scope::Users, _) => {
                let end_below = if ends_after(SYSTEM_PREFIX) { Bound::Excluded(SYSTEM_PREFIX) } else { end };
                let below = (start < SYSTEM_PREFIX).then_some((Bound::Included(start), end_below));
                let above = ends_after(SYSTEM_END).then_some((Bound::Included(start.max(SYSTEM_END)), end));
                (below, above)
            }
        };
        below.into_iter().chain(above)
    }
}

/// Whether an event of `event_key` belongs to a watch on `key` and `range_end`.
pub fn matches(key: &[u8], range_end: &[u8], event_key: &[u8]) -> bool {
    KeyRange::new(key, range_end).contains(event_key)
}

/// The request for exactly the keys that start with `prefix`, which is not empty.
pub fn prefix_range(prefix: &str) -> RangeRequest {
    let range_end = prefix_end(prefix.as_bytes()).into();
    RangeRequest { key: Bytes::copy_from_slice(prefix.as_bytes()), range_end, ..RangeRequest::default() }
}

/// The `range_end` of the range of exactly the keys that start with `prefix`.
pub fn prefix_end(prefix: &[u8]) -> Vec<u8> {
    match prefix.iter().rposition(|&byte| byte < 0xff) {
        Some(last) => {
            let mut end = prefix[..=last].to_vec();
            end[last] += 1;
            end
        }
        // No key is above all of those: the range is everything from the prefix on.
        None => vec![0],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notation_is_that_of_etcd() {
        assert!(matches(b"a", b"", b"a"));
        assert!(!matches(b"a", b"", b"ab"));
        assert!(matches(b"a", b"c", b"a") && matches(b"a", b"c", b"bzz"));
        assert!(!matches(b"a", b"c", b"c"));
        assert!(matches(b"b", b"\0", b"zzz") && !matches(b"b", b"\0", b"a"));
        assert!(matches(b"\0", b"\0", b"\0") && matches(b"\0", b"\0", b"\xff"));
        assert!(!matches(b"c", b"a", b"b"));
    }

    #[test]
    fn prefixes_end_above_their_last_key() {
        assert_eq!(prefix_end(b"/disco/"), b"/disco0");
        assert_eq!(prefix_end(b"a\xff\xff"), b"b");
        assert_eq!(prefix_end(b"\xff"), b"\0");
        assert_eq!(prefix_end(b""), b"\0");
        assert!(matches(b"a\xff", &prefix_end(b"a\xff"), b"a\xff\xff\xff"));
        assert!(!matches(b"a\xff", &prefix_end(b"a\xff"), b"b"));
    }

    /// Every range over keys around those of the system, also ranges that end before they begin.
    #[test]
    fn the_parts_have_the_keys_that_the_range_contains() {
        let keys: [&[u8]; 12] = [
            b"\0",
            b"/",
            b"/disco",
            b"/disco.",
            b"/disco/",
            b"/disco/a",
            b"/disco/\xff",
            b"/disco0",
            b"/disco0a",
            b"/discos",
            b"a",
            b"\xff",
        ];
        let map: std::collections::BTreeMap<Vec<u8>, ()> = keys.iter().map(|key| (key.to_vec(), ())).collect();
        for scope in [Scope::All, Scope::Users] {
            for key in keys {
                for end in keys.into_iter().chain([&b""[..]]) {
                    let range = KeyRange::new(key, end).within(scope);
                    let found: Vec<_> = range.parts().flat_map(|part| map.range::<[u8], _>(part)).collect();
                    let expected: Vec<_> = map.iter().filter(|(key, ())| range.contains(key)).collect();
                    assert_eq!(found, expected, "{range:?}");
                }
            }
        }
        let all = KeyRange::new(b"\0", b"\0").within(Scope::Users);
        assert!(all.contains(b"/disco") && all.contains(b"/disco0") && !all.contains(b"/disco/"));
    }
}
