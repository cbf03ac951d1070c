//! Times of schedules, on ordinary days and on those when clocks change.

use jiff::Timestamp;

use super::Schedule;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The times after `from`, in the schedule's zone.
fn times(pattern: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
    let schedule = Schedule::parse(pattern, Some(zone)).unwrap();
    let mut now = at(from);
    let mut found = Vec::new();
    for _ in 0..count {
        now = schedule.next_after(now).unwrap();
        found.push(schedule.local(now).trim_start_matches("2026-").to_owned());
    }
    found
}

fn refusal(pattern: &str) -> String {
    Schedule::parse(pattern, None).unwrap_err().to_string()
}

#[test]
fn fixed_times_come_once_on_days_when_clocks_change() {
    let cases: &[(&str, &str, &str, &[&str])] = &[
        // Forward, 2:00 to 3:00: right after the hour that is left out.
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-03-27T12:00:00Z",
            &["03-28T02:30:00+01:00", "03-29T03:00:00+02:00", "03-30T02:30:00+02:00"],
        ),
        // What falls right after it by itself comes once, not twice.
        ("0 2,3 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", &["03-29T03:00:00+02:00", "03-30T02:00:00+02:00"]),
        // A list is fixed, too.
        (
            "15,45 2 * * *",
            "America/New_York",
            "2026-03-07T12:00:00Z",
            &["03-08T03:00:00-04:00", "03-09T02:15:00-04:00", "03-09T02:45:00-04:00"],
        ),
        ("0 2-4 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", &["03-29T03:00:00+02:00", "03-29T04:00:00+02:00"]),
        // By half an hour.
        (
            "15 2 * * *",
            "Australia/Lord_Howe",
            "2026-10-03T12:00:00Z",
            &["10-04T02:30:00+11:00", "10-05T02:15:00+11:00"],
        ),
        // At midnight, which does not exist on that day.
        ("0 0 * * *", "America/Santiago", "2026-09-05T12:00:00Z", &["09-06T01:00:00-03:00", "09-07T00:00:00-03:00"]),
        // Back, 3:00 to 2:00: the first of the two.
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", &["10-25T02:30:00+02:00", "10-26T02:30:00+01:00"]),
        (
            "0 2,14 * * *",
            "Europe/Berlin",
            "2026-10-24T13:00:00Z",
            &["10-25T02:00:00+02:00", "10-25T14:00:00+01:00", "10-26T02:00:00+01:00"],
        ),
        ("30 1 * * *", "America/New_York", "2026-10-31T12:00:00Z", &["11-01T01:30:00-04:00", "11-02T01:30:00-05:00"]),
        (
            "45 1 * * *",
            "Australia/Lord_Howe",
            "2026-04-04T00:00:00Z",
            &["04-05T01:45:00+11:00", "04-06T01:45:00+10:30"],
        ),
        // From between the two.
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T00:45:00Z", &["10-26T02:30:00+01:00"]),
        ("30 2 * * *", "UTC", "2026-03-29T00:00:00Z", &["03-29T02:30:00+00:00", "03-30T02:30:00+00:00"]),
    ];
    for (pattern, zone, from, expected) in cases {
        assert_eq!(times(pattern, zone, from, expected.len()), *expected, "{pattern} {zone}");
    }
}

#[test]
fn wildcards_follow_the_time_that_passes() {
    let forward = times("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:15:00Z", 3);
    assert_eq!(forward, ["03-29T01:30:00+01:00", "03-29T03:00:00+02:00", "03-29T03:30:00+02:00"]);
    let back = times("*/30 * * * *", "Europe/Berlin", "2026-10-24T23:45:00Z", 6);
    let expected = ["02:00:00+02", "02:30:00+02", "02:00:00+01", "02:30:00+01", "03:00:00+01", "03:30:00+01"];
    assert_eq!(back, expected.map(|time| format!("10-25T{time}:00")));
    let hourly = times("30 * * * *", "America/New_York", "2026-11-01T04:45:00Z", 3);
    assert_eq!(hourly, ["11-01T01:30:00-04:00", "11-01T01:30:00-05:00", "11-01T02:30:00-05:00"]);
    // The hours are a wildcard: on the wall clock 2:30 is left out.
    let hours = times("30 */2 * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", 2);
    assert_eq!(hours, ["03-29T04:30:00+02:00", "03-29T06:30:00+02:00"]);
    // No minute is left out or doubled, whatever the clock shows.
    for (zone, from) in [
        ("Europe/Berlin", "2026-10-24T23:50:00Z"),
        ("Europe/Berlin", "2026-03-29T00:50:00Z"),
        ("Australia/Lord_Howe", "2026-04-04T14:20:00Z"),
        ("Asia/Kathmandu", "2026-04-04T14:20:00Z"),
    ] {
        let schedule = Schedule::parse("* * * * *", Some(zone)).unwrap();
        let mut now = at(from);
        for _ in 0..240 {
            let next = schedule.next_after(now).unwrap();
            assert_eq!(next.duration_since(now).as_secs(), 60, "{zone} {now}");
            now = next;
        }
    }
}

#[test]
fn the_days_are_those_that_cron_means() {
    // Day 13 or a Friday.
    assert_eq!(
        times("0 0 13 * 5", "UTC", "2026-02-01T00:00:00Z", 4),
        ["02-06", "02-13", "02-20", "02-27"].map(|day| format!("{day}T00:00:00+00:00"))
    );
    assert_eq!(
        times("0 0 13 * FRI", "UTC", "2026-01-09T12:00:00Z", 2),
        ["01-13", "01-16"].map(|day| format!("{day}T00:00:00+00:00"))
    );
    for sunday in ["0 0 * * 7", "0 0 * * 0", "0 0 * * SUN", "@weekly"] {
        assert_eq!(times(sunday, "UTC", "2026-02-01T12:00:00Z", 1), ["02-08T00:00:00+00:00"], "{sunday}");
    }
    let days = |pattern: &str| -> Vec<String> {
        let found = times(pattern, "UTC", "2026-02-01T12:00:00Z", 3);
        found.iter().map(|time| time[..5].to_owned()).collect()
    };
    assert_eq!(days("0 0 * * 5-7"), ["02-06", "02-07", "02-08"]);
    assert_eq!(days("0 0 * 01 *"), ["2027-", "2027-", "2027-"]);
    assert_eq!(days("0 0 L * *"), ["02-28", "03-31", "04-30"]);
    assert_eq!(days("0 0 * * FRI#2"), ["02-13", "03-13", "04-10"]);
    assert_eq!(days("0 0 * * 5L"), ["02-27", "03-27", "04-24"]);
    assert_eq!(days("0 0 1W * *"), ["02-02", "03-02", "04-01"]);
    assert_eq!(days("0 0 1-31/2 * 1"), ["02-02", "02-03", "02-05"]);
    assert_eq!(days("@monthly"), ["03-01", "04-01", "05-01"]);
    for daily in ["@daily", "@midnight", "@DAILY", "0 0 * * ?"] {
        assert_eq!(days(daily), ["02-02", "02-03", "02-04"], "{daily}");
    }
    assert_eq!(times("@hourly", "UTC", "2026-02-01T12:30:00Z", 1), ["02-01T13:00:00+00:00"]);
    assert_eq!(times("0 0 29 2 *", "UTC", "2026-02-01T12:30:00Z", 1), ["2028-02-29T00:00:00+00:00"]);
}

#[test]
fn what_is_wrong_is_refused_with_the_expected_form() {
    for six in ["* * * * * *", "0 3 * * * *", "0 0 1 1 * 2030", "* * *", ""] {
        assert!(refusal(six).contains("expected five fields"), "{six}: {}", refusal(six));
    }
    for wrong in [
        "60 * * * *",
        "0 24 * * *",
        "0 0 0 * *",
        "0 0 * 13 *",
        "0 0 * * 8",
        "a b c d e",
        "5/15 * * * *",
        "0 0 13 * +5",
        "*/0 * * * *",
    ] {
        assert!(refusal(wrong).starts_with(&format!("invalid schedule `{wrong}`: ")), "{}", refusal(wrong));
    }
    assert!(refusal("@reboot").contains("expected one of @yearly, "));
    assert!(refusal("0 0 31 2 *").contains("no such day exists"));
    assert!(refusal("0 0 */2 * 1").contains("write the days as a list"));
    let zone = Schedule::parse("@daily", Some("Europe/Berlin2")).unwrap_err().to_string();
    assert!(zone.contains("`Europe/Berlin2`") && zone.contains("`Europe/Berlin`"), "{zone}");
}

#[test]
fn a_schedule_has_words() {
    for (pattern, words) in [
        ("* * * * *", "every minute"),
        ("*/5 * * * *", "every 5 minutes"),
        ("@hourly", "every hour"),
        ("15 * * * *", "every hour at minute 15"),
        ("0 3 * * *", "every day at 03:00"),
        ("5 14 * * 1", "every Monday at 14:05"),
        ("5 14 * * sun", "every Sunday at 14:05"),
        ("0 3 1 * *", "at `0 3 1 * *`"),
    ] {
        let schedule = Schedule::parse(pattern, Some("Europe/Berlin")).unwrap();
        assert_eq!(schedule.words(), format!("{words} (Europe/Berlin)"), "{pattern}");
    }
}
