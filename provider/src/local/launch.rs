//! Starts and stops a machine's process. The machine's control lock must be held.

use std::fs::OpenOptions;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{MachineFolder, MachineRecord, environment_marks};
use crate::local::machine::MachineArgs;
use crate::{ProviderError, detach, process};

/// How long a machine may take to start.
const START_LIMIT: Duration = Duration::from_secs(10);
/// How long a machine may take to shut down gracefully: its own limit, and some slack.
pub(crate) const STOP_LIMIT: Duration = Duration::from_secs(15);
/// How long killed processes may take to disappear.
pub(super) const KILL_LIMIT: Duration = Duration::from_secs(5);
/// How long to wait for another process that is starting this machine.
const OTHER_START_INTERVAL: Duration = Duration::from_millis(10);

/// Starts the machine's process, after processes of its last run are gone. Does nothing if it runs. `project` is the id of the
/// provider's folder.
pub(super) fn start(folder: &MachineFolder, executable: &Path, project: &str) -> Result<(), ProviderError> {
    if folder.running()?.is_some() {
        return Ok(());
    }
    let record: MachineRecord =
        folder.record()?.ok_or_else(|| ProviderError::NoSuchMachine { id: folder.id().to_owned() })?;
    let failed = |reason: String| ProviderError::MachineStart { id: folder.id().to_owned(), reason };
    kill_leftovers(folder)?;
    let log = folder.log();
    let log_file = OpenOptions::new().create(true).append(true).open(&log).map_err(ProviderError::io("open", &log))?;
    let mut command = Command::new(executable);
    // Its working directory is its folder, which stays valid when the folder is moved.
    command.args(MachineArgs::detached(&record, project)).current_dir(folder.path());
    // The machine inherits nothing else of this process's environment, as this process may run on another machine.
    command.env_clear().stderr(log_file);
    command.envs(["PATH", "LANG", "TZ", "TMPDIR", "RUST_BACKTRACE"].iter().filter_map(|name| {
        let value = std::env::var_os(name)?;
        Some((name, value))
    }));
    let reported = detach::start(&mut command, START_LIMIT);
    // Another process may have been killed while it started the same machine: then that machine comes up, and ours gave way.
    let deadline = Instant::now() + START_LIMIT;
    while folder.running()?.is_none() {
        if let Err(error) = &reported
            && (error.kind() != std::io::ErrorKind::Other || Instant::now() >= deadline || !folder.is_held()?)
        {
            return Err(failed(format!("`{}`: {error}", executable.display())));
        }
        if Instant::now() >= deadline {
            return Err(failed("its process ended right after its start".to_owned()));
        }
        std::thread::sleep(OTHER_START_INTERVAL);
    }
    Ok(())
}

/// Shuts the machine down: everything on it gets SIGTERM, and is killed if it does not end.
pub(super) fn stop(folder: &MachineFolder) -> Result<(), ProviderError> {
    if let Some(process) = folder.running()? {
        process.signal(Signal::TERM);
        process.wait(STOP_LIMIT);
    }
    kill(folder)
}

/// Ends the machine like a power cut.
pub(super) fn kill(folder: &MachineFolder) -> Result<(), ProviderError> {
    if let Some(process) = folder.running()? {
        process.signal(Signal::KILL);
        if !process.wait(KILL_LIMIT) {
            return Err(stuck(folder));
        }
    }
    kill_leftovers(folder)?;
    // Their control groups are not the machine's, but the computer's.
    disco_shim::clear_all(&folder.tasks());
    Ok(())
}

/// Kills the remaining processes of the machine's last run.
fn kill_leftovers(folder: &MachineFolder) -> Result<(), ProviderError> {
    let Some(life) = folder.process()? else { return Ok(()) };
    if life.is_alive() {
        // Not this machine, which would have ended before, but the machine of which this folder is a copy.
        return Ok(());
    }
    if process::kill_with_environment(&environment_marks(folder.id(), life), KILL_LIMIT) {
        Ok(())
    } else {
        Err(stuck(folder))
    }
}

fn stuck(folder: &MachineFolder) -> ProviderError {
    ProviderError::io("empty", folder.path())(std::io::Error::other("its processes cannot be killed"))
}
