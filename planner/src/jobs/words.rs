//! A schedule in words.

use super::schedule::Schedule;

const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const SHORT: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

impl Schedule {
    /// Such as `every day at 03:00 (Europe/Berlin)`. What has no short words is the pattern itself.
    #[must_use]
    pub fn words(&self) -> String {
        let fields = self.fields();
        let [minute, hour, day, month, weekday] = fields.iter().map(String::as_str).collect::<Vec<_>>()[..] else {
            return self.pattern().to_owned();
        };
        let every = |field: &str| field == "*" || field == "?";
        let text = match (number(minute), number(hour), every(day) && every(month)) {
            (_, None, true) if minute == "*" && hour == "*" && every(weekday) => Some("every minute".to_owned()),
            (None, None, true) if hour == "*" && every(weekday) => {
                minute.strip_prefix("*/").and_then(number).map(|count| format!("every {count} minutes"))
            }
            (Some(minute), None, true) if hour == "*" && every(weekday) => Some(match minute {
                0 => "every hour".to_owned(),
                minute => format!("every hour at minute {minute}"),
            }),
            (Some(minute), Some(hour), true) => {
                let at = format!("at {hour:02}:{minute:02}");
                if every(weekday) {
                    Some(format!("every day {at}"))
                } else {
                    name(weekday).map(|day| format!("every {day} {at}"))
                }
            }
            _ => None,
        };
        let text = text.unwrap_or_else(|| format!("at `{}`", self.pattern()));
        format!("{text} ({})", self.zone())
    }
}

fn number(field: &str) -> Option<u32> {
    field.parse().ok()
}

fn name(weekday: &str) -> Option<&'static str> {
    let by_number = number(weekday).and_then(|number| DAYS.get(number as usize % 7).filter(|_| number <= 7));
    let by_name = SHORT.iter().position(|short| short.eq_ignore_ascii_case(weekday)).and_then(|at| DAYS.get(at));
    by_number.or(by_name).copied()
}
