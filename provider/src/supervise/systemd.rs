//! Counting where systemd keeps the program up: it calls `ExecStopPost=` after each end, and says how that came.

use std::path::Path;
use std::process::{Command, Stdio};

use super::end::End;
use super::{Ends, SuperviseError, now_ms};

/// Lines of the journal in which the reason is.
const LINES: &str = "40";

/// Counts the end that systemd tells of in this process's environment. `None` where the program ended well, or was to be started again.
/// What could not be kept is given all the same.
#[must_use]
pub fn count(dir: &Path) -> Option<(Ends, Result<(), SuperviseError>)> {
    let variable = |name| std::env::var(name).unwrap_or_default();
    let end = End::of_systemd(&variable("SERVICE_RESULT"), &variable("EXIT_CODE"), &variable("EXIT_STATUS"))?;
    if end.is_wanted() {
        return None;
    }
    let mut ends = Ends::read(dir);
    ends.add(now_ms(), end.how(), end.words(&journal(&variable("INVOCATION_ID"))));
    let kept = ends.write(dir);
    Some((ends, kept))
}

/// What the program wrote last; nothing where that cannot be read.
fn journal(invocation: &str) -> String {
    let mut command = Command::new("journalctl");
    command.args(["--no-pager", "--quiet", "--output", "cat", "--lines", LINES]);
    command.arg(format!("_SYSTEMD_INVOCATION_ID={invocation}")).stdin(Stdio::null()).stderr(Stdio::null());
    command.output().map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}
