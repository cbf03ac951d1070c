//! The times of a schedule: a cron pattern in a time zone.
//!
//! `croner` finds the times on the wall clock; how they become instants on the days when clocks change is decided here. Its own
//! rule counts a pattern as fixed only where minute and hour are single numbers, so that `0 2,14 * * *` would be left out in
//! spring and come twice in autumn. Here it is Debian's rule: fixed is what has no `*` in front of minutes or hours.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp};
use thiserror::Error;

/// More than a clock is ever moved by.
const LARGEST_CHANGE: SignedDuration = SignedDuration::from_hours(26);
/// Times on the wall clock that may lead to one instant, or lie within the largest change of a clock.
const MOST_STEPS: usize = 30 * 60;
/// Names of whole patterns. `@midnight` is another name of `@daily`.
const NAMES: &[(&str, &str)] = &[
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// A cron pattern in a time zone.
#[derive(Clone, Debug)]
pub struct Schedule {
    pattern: String,
    cron: Cron,
    zone: TimeZone,
    zone_name: String,
    /// Neither minutes nor hours begin with `*`.
    fixed: bool,
}

/// What is wrong with a schedule.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ScheduleError {
    /// The pattern.
    #[error("{0}")]
    Pattern(String),
    /// The time zone.
    #[error("unknown time zone `{0}`: expected a name of the IANA database, such as `Europe/Berlin` or `UTC`")]
    Zone(String),
}

// === impl Schedule ===

impl Schedule {
    /// Reads a pattern of five fields, or a name such as `@daily`. Without a zone it is that of `UTC`.
    ///
    /// # Errors
    /// What is wrong with one of them.
    pub fn parse(pattern: &str, zone: Option<&str>) -> Result<Self, ScheduleError> {
        let zone_name = zone.unwrap_or("UTC");
        let zone = TimeZone::get(zone_name).map_err(|_| ScheduleError::Zone(zone_name.to_owned()))?;
        let pattern = pattern.trim();
        let fields = fields(pattern)?;
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(&fields.join(" ")).map_err(|error| {
            let text = error.to_string();
            let text = text.trim_end_matches('.').trim_start_matches("Component error: ");
            ScheduleError::Pattern(format!("invalid schedule `{pattern}`: {text}"))
        })?;
        let fixed = fields.iter().take(2).all(|field| !field.starts_with('*'));
        let schedule = Self { pattern: pattern.to_owned(), cron, zone, zone_name: zone_name.to_owned(), fixed };
        // Such as the 30th of February: a leader would look for it again and again.
        let start = DateTime::constant(2024, 1, 1, 0, 0, 0, 0);
        if schedule.cron.find_next_occurrence(&start, true).is_err() {
            return Err(ScheduleError::Pattern(format!("the schedule `{pattern}` has no time: no such day exists")));
        }
        Ok(schedule)
    }

    /// The pattern, as it was given.
    #[must_use]
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// The time zone's name.
    #[must_use]
    pub fn zone(&self) -> &str {
        &self.zone_name
    }

    /// The five fields.
    pub(super) fn fields(&self) -> Vec<String> {
        fields(&self.pattern).unwrap_or_default()
    }

    /// The first time after the given one. `None`: beyond the years that a clock has.
    #[must_use]
    pub fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        if self.fixed { self.next_fixed(time) } else { self.next_passing(time) }
    }

    /// The time in the schedule's zone, such as `2026-12-01T03:00:00+01:00`.
    #[must_use]
    pub fn local(&self, time: Timestamp) -> String {
        time.to_zoned(self.zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
    }

    /// Times of the wall clock in their order, each of which becomes one instant. That order is the one of the instants, too.
    fn next_fixed(&self, time: Timestamp) -> Option<Timestamp> {
        let local = time.to_zoned(self.zone.clone()).datetime();
        // Far from a change of clocks the next time on the wall clock is the next instant.
        let mut civil = if self.is_steady(time) { local } else { local.checked_sub(LARGEST_CHANGE).ok()? };
        for _ in 0..MOST_STEPS {
            civil = self.cron.find_next_occurrence(&civil, false).ok()?;
            let at = self.instant(civil)?;
            if at > time {
                return Some(at);
            }
        }
        None
    }

    /// Whether no clock is changed around this time.
    fn is_steady(&self, time: Timestamp) -> bool {
        let offset = |at: Option<Timestamp>| at.map(|at| self.zone.to_offset(at));
        let (before, after) = (time.checked_sub(LARGEST_CHANGE).ok(), time.checked_add(LARGEST_CHANGE).ok());
        let now = offset(Some(time));
        offset(before) == now && offset(after) == now
    }

    /// The instant of a time on the wall clock: the first of two, and right after the hour that is left out.
    fn instant(&self, civil: DateTime) -> Option<Timestamp> {
        let ambiguous = self.zone.to_ambiguous_timestamp(civil);
        match ambiguous.offset() {
            AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => ambiguous.earlier().ok(),
            AmbiguousOffset::Gap { .. } => {
                // The clock before the change reads this after it, and the one after the change before it.
                let before = ambiguous.earlier().ok()?;
                self.zone.following(before).next().map(|change| change.timestamp())
            }
        }
    }

    /// Real time: what is left out on the wall clock does not come, and what comes twice comes twice.
    fn next_passing(&self, time: Timestamp) -> Option<Timestamp> {
        let zoned = time.to_zoned(self.zone.clone());
        self.cron.find_next_occurrence(&zoned, false).ok().map(|next| next.timestamp())
    }
}

/// The five fields of a pattern, checked for what other crons read in other ways.
fn fields(pattern: &str) -> Result<Vec<String>, ScheduleError> {
    let wrong = |why: String| Err(ScheduleError::Pattern(format!("invalid schedule `{pattern}`: {why}")));
    if pattern.starts_with('@') {
        let known = NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(pattern));
        let Some((_, fields)) = known else {
            let names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
            return wrong(format!("expected one of {}", names.join(", ")));
        };
        return Ok(fields.split(' ').map(str::to_owned).collect());
    }
    let fields: Vec<String> = pattern.split_whitespace().map(str::to_owned).collect();
    if fields.len() != 5 {
        return wrong(format!(
            "expected five fields (minute, hour, day of the month, month, day of the week), such as `0 3 * * *`, not {}",
            fields.len()
        ));
    }
    if fields.iter().any(|field| field.contains('+')) {
        return wrong("`+` is not known".to_owned());
    }
    let (day, weekday) = (&fields[2], &fields[4]);
    let is_step = |field: &str| field.starts_with("*/");
    let is_any = |field: &str| field == "*" || field == "?";
    if (is_step(day) && !is_any(weekday)) || (is_step(weekday) && !is_any(day)) {
        return wrong(
            "crons disagree whether `*/N` beside another day means both or one of them; write the days as a list"
                .to_owned(),
        );
    }
    Ok(fields)
}
