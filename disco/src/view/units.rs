//! Human-readable numbers.

use std::time::Duration;

/// Formats kibibytes, in which the kernel counts memory, as decimal megabytes.
pub(super) fn memory(kib: u64) -> String {
    if kib == 0 { "-".to_owned() } else { format!("{:.1} MB", kib as f64 * 1024.0 / 1e6) }
}

/// Formats bytes as decimal kilobytes or megabytes.
pub(super) fn bytes(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

/// Formats an age with reasonable precision.
pub(super) fn age(millis: u64) -> String {
    let time = Duration::from_millis(millis);
    match time.as_secs() {
        0..10 => format!("{:.1}s ago", time.as_secs_f64()),
        seconds @ 10..120 => format!("{seconds}s ago"),
        seconds @ 120..7200 => format!("{}m ago", seconds / 60),
        seconds => format!("{}h ago", seconds / 3600),
    }
}

/// An RFC 3339 time in whole seconds.
pub(super) fn seconds(time: &str) -> String {
    match time.split_once('.') {
        Some((whole, _)) if time.ends_with('Z') => format!("{whole}Z"),
        _ => time.to_owned(),
    }
}

/// `sha256:` and the first 12 digits of a hash.
pub(crate) fn short_hash(hash: &str) -> String {
    match hash.strip_prefix("sha256:") {
        Some(digits) => format!("sha256:{}", digits.get(..12).unwrap_or(digits)),
        None => hash.to_owned(),
    }
}

/// The first 12 digits of a checksum.
pub(super) fn short_sum(sha256: &str) -> &str {
    sha256.get(..12).unwrap_or(sha256)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!(memory(9800), "10.0 MB");
        assert_eq!((bytes(1234), bytes(12_345_678)), ("1.2 kB".to_owned(), "12.3 MB".to_owned()));
        assert_eq!(seconds("2026-11-30T11:51:53.215Z"), "2026-11-30T11:51:53Z");
        assert_eq!(seconds("2026-11-30T11:51:53Z"), "2026-11-30T11:51:53Z");
        assert_eq!(age(120), "0.1s ago");
        assert_eq!(age(61_000), "61s ago");
        assert_eq!(age(600_000), "10m ago");
        assert_eq!(short_hash("sha256:0123456789abcdef"), "sha256:0123456789ab");
    }
}
