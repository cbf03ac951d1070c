//! What `intl.js` calls.

use deno_core::op2;
use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

use crate::engine::OpError;
use crate::{ErrorCode, HostError};

/// `SECONDS NAME`: the offset from UTC at a moment (milliseconds since 1970), and the zone's canonical name. A moment more than
/// ten thousand years away has the offset of the end of that range.
#[op2]
#[string]
pub(crate) fn op_zone(#[string] name: &str, milliseconds: f64) -> Result<String, OpError> {
    let (zone, name) = find(name).ok_or_else(|| HostError {
        name: "RangeError".to_owned(),
        message: format!("invalid time zone: `{name}`; one is named as in `Europe/Berlin`, `UTC` or `+02:00`"),
        code: ErrorCode::Invalid,
    })?;
    let furthest = if milliseconds < 0.0 { Timestamp::MIN } else { Timestamp::MAX };
    let at = Timestamp::from_millisecond(milliseconds as i64).unwrap_or(furthest);
    Ok(format!("{} {name}", zone.to_offset(at).seconds()))
}

/// The zone of this machine.
#[op2]
#[string]
pub(crate) fn op_local_zone() -> String {
    let set = std::env::var("TZ").ok().map(|name| name.trim_start_matches(':').to_owned());
    let file = || {
        let path = std::fs::read_link("/etc/localtime").ok()?;
        Some(path.to_str()?.split_once("zoneinfo/")?.1.to_owned())
    };
    set.or_else(file).and_then(|name| Some(find(&name)?.1)).unwrap_or_else(|| "UTC".to_owned())
}

fn find(name: &str) -> Option<(TimeZone, String)> {
    if name.starts_with(['+', '-']) {
        let (sign, digits) = name.split_at(1);
        let (hours, minutes) = match digits.split_once(':') {
            Some(parts) => parts,
            None if digits.len() == 4 => digits.split_at(2),
            None => (digits, "00"),
        };
        let two = |text: &str| text.parse::<i32>().ok().filter(|_| text.len() == 2);
        let (hours, minutes) = (two(hours)?, two(minutes)?);
        if hours > 23 || minutes > 59 {
            return None;
        }
        let seconds = (hours * 60 + minutes) * 60 * if sign == "-" { -1 } else { 1 };
        let zone = TimeZone::fixed(Offset::from_seconds(seconds).ok()?);
        return Some((zone, format!("{sign}{hours:02}:{minutes:02}")));
    }
    let zone = TimeZone::get(name).ok()?;
    let name = zone.iana_name()?.to_owned();
    Some((zone, if ["Etc/UTC", "Etc/GMT", "GMT"].contains(&name.as_str()) { "UTC".to_owned() } else { name }))
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn zones_have_names_and_offsets() {
        let name = |text| find(text).map(|(_, name)| name);
        assert_eq!(name("america/new_york").as_deref(), Some("America/New_York"));
        assert_eq!(name("utc").as_deref(), Some("UTC"));
        assert_eq!(name("+0530").as_deref(), Some("+05:30"));
        assert_eq!(name("-03").as_deref(), Some("-03:00"));
        for wrong in ["", "Mars/Phobos", "+5", "+24:00", "+1:30", "+12:60", "-"] {
            assert_eq!(name(wrong), None, "{wrong}");
        }
    }
}
