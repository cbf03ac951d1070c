//! The process that outlives a machine for a moment, to end the machine's remaining processes.

use std::process::{Command, Stdio};
use std::time::Duration;
use std::{io, os::unix::process::CommandExt};

use super::args::{MachineArgs, Part};
use super::process_title;
use crate::local::environment_marks;
use crate::process::{ProcessName, kill_with_environment, wait_for_end};

/// How long killed processes may take to disappear. Some never do (those in uninterruptible sleep).
const KILL_LIMIT: Duration = Duration::from_secs(30);
/// The longest that one wait lasts.
const WAIT: Duration = Duration::from_secs(24 * 3600);

/// Starts the watcher of this machine.
pub(super) fn start(args: MachineArgs, machine: ProcessName) -> io::Result<()> {
    Command::new("/proc/self/exe")
        .arg0(process_title())
        .args(args.with(Part::Watch(machine)).words())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()?;
    Ok(())
}

/// Waits until the machine is gone, and kills its processes. Those of its next run, which may start at this moment, have other marks.
pub(super) fn watch(id: &str, machine: ProcessName) {
    crate::detach::leave_session();
    if let Some(handle) = machine.open() {
        while !wait_for_end(&handle, WAIT) {}
    }
    kill_with_environment(&environment_marks(id, machine), KILL_LIMIT);
}
