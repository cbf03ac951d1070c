//! The number of nodes that a script's `bootstrap` requests, compared with the cluster's target size.
//!
//! A bootstrap repairs, and is run again for that: it adds what is missing and never removes anything unasked. A target
//! size that the operator has set since by `disco scale` is newer than an unchanged number in the script, so only a
//! script whose number has decreased requests fewer nodes, which the operator confirms first.

/// The effect of the number that a script requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Set the target size to this number, which is not smaller.
    Take(u32),
    /// The script requests fewer, as before: the target size stays.
    Keep(u32),
    /// The script requests fewer than before: the operator confirms that, or nothing changes.
    Confirm {
        /// Current target size.
        from: u32,
        /// Number in the script.
        to: u32,
    },
}

/// Decides. `target` is the current target size; `before` is the number of the script's last bootstrap. Each is absent
/// if unknown, as in a cluster that was created before such numbers were recorded.
#[must_use]
pub fn of_script(requested: u32, target: Option<u32>, before: Option<u32>) -> Wish {
    match (target, before) {
        (Some(target), Some(before)) if requested < target && requested != before => {
            Wish::Confirm { from: target, to: requested }
        }
        (Some(target), _) if requested < target => Wish::Keep(target),
        _ => Wish::Take(requested),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_set_by_hand_outlives_an_older_one_of_the_script() {
        assert_eq!(of_script(3, None, None), Wish::Take(3));
        assert_eq!(of_script(3, Some(3), Some(3)), Wish::Take(3));
        // `disco scale nodes=5`, then a repair.
        assert_eq!(of_script(3, Some(5), Some(3)), Wish::Keep(5));
        // The previous number is unknown.
        assert_eq!(of_script(3, Some(5), None), Wish::Keep(5));
    }

    #[test]
    fn a_number_that_has_changed_in_the_script_counts() {
        assert_eq!(of_script(5, Some(3), Some(3)), Wish::Take(5));
        assert_eq!(of_script(2, Some(3), Some(3)), Wish::Confirm { from: 3, to: 2 });
        assert_eq!(of_script(4, Some(5), Some(3)), Wish::Confirm { from: 5, to: 4 });
    }

    proptest! {
        /// The target size never decreases unasked.
        #[test]
        fn the_target_never_decreases_unasked(requested in 1u32..60, target in prop::option::of(1u32..60), before in prop::option::of(1u32..60)) {
            match of_script(requested, target, before) {
                Wish::Take(nodes) => {
                    prop_assert_eq!(nodes, requested);
                    prop_assert!(target.is_none_or(|target| nodes >= target));
                }
                Wish::Keep(nodes) => {
                    prop_assert_eq!(Some(nodes), target);
                    prop_assert!(nodes > requested);
                }
                Wish::Confirm { from, to } => {
                    prop_assert_eq!((Some(from), to), (target, requested));
                    prop_assert!(to < from && before.is_some_and(|before| before != requested));
                }
            }
        }
    }
}
