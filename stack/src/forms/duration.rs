//! Durations: `1h30m`, `1.5s`, `90s`, `1d2h`, `1w`, each number with its unit.

const NANOSECONDS: &[(&str, u64)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
    ("w", 604_800_000_000_000),
];

/// Nanoseconds.
///
/// # Errors
/// What is wrong, and the expected form.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let expected = "expected a duration such as `30s`, `1m30s`, `1.5h`, `2d`";
    let mut rest = text;
    let mut total = 0_u64;
    if text.is_empty() {
        return Err(format!("not a duration; {expected}"));
    }
    if text == "0" {
        return Ok(0);
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        if number.is_empty() || !number.bytes().any(|b| b.is_ascii_digit()) || number.matches('.').count() > 1 {
            return Err(format!("not a duration; {expected}"));
        }
        if unit.is_empty() {
            return Err(format!("the unit behind `{number}` is missing; {expected}"));
        }
        let Some((_, size)) = NANOSECONDS.iter().find(|(name, _)| *name == unit) else {
            return Err(format!("unknown unit `{unit}`; {expected}"));
        };
        let part = scaled(number, *size).ok_or_else(|| "more than 292 years".to_owned())?;
        total = total.checked_add(part).filter(|sum| *sum <= MOST).ok_or_else(|| "more than 292 years".to_owned())?;
        rest = after;
    }
    Ok(total)
}

/// What Go and so every container engine can count.
const MOST: u64 = i64::MAX as u64;

/// Exact: `0.1` of a unit has no rounding of floats.
fn scaled(number: &str, size: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut value = whole.checked_mul(size)?;
    let mut place = u128::from(size);
    let mut part = 0_u128;
    let mut scale = 1_u128;
    for digit in fraction.bytes().take(18) {
        scale *= 10;
        part = part * 10 + u128::from(digit - b'0');
    }
    place = place * part / scale;
    value = value.checked_add(u64::try_from(place).ok()?)?;
    Some(value)
}

/// As Go writes it: `1h0m0s`, `1m30s`, `1.5s`, `20ms`.
pub(crate) fn show(nanoseconds: u64) -> String {
    const SECOND: u64 = 1_000_000_000;
    if nanoseconds == 0 {
        return "0s".to_owned();
    }
    if nanoseconds < SECOND {
        let (size, unit) = match nanoseconds {
            0..1_000 => (1, "ns"),
            1_000..1_000_000 => (1_000, "µs"),
            _ => (1_000_000, "ms"),
        };
        return format!("{}{unit}", decimal(nanoseconds, size));
    }
    let (minutes, rest) = (nanoseconds / (60 * SECOND), nanoseconds % (60 * SECOND));
    let seconds = decimal(rest, SECOND);
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

fn decimal(value: u64, unit: u64) -> String {
    let (whole, rest) = (value / unit, value % unit);
    if rest == 0 {
        return whole.to_string();
    }
    let width = unit.ilog10() as usize;
    let fraction = format!("{rest:0width$}");
    format!("{whole}.{}", fraction.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        for (text, shown) in [
            ("90s", "1m30s"),
            ("1m30s", "1m30s"),
            ("1.5s", "1.5s"),
            ("1h", "1h0m0s"),
            ("1d2h", "26h0m0s"),
            ("1w", "168h0m0s"),
            ("0.1s", "100ms"),
            ("1500us", "1.5ms"),
            ("3ns", "3ns"),
            ("0", "0s"),
            ("0s", "0s"),
            (".5m", "30s"),
            ("1h0m0.25s", "1h0m0.25s"),
        ] {
            assert_eq!(parse(text).map(show).as_deref(), Ok(shown), "{text}");
        }
    }

    #[test]
    fn a_number_alone_is_no_duration() {
        for text in ["90", "1.5", "", "s", "1x", "-1s", "1 s", "1..5s", ".s", "1m30", "9999999w", "1e3s"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse("90").unwrap_err().contains("the unit behind `90` is missing"));
    }
}
