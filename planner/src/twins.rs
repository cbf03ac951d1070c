//! Which of two processes with one node's identity is the node.
//!
//! A data folder that was copied and started elsewhere is a second process with the same id, key and log. Two votes of
//! one id, or two acknowledgements, would break Raft's guarantees. So:
//!
//! 1. Each start of a folder has a number, one more than the previous, and a random mark. The cluster remembers both of
//!    the start that it last accepted, and the folder the marks of its own accepted starts. A process that does not
//!    descend from the start that the cluster remembers runs on an older copy, whose log lacks what the node has
//!    acknowledged since, and is refused wherever it runs.
//! 2. The node is the process that answers at the address recorded by the cluster. As long as one does, every other is
//!    refused.
//! 3. If none answers there, a process elsewhere is the node that has moved, unless another one has reported a moment
//!    ago.
//!
//! So a node may return anywhere once it is gone from its previous address, even on an unused copy of its folder; and
//! the copy of a node that lives, or that has continued, is refused.

/// One start of a node's data folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Life {
    /// How often the folder was started.
    pub number: u64,
    /// Random, so that two starts with the same number differ; 0 for a program of a version without this check.
    pub run: u64,
}

/// A start, and its ancestors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// The start.
    pub life: Life,
    /// The marks of the last earlier starts of the same folder that were accepted for the node.
    pub earlier: Vec<u64>,
}

/// The decision about a process that claims to be a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the node.
    Node,
    /// It was started from an older copy of the node's data folder.
    Older,
    /// The node lives, and this is another process.
    Twin,
    /// Undecided: no process answers at the node's address, but one has reported a moment ago.
    Unclear,
}

/// Decides about a process that claims to be a node after the starts `earlier`. The cluster remembers the start
/// `remembered`, `at_address` answers at the recorded address, and `heard` has reported as this node a moment ago.
#[must_use]
pub fn judge(claim: Life, earlier: &[u64], remembered: Life, at_address: Option<Life>, heard: Option<Life>) -> Verdict {
    let is_other = |life: Life| life.run != 0 && life.run != claim.run;
    if claim.run == 0 {
        return Verdict::Node;
    }
    if is_other(remembered) && (claim.number <= remembered.number || !earlier.contains(&remembered.run)) {
        return Verdict::Older;
    }
    match at_address {
        Some(life) if is_other(life) => Verdict::Twin,
        Some(_) => Verdict::Node,
        None if heard.is_some_and(is_other) => Verdict::Unclear,
        None => Verdict::Node,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn life(number: u64, run: u64) -> Life {
        Life { number, run }
    }

    #[test]
    fn a_copy_of_a_node_that_lives_is_refused_whatever_its_number() {
        let original = life(5, 1);
        assert_eq!(judge(life(6, 2), &[1], original, Some(original), None), Verdict::Twin);
        assert_eq!(judge(life(5, 2), &[1], original, Some(original), None), Verdict::Older);
        assert_eq!(judge(original, &[], original, Some(original), None), Verdict::Node);
    }

    #[test]
    fn an_old_copy_is_refused_even_after_the_node_is_gone() {
        // Both were started after 1, and the cluster has accepted 2.
        assert_eq!(judge(life(9, 3), &[1], life(6, 2), None, None), Verdict::Older);
        assert_eq!(judge(life(9, 3), &[1], life(6, 2), Some(life(9, 3)), None), Verdict::Older);
    }

    #[test]
    fn a_returning_node_is_accepted_anywhere() {
        // At its address, and elsewhere.
        assert_eq!(judge(life(6, 2), &[1], life(5, 1), Some(life(6, 2)), None), Verdict::Node);
        assert_eq!(judge(life(6, 2), &[1], life(5, 1), None, None), Verdict::Node);
        // But not while the previous one still reports.
        assert_eq!(judge(life(6, 2), &[1], life(5, 1), None, Some(life(5, 1))), Verdict::Unclear);
    }

    #[test]
    fn a_folder_set_back_is_refused_even_at_the_nodes_address() {
        assert_eq!(judge(life(4, 2), &[], life(5, 1), Some(life(4, 2)), None), Verdict::Older);
        assert_eq!(judge(life(4, 2), &[], life(5, 1), None, None), Verdict::Older);
    }

    #[test]
    fn a_previous_program_is_accepted() {
        assert_eq!(judge(Life::default(), &[], life(5, 1), Some(life(5, 1)), None), Verdict::Node);
        assert_eq!(judge(life(1, 1), &[], Life::default(), Some(Life::default()), None), Verdict::Node);
    }

    proptest! {
        /// Whichever process answers at the address, or reported last: two processes are never both the node.
        #[test]
        fn at_most_one_is_the_node(
            (a, b, remembered) in (0_u64..4, 0_u64..4, 0_u64..4),
            (after_a, after_b) in (prop::collection::vec(1_u64..4, 0..3), prop::collection::vec(1_u64..4, 0..3)),
            place in 0_u64..4,
            of_remembered in 1_u64..4,
        ) {
            let (a, b) = (life(a, 1), life(b, 2));
            let remembered = life(remembered, of_remembered);
            let lives = [None, Some(a), Some(b), Some(life(1, 3))];
            let at_address = lives[usize::try_from(place).unwrap()];
            let first = judge(a, &after_a, remembered, at_address, None);
            // An accepted process reports when the other one comes.
            let heard = (first == Verdict::Node).then_some(a);
            let second = judge(b, &after_b, remembered, at_address, heard);
            prop_assert!(first != Verdict::Node || second != Verdict::Node, "{a:?} {b:?} {remembered:?} {at_address:?}");
        }
    }
}
