//! The only place where the daemon reads the wall clock.

use jiff::Timestamp;

/// Unix time in milliseconds.
#[must_use]
pub fn unix_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

/// Now, RFC 3339, to the millisecond.
#[must_use]
pub fn rfc3339() -> String {
    format!("{:.3}", Timestamp::now())
}

/// A Unix time in milliseconds as RFC 3339.
#[must_use]
pub fn rfc3339_of(unix_ms: u64) -> String {
    let time = i64::try_from(unix_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    format!("{:.3}", time.unwrap_or(Timestamp::MAX))
}
