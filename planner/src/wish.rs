//! The number of nodes that `bootstrap` of a script asks for, beside the number that the cluster is to have already.
//!
//! A bootstrap repairs, and is run again for that: it adds what is missing and never takes away unasked. The number that the
//! operator has set since by `disco scale` is newer than one that stands in the script as it stood before, so only a script whose
//! number has become smaller is a wish for fewer nodes, and that one is confirmed first.

/// What comes of the number that a script asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// So many nodes from now on, which are no fewer than before.
    Take(u32),
    /// The script asks for fewer, as it did before: so many as are wished already stay wished.
    Keep(u32),
    /// The script asks for fewer than it did: the operator confirms that, or nothing changes.
    Confirm {
        /// Wished now.
        from: u32,
        /// What the script asks for.
        to: u32,
    },
}

/// Decides. `wished`: by whomever; `before`: what the script's last bootstrap asked for. Each is absent where it is not known, as in a
/// cluster that was made before such numbers were kept.
#[must_use]
pub fn of_script(asked: u32, wished: Option<u32>, before: Option<u32>) -> Wish {
    match (wished, before) {
        (Some(wished), Some(before)) if asked < wished && asked != before => Wish::Confirm { from: wished, to: asked },
        (Some(wished), _) if asked < wished => Wish::Keep(wished),
        _ => Wish::Take(asked),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_number_that_was_set_by_hand_outlives_an_older_one_of_the_script() {
        assert_eq!(of_script(3, None, None), Wish::Take(3));
        assert_eq!(of_script(3, Some(3), Some(3)), Wish::Take(3));
        // `disco scale nodes=5`, then a repair.
        assert_eq!(of_script(3, Some(5), Some(3)), Wish::Keep(5));
        // Nothing is known of what it asked for before.
        assert_eq!(of_script(3, Some(5), None), Wish::Keep(5));
    }

    #[test]
    fn a_number_that_has_changed_in_the_script_counts() {
        assert_eq!(of_script(5, Some(3), Some(3)), Wish::Take(5));
        assert_eq!(of_script(2, Some(3), Some(3)), Wish::Confirm { from: 3, to: 2 });
        assert_eq!(of_script(4, Some(5), Some(3)), Wish::Confirm { from: 5, to: 4 });
    }

    proptest! {
        /// Unasked there are never fewer.
        #[test]
        fn nothing_is_taken_away_unasked(asked in 1u32..60, wished in prop::option::of(1u32..60), before in prop::option::of(1u32..60)) {
            match of_script(asked, wished, before) {
                Wish::Take(nodes) => {
                    prop_assert_eq!(nodes, asked);
                    prop_assert!(wished.is_none_or(|wished| nodes >= wished));
                }
                Wish::Keep(nodes) => {
                    prop_assert_eq!(Some(nodes), wished);
                    prop_assert!(nodes > asked);
                }
                Wish::Confirm { from, to } => {
                    prop_assert_eq!((Some(from), to), (wished, asked));
                    prop_assert!(to < from && before.is_some_and(|before| before != asked));
                }
            }
        }
    }
}
