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
