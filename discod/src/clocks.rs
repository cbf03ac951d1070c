//! Nodes whose clock differs from the others'. Certificates are valid for a limited time, so such a node and the others
//! refuse each other as soon as one opens a new connection; as long as connections persist, this module detects it
//! earlier.

/// A larger difference means that a clock is wrong: certificates tolerate less.
const LIMIT_MS: u64 = disco_identity::CLOCK_SKEW.as_secs() * 1000;

/// How far the clock of node `id` differs from that of most nodes, in milliseconds, if it is too far: positive when
/// ahead. `seen` has for each node how far its clock is ahead of the leader's; the leader's own entry is 0.
#[must_use]
pub fn off(id: u64, seen: &[(u64, i64)]) -> Option<i64> {
    let own = seen.iter().find(|(node, _)| *node == id)?.1;
    let agree = |with: i64| seen.iter().filter(|(_, ahead)| ahead.abs_diff(with) <= LIMIT_MS).count();
    // Without a majority on either side the leader's clock is taken as correct.
    let right = if agree(0) * 2 >= seen.len() {
        0
    } else {
        seen.iter().map(|(_, ahead)| *ahead).max_by_key(|ahead| agree(*ahead)).unwrap_or(0)
    };
    (own.abs_diff(right) > LIMIT_MS).then(|| own.saturating_sub(right))
}

/// Why a node with a wrong clock is unhealthy.
#[must_use]
pub fn describe(off_ms: i64) -> String {
    let seconds = off_ms.unsigned_abs() / 1000;
    let time = match seconds {
        0..7200 => format!("{} minutes", seconds / 60),
        7200..172_800 => format!("{} hours", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    };
    let side = if off_ms > 0 { "ahead of" } else { "behind" };
    format!("its clock is {time} {side} the other nodes': set it by NTP, since a wrong clock makes certificates fail")
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000;

    #[test]
    fn the_wrong_clock_is_the_one_that_differs_from_most() {
        let one = [(1, 0), (2, 400 * DAY), (3, 1200)];
        assert_eq!([1, 2, 3].map(|id| off(id, &one)), [None, Some(400 * DAY), None]);
        // The leader's own clock is wrong: it sees the others as wrong.
        let leader = [(1, 0), (2, -400 * DAY), (3, -400 * DAY + 800)];
        assert!(off(1, &leader).is_some_and(|off| off > 399 * DAY));
        assert_eq!([2, 3].map(|id| off(id, &leader)), [None, None]);
        let two = [(1, 0), (2, -DAY)];
        assert_eq!([1, 2].map(|id| off(id, &two)), [None, Some(-DAY)]);
        assert_eq!(off(1, &[(1, 0)]), None);
        assert_eq!(off(4, &one), None);
        // Machines that have just started may differ by this much.
        assert_eq!(off(2, &[(1, 0), (2, 290_000), (3, 0)]), None);
    }

    #[test]
    fn the_difference_is_described() {
        assert!(describe(400 * DAY).starts_with("its clock is 400 days ahead of the other nodes'"));
        assert!(describe(-3 * 3_600_000).starts_with("its clock is 3 hours behind the other nodes'"));
    }
}
