//! Which ticks are due, with clocks that jump and times without a leader.

use jiff::{SignedDuration, Timestamp};

use super::{AHEAD, CatchUp, Due, Schedule, due};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn decide(pattern: &str, now: &str, ticked: &str) -> Due {
    due(&Schedule::parse(pattern, Some("Europe/Berlin")).unwrap(), at(now), at(ticked), CatchUp::Last)
}

#[test]
fn a_tick_is_due_once() {
    let first = decide("0 3 * * *", "2026-12-01T02:00:00.2Z", "2026-11-30T02:00:00Z");
    assert_eq!(first.tick, Some(at("2026-12-01T02:00:00Z")));
    assert_eq!((first.is_late, first.missed, first.ticked), (false, 0, at("2026-12-01T02:00:00Z")));
    assert_eq!(first.next, Some(at("2026-12-02T02:00:00Z")));
    let again = decide("0 3 * * *", "2026-12-01T02:00:00.4Z", "2026-12-01T02:00:00Z");
    assert_eq!((again.tick, again.ticked, again.next), (None, first.ticked, first.next));
    let before = decide("0 3 * * *", "2026-12-01T01:59:59.999Z", "2026-11-30T02:00:00Z");
    assert_eq!((before.tick, before.next), (None, Some(at("2026-12-01T02:00:00Z"))));
}

#[test]
fn after_a_long_time_the_latest_tick_alone_is_caught_up_with() {
    let after = decide("*/10 * * * *", "2026-12-01T12:05:00Z", "2026-12-01T10:00:00Z");
    assert_eq!(after.tick, Some(at("2026-12-01T12:00:00Z")));
    assert_eq!((after.is_late, after.missed), (true, 11));
    assert_eq!(after.next, Some(at("2026-12-01T12:10:00Z")));
    let year = decide("* * * * *", "2026-12-01T12:05:30Z", "2025-12-01T12:05:00Z");
    assert_eq!((year.tick, year.missed), (Some(at("2026-12-01T12:05:00Z")), 1_000));
    let rare = decide("0 0 29 2 *", "2026-12-01T12:05:30Z", "2023-12-01T12:05:00Z");
    assert_eq!((rare.tick, rare.missed), (Some(at("2024-02-28T23:00:00Z")), 0));
    let schedule = Schedule::parse("*/10 * * * *", None).unwrap();
    let none = due(&schedule, at("2026-12-01T12:05:00Z"), at("2026-12-01T10:00:00Z"), CatchUp::None);
    assert_eq!((none.tick, none.missed, none.ticked), (None, 12, at("2026-12-01T12:00:00Z")));
    let soon = due(&schedule, at("2026-12-01T12:00:59Z"), at("2026-12-01T10:00:00Z"), CatchUp::None);
    assert_eq!((soon.tick, soon.missed), (Some(at("2026-12-01T12:00:00Z")), 11));
}

#[test]
fn the_day_when_clocks_change_has_its_tick_once_whenever_a_leader_looks() {
    for (pattern, day, expected) in [
        ("30 2 * * *", "2026-03-28T23:00:00Z", "2026-03-29T01:00:00Z"),
        ("30 2 * * *", "2026-10-24T22:00:00Z", "2026-10-25T00:30:00Z"),
        ("0 2,3 * * *", "2026-03-28T23:00:00Z", "2026-03-29T01:00:00Z"),
    ] {
        for pace in [47, 1_800] {
            let (mut now, mut ticked, mut ticks) = (at(day), at(day), Vec::new());
            let schedule = Schedule::parse(pattern, Some("Europe/Berlin")).unwrap();
            while now < at(day) + SignedDuration::from_hours(20) {
                let found = due(&schedule, now, ticked, CatchUp::Last);
                ticks.extend(found.tick);
                ticked = found.ticked;
                now += SignedDuration::from_secs(pace);
            }
            assert_eq!(ticks, [at(expected)], "{pattern}, each {pace} s");
        }
    }
}

/// The ticks of a leader whose clock shows these times, one after the other.
fn ticks(pattern: &str, mut ticked: Timestamp, clock: &[&str]) -> Vec<String> {
    let schedule = Schedule::parse(pattern, Some("UTC")).unwrap();
    let mut found = Vec::new();
    for now in clock {
        let due = due(&schedule, at(now), ticked, CatchUp::Last);
        assert!(due.next.is_none_or(|next| next > at(now)), "it would wake at once, again and again");
        found.extend(due.tick.map(|tick| tick.to_string()));
        ticked = due.ticked;
    }
    found
}

#[test]
fn a_clock_that_jumps_repeats_no_tick() {
    let begin = at("2026-12-01T10:00:00Z");
    // Back by an hour, and on again.
    let back = ["2026-12-01T12:00:01Z", "2026-12-01T11:00:02Z", "2026-12-01T12:00:03Z", "2026-12-01T13:00:00Z"];
    assert_eq!(ticks("0 * * * *", begin, &back), ["2026-12-01T12:00:00Z", "2026-12-01T13:00:00Z"]);
    // Forward by two hours: one tick, the latest. Back to the right time: the hours until then are over.
    let forward = ["2026-12-01T12:30:00Z", "2026-12-01T10:31:00Z", "2026-12-01T12:00:05Z", "2026-12-01T13:00:05Z"];
    assert_eq!(ticks("0 * * * *", begin, &forward), ["2026-12-01T12:00:00Z", "2026-12-01T13:00:00Z"]);
}

#[test]
fn a_clock_that_was_wrong_by_years_stops_no_schedule() {
    let wrong = at("2031-01-01T00:00:00Z");
    let schedule = Schedule::parse("0 * * * *", None).unwrap();
    let now = at("2026-12-01T10:30:00Z");
    let anew = due(&schedule, now, wrong, CatchUp::Last);
    assert_eq!((anew.tick, anew.ticked, anew.begins_anew), (None, now, true));
    assert_eq!(anew.next, Some(at("2026-12-01T11:00:00Z")));
    let waits = due(&schedule, now, now + AHEAD, CatchUp::Last);
    assert_eq!((waits.tick, waits.begins_anew), (None, false));
    assert_eq!(waits.next, Some(at("2026-12-02T11:00:00Z")));
}
