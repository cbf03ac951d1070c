//! Majorities.

use crate::{Member, Policy};

/// Whether more than half of the voters give signs of life.
#[must_use]
pub fn holds<'a>(voters: impl IntoIterator<Item = &'a Member>, policy: &Policy) -> bool {
    let (mut alive, mut all) = (0, 0);
    for voter in voters {
        all += 1;
        alive += usize::from(voter.is_alive(policy));
    }
    alive * 2 > all
}

/// Whether the other voters could still decide without this member.
#[must_use]
pub fn survives_without(members: &[Member], id: u64, policy: &Policy) -> bool {
    holds(members.iter().filter(|member| member.voter && member.id != id), policy)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::voters::tests::{DEAD, members};

    #[test]
    fn the_last_living_majority_is_not_given_away() {
        let policy = Policy::default();
        let mut three = members(3, 3);
        assert!(survives_without(&three, 3, &policy));
        three[1].silent_for = DEAD;
        // The dead one may be removed, a living one may not: one of two is no majority.
        assert!(survives_without(&three, 2, &policy));
        assert!(!survives_without(&three, 3, &policy));
        three[1].silent_for = Duration::ZERO;
        assert!(!survives_without(&members(1, 1), 1, &policy));
    }
}
