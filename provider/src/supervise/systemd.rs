//! Counts unexpected ends under systemd, which runs `ExecStopPost=` after each end and passes the cause.

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::end::End;
use super::{Ends, SuperviseError, now_ms};

/// Lines of the journal that are searched for the reason.
const LINES: &str = "40";
/// Time for the journal to answer.
const JOURNAL_LIMIT: Duration = Duration::from_secs(2);

/// Counts the end that systemd describes in this process's environment. `None` if the program ended well, or requested a restart.
/// The record is returned even if it could not be written.
#[must_use]
pub fn count(dir: &Path) -> Option<(Ends, Result<(), SuperviseError>)> {
    let variable = |name| std::env::var(name).unwrap_or_default();
    let end = End::of_systemd(&variable("SERVICE_RESULT"), &variable("EXIT_CODE"), &variable("EXIT_STATUS"))?;
    if end.is_wanted() {
        return None;
    }
    let mut ends = Ends::read(dir);
    let written = if end.has_words() { journal(&variable("INVOCATION_ID")) } else { String::new() };
    ends.add(now_ms(), end.how(), end.words(&written));
    let kept = ends.write(dir);
    Some((ends, kept))
}

/// The program's last output; empty if it cannot be read in time, as systemd delays the restart.
fn journal(invocation: &str) -> String {
    let mut command = Command::new("journalctl");
    command.args(["--no-pager", "--quiet", "--output", "cat", "--lines", LINES]);
    command.arg(format!("_SYSTEMD_INVOCATION_ID={invocation}")).stdin(Stdio::null()).stderr(Stdio::null());
    let Ok(mut child) = command.stdout(Stdio::piped()).spawn() else { return String::new() };
    let Some(mut output) = child.stdout.take() else { return String::new() };
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let mut text = Vec::new();
        let read = output.read_to_end(&mut text);
        // After the limit its output is no longer needed.
        let _ = sender.send(read.map(|_| text));
    });
    let text = receiver.recv_timeout(JOURNAL_LIMIT).ok().and_then(Result::ok).unwrap_or_default();
    // No error where it has ended.
    let _ = child.kill();
    let _ = child.wait();
    String::from_utf8_lossy(&text).into_owned()
}
