//! The nodes of which a node fetches a content, in their order.

/// A node that may have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    pub id: u64,
    pub is_voter: bool,
    pub is_leader: bool,
    /// The last request did not reach it.
    pub is_unreachable: bool,
}

/// All peers: reachable ones first, of these the voters, which have it for certain, and of these the leader last, which has
/// the most to do. Equal ones begin at another place for each node and content, so that each serves its share.
#[must_use]
pub fn order(own: u64, sha256: &str, first: Option<u64>, peers: &[Peer]) -> Vec<u64> {
    let mut others: Vec<Peer> = peers.iter().filter(|peer| peer.id != own).copied().collect();
    others.sort_unstable_by_key(|peer| peer.id);
    let start = u64::from_str_radix(sha256.get(..8).unwrap_or_default(), 16).unwrap_or(0).wrapping_add(own);
    if let Ok(count) = u64::try_from(others.len())
        && let Some(start) = start.checked_rem(count)
    {
        others.rotate_left(usize::try_from(start).unwrap_or(0));
    }
    // Stable, so that equal ones stay in this order.
    others.sort_by_key(|peer| (Some(peer.id) != first, peer.is_unreachable, !peer.is_voter, peer.is_leader));
    others.into_iter().map(|peer| peer.id).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn peer(id: u64) -> Peer {
        Peer { id, is_voter: id <= 5, is_leader: id == 1, is_unreachable: id == 3 }
    }

    fn peers() -> Vec<Peer> {
        (1..=8).map(peer).collect()
    }

    #[test]
    fn voters_come_first_and_the_leader_after_them() {
        let found = order(4, "00000000ff", None, &peers());
        assert_eq!(found.len(), 7, "{found:?}");
        assert_eq!(found[..2].iter().copied().collect::<BTreeSet<_>>(), BTreeSet::from([2, 5]));
        assert_eq!((found[2], found[6]), (1, 3), "the leader before those that do not vote, the unreachable one last");
    }

    #[test]
    fn who_is_known_to_have_it_is_asked_first() {
        assert_eq!(order(4, "00000000ff", Some(8), &peers())[0], 8);
        assert_eq!(order(4, "00000000ff", Some(3), &peers())[0], 3);
        assert!(!order(4, "00000000ff", Some(4), &peers()).contains(&4));
    }

    #[test]
    fn nodes_and_contents_are_spread_over_the_voters() {
        let firsts = |own: u64| -> BTreeSet<u64> {
            (0..16_u32).map(|number| order(own, &format!("{number:08x}"), None, &peers())[0]).collect()
        };
        assert_eq!(firsts(8), BTreeSet::from([2, 4, 5]));
        let by_node: BTreeSet<u64> = (20..40).map(|own| order(own, "00000000", None, &peers())[0]).collect();
        assert_eq!(by_node, BTreeSet::from([2, 4, 5]));
        assert!(order(1, "", None, &[peer(1)]).is_empty());
    }
}
