//! The process that outlives a machine for a moment, to end what the machine left behind.

use std::process::{Command, Stdio};
use std::time::Duration;
use std::{io, os::unix::process::CommandExt};

use super::{SUBCOMMAND, process_title};
use crate::local::{MachineFolder, environment_marks};
use crate::process::{ProcessName, kill_with_environment, wait_for_end};

/// How long killed processes may take to disappear. Some never do (those that wait for a device).
const KILL_LIMIT: Duration = Duration::from_secs(30);
/// The longest that one wait lasts.
const WAIT: Duration = Duration::from_secs(24 * 3600);

/// Starts the watcher of this machine.
pub(super) fn start(folder: &MachineFolder, machine: ProcessName) -> io::Result<()> {
    Command::new("/proc/self/exe")
        .arg0(process_title())
        .args([SUBCOMMAND, "--id", folder.id(), "--watch"])
        .arg(format!("{},{}", machine.pid, machine.start_time))
        .arg("--dir")
        .arg(folder.dir())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .current_dir("/")
        .spawn()?;
    Ok(())
}

/// Waits until the machine is gone, and kills what ran on it.
pub(super) fn watch(folder: &MachineFolder, machine: ProcessName) {
    crate::detach::leave_session();
    if let Some(handle) = machine.open() {
        while !wait_for_end(&handle, WAIT) {}
    }
    // The machine may have been started again at once, which kills as well, and only before it runs: what carries the mark
    // now may be the next life's. Its lock tells.
    let Ok(Some(_not_running)) = crate::files::try_lock(&folder.running_lock()) else { return };
    let marks = environment_marks(folder);
    let marks: Vec<_> = marks.iter().map(AsRef::as_ref).collect();
    kill_with_environment(&marks, KILL_LIMIT);
}
