//! Ranges of keys in etcd's notation: a key and a range end.

use std::ops::Bound;

/// A single key, all keys from one on, or the keys from one up to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyRange<'a> {
    start: &'a [u8],
    end: End<'a>,
}

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
        Self { start: key, end }
    }

    /// Whether it names one key rather than a range that may contain one.
    pub fn is_single(&self) -> bool {
        self.end == End::Single
    }

    /// Whether `key` lies in the range.
    pub fn contains(&self, key: &[u8]) -> bool {
        match self.end {
            End::Single => key == self.start,
            End::Unbounded => key >= self.start,
            End::Before(end) => key >= self.start && key < end,
        }
    }

    /// Bounds for an ordered map; never start above end, which makes such maps panic.
    pub(crate) fn bounds(&self) -> (Bound<&'a [u8]>, Bound<&'a [u8]>) {
        let end = match self.end {
            End::Single => Bound::Included(self.start),
            End::Unbounded => Bound::Unbounded,
            End::Before(end) => Bound::Excluded(end.max(self.start)),
        };
        (Bound::Included(self.start), end)
    }
}

/// Whether an event of `event_key` belongs to a watch on `key` and `range_end`.
pub fn matches(key: &[u8], range_end: &[u8], event_key: &[u8]) -> bool {
    KeyRange::new(key, range_end).contains(event_key)
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

    #[test]
    fn bounds_never_turn_around() {
        let map = std::collections::BTreeMap::from([(b"b".to_vec(), ())]);
        for (key, end) in [(&b"z"[..], &b"a"[..]), (b"b", b"b"), (b"a", b"z")] {
            let range = KeyRange::new(key, end);
            let found = map.range::<[u8], _>(range.bounds()).count();
            assert_eq!(found, usize::from(range.contains(b"b")), "{range:?}");
        }
    }
}
