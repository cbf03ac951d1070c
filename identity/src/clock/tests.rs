use proptest::prelude::*;

use super::*;

const HOUR: u64 = 3600;

/// Any time from a second to a century, at any moment of the last and the next thousand years.
fn validity() -> impl Strategy<Value = Validity> {
    (0..30_000_000_000_u64, 1..3_200_000_000_u64)
        .prop_map(|(not_before, life)| Validity { not_before, not_after: not_before + life })
}

proptest! {
    #[test]
    fn phases_follow_each_other_and_never_go_back(validity in validity(), a in 0..40_000_000_000_u64, b in 0..40_000_000_000_u64) {
        let (earlier, later) = (a.min(b), a.max(b));
        prop_assert!(validity.phase(earlier) <= validity.phase(later));
        prop_assert!(!validity.is_overdue(earlier) || validity.is_overdue(later));
    }

    #[test]
    fn both_ends_belong_to_the_life(validity in validity()) {
        let accepted = |now| matches!(validity.phase(now), Phase::Valid | Phase::Due);
        prop_assert!(accepted(validity.not_before) && accepted(validity.not_after));
        prop_assert_eq!(validity.phase(validity.not_after), Phase::Due);
        prop_assert_eq!(validity.phase(validity.not_after + 1), Phase::Expired);
        prop_assert!(validity.not_before == 0 || validity.phase(validity.not_before - 1) == Phase::Early);
    }

    #[test]
    fn it_is_due_in_the_last_third_alone(validity in validity(), part in 0.0..1.0_f64) {
        let life = validity.not_after - validity.not_before;
        let now = validity.not_before + (life as f64 * part) as u64;
        // A second's rounding on either side.
        let third = life / 3;
        let left = validity.not_after - now;
        match validity.phase(now) {
            Phase::Due => prop_assert!(left <= third + 1),
            Phase::Valid => prop_assert!(left >= third),
            other => prop_assert!(false, "{other:?} within its life"),
        }
        prop_assert!(!validity.is_overdue(now) || validity.phase(now) == Phase::Due);
    }

    #[test]
    fn what_is_left_shrinks_by_what_passes(validity in validity(), now in 0..30_000_000_000_u64, passes in 0..1_000_000_u64) {
        let (before, after) = (validity.left(now), validity.left(now + passes));
        prop_assert_eq!(after, before.saturating_sub(Duration::from_secs(passes)));
        prop_assert!(now < validity.not_before || before <= validity.lifetime());
    }

    #[test]
    fn an_earlier_end_never_lets_it_live_longer(validity in validity(), end in 0..40_000_000_000_u64, now in 0..40_000_000_000_u64) {
        let cut = validity.ending_by(end);
        prop_assert!(cut.not_after <= end && cut.not_after <= validity.not_after);
        prop_assert!(cut.left(now) <= validity.left(now));
        prop_assert!(validity.phase(now) != Phase::Expired || cut.phase(now) == Phase::Expired);
    }
}

#[test]
fn a_new_certificate_is_good_for_two_thirds_of_its_life() {
    for hours in [1, 24, 24 * 30, 24 * 365] {
        let validity = Validity::lasting(Duration::from_secs(hours * HOUR));
        let now = unix_now();
        assert_eq!(validity.phase(now), Phase::Valid, "{hours} h");
        assert_eq!(validity.phase(now + hours * HOUR / 2), Phase::Valid, "{hours} h");
        assert_eq!(validity.phase(now + hours * HOUR * 3 / 4), Phase::Due, "{hours} h");
        assert!(!validity.is_overdue(now + hours * HOUR * 3 / 4), "{hours} h");
        assert!(validity.is_overdue(now + hours * HOUR * 9 / 10), "{hours} h");
    }
}

#[test]
fn one_that_ends_before_it_begins_is_never_good() {
    let validity = Validity { not_before: 2000, not_after: 1000 };
    for now in [0, 999, 1000, 1500, 2000, 3000] {
        assert!(matches!(validity.phase(now), Phase::Early | Phase::Expired), "{now}");
    }
    assert_eq!(validity.lifetime(), Duration::ZERO);
}
