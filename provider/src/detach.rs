//! Processes that outlive their parent.
//!
//! A detached process is started twice over: a short-lived first one leaves the session of the caller and starts the
//! second, which is then orphaned. The second reports on the pipe that is its standard output: one line, `ready` or
//! `error: …`.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::process::readable_within;

/// The report that a process is up.
const READY: &str = "ready";
/// The prefix of a report that it is not.
const ERROR: &str = "error: ";

/// The first process: starts this executable again with other arguments, in a session of its own and the same folder, and
/// leaves the report to it. Must be called by a process that was started by [`start`].
pub(crate) fn start_second<S: AsRef<OsStr>>(name: &str, args: &[S]) -> io::Result<()> {
    leave_session();
    // This path works even if the file has been replaced since.
    Command::new("/proc/self/exe").arg0(name).args(args).stdin(Stdio::null()).spawn()?;
    Ok(())
}

/// Leaves the parent's session, so that the end of its terminal does not end this process.
pub(crate) fn leave_session() {
    // It fails only for a group leader, which has already left.
    let _ = rustix::process::setsid();
}

/// The second process: reports that it is up and closes standard output.
pub(crate) fn report_ready() -> io::Result<()> {
    report(READY)
}

/// The second process: reports why it cannot come up.
pub(crate) fn report_error(error: &dyn std::error::Error) {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    // The caller may have exited; then nothing needs the report.
    let _ = report(&format!("{ERROR}{}", text.replace('\n', " ")));
}

fn report(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    // A broken pipe is no failure of this process: the caller has exited.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(&null)?;
    Ok(())
}

/// The caller: runs a command that detaches, and waits for the report of the second process.
///
/// # Errors
/// The reported error; that the process ended without a report, or did not report within the time limit.
pub(crate) fn start(command: &mut Command, limit: Duration) -> io::Result<()> {
    let mut first = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let report = read_report(&mut first, limit);
    if report.is_err() {
        // Usually it has already ended; a first process that hangs must not stay.
        let _ = first.kill();
    }
    first.wait()?;
    let report = report?;
    if report == READY {
        return Ok(());
    }
    Err(io::Error::other(match report.strip_prefix(ERROR) {
        Some(reason) => reason.to_owned(),
        None if report.is_empty() => "its process ended at once".to_owned(),
        None => format!("its process reported `{report}`"),
    }))
}

fn read_report(first: &mut Child, limit: Duration) -> io::Result<String> {
    let mut pipe = first.stdout.take().ok_or_else(|| io::Error::other("no pipe to its process"))?;
    let deadline = Instant::now() + limit;
    let mut text = Vec::new();
    let mut chunk = [0; 512];
    while !text.contains(&b'\n') {
        if !readable_within(&pipe, deadline.saturating_duration_since(Instant::now())) {
            let message = format!("its process did not report within {} s", limit.as_secs());
            return Err(io::Error::new(io::ErrorKind::TimedOut, message));
        }
        match pipe.read(&mut chunk)? {
            0 => break,
            count => text.extend_from_slice(&chunk[..count]),
        }
    }
    Ok(String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned())
}
