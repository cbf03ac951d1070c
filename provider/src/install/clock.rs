//! Clock differences: a certificate that is made now must be valid on the machine.

use super::{InstallError, Remote};

/// Certificates are valid from this long before they are made, see `disco_identity::CLOCK_SKEW`; less a minute for the transfer.
const BEHIND: u64 = 4 * 60;
/// A join token lives for a quarter of an hour, by the clock of its issuer.
const AHEAD: u64 = 10 * 60;

impl Remote {
    /// Refuses a machine by whose clock a new certificate would be invalid; `joins`: it also gets a join token with a short life.
    pub(super) fn check_clock(&self, joins: bool) -> Result<(), InstallError> {
        check(self.probe.clock_ahead, joins, &self.endpoint())
    }
}

fn check(ahead: i64, joins: bool, endpoint: &str) -> Result<(), InstallError> {
    let off = ahead.unsigned_abs();
    let limit = if ahead < 0 { BEHIND } else { AHEAD };
    if off <= limit || (ahead > 0 && !joins) {
        return Ok(());
    }
    let way = if ahead < 0 { "behind" } else { "ahead of" };
    Err(InstallError::Clock { endpoint: endpoint.to_owned(), by: shown(off), way })
}

/// A duration as text.
fn shown(seconds: u64) -> String {
    match (seconds / 86_400, seconds / 3600, seconds % 3600 / 60) {
        (days @ 2.., ..) => format!("{days} days"),
        (_, 0, minutes) => format!("{minutes} min"),
        (_, hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_clock_and_its_difference() {
        for (ahead, joins) in [(0, true), (-200, true), (500, true), (7200, false)] {
            assert!(check(ahead, joins, "pi:22").is_ok(), "{ahead}");
        }
        let behind = check(-7500, false, "pi:22").unwrap_err().to_string();
        assert!(behind.contains("the clock of pi:22 is 2 h 5 min behind this computer's"), "{behind}");
        assert!(check(-400 * 86_400, true, "pi:22").unwrap_err().to_string().contains("400 days behind"));
        let ahead = check(3600, true, "pi:22").unwrap_err().to_string();
        assert!(ahead.contains("the clock of pi:22 is 1 h 0 min ahead of this computer's"), "{ahead}");
    }
}
