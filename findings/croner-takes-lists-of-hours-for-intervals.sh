#!/usr/bin/env bash
# croner 4.0.3 (with chrono 0.4.45 and chrono-tz 0.10.4) takes a list of hours for an interval on the days when clocks change.
#
# Expected, as its README has it: "jobs with specific numerical values for seconds, minutes, and hours" are fixed: a time in the gap of spring runs right
# after the gap, a time that comes twice in autumn runs once; wildcards and steps are intervals. Debian's cron, whose rule it names, takes for an
# interval only what begins with `*`.
# Actual: a field is fixed only as a single number. `30 2 * * *` runs at 03:00 on the day of the gap and once in autumn; `30 2,14 * * *` leaves the
# night's run out in spring, and makes it twice in autumn.
#
# Disco searches on the wall clock and maps the times to instants itself (planner/src/jobs/schedule.rs), by Debian's rule.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/try/src"
cat >"$work/try/Cargo.toml" <<'TOML'
[package]
name = "try"
edition = "2024"
[dependencies]
chrono = "=0.4.45"
chrono-tz = "=0.10.4"
croner = "=4.0.3"
TOML
cat >"$work/try/src/main.rs" <<'RUST'
use std::str::FromStr;

use chrono::{NaiveDate, TimeZone};
use chrono_tz::Europe::Berlin;
use croner::Cron;

fn main() {
    for (day, month) in [(29, 3), (25, 10)] {
        for pattern in ["30 2 * * *", "30 2,14 * * *"] {
            let cron = Cron::from_str(pattern).unwrap();
            let midnight = NaiveDate::from_ymd_opt(2026, month, day).unwrap().and_hms_opt(0, 0, 0).unwrap();
            let start = Berlin.from_local_datetime(&midnight).unwrap();
            let day = cron.iter_from(start, croner::Direction::Forward).take_while(|time| time.date_naive() == start.date_naive());
            let times: Vec<String> = day.map(|time| time.format("%H:%M%z").to_string()).collect();
            println!("{} {pattern}: {}", start.format("%m-%d"), times.join(" "));
        }
    }
}
RUST
seen=$(cargo run -q --manifest-path "$work/try/Cargo.toml" --target-dir "$work/target" 2>&1)
printf '%s\n' "$seen"
[ "$seen" = '03-29 30 2 * * *: 03:00+0200
03-29 30 2,14 * * *: 14:30+0200
10-25 30 2 * * *: 02:30+0200
10-25 30 2,14 * * *: 02:30+0200 02:30+0100 14:30+0100' ]
