//! Starting and stopping the process that is a machine. The machine's control lock must be held.

use std::fs::OpenOptions;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{MachineFolder, MachineRecord, environment_marks};
use crate::machine::MachineArgs;
use crate::{ProviderError, detach, process};

/// How long a machine may take to answer.
const START_LIMIT: Duration = Duration::from_secs(10);
/// How long a machine may take to shut down in order: its own limit, and a little.
pub(crate) const STOP_LIMIT: Duration = Duration::from_secs(15);
/// How long killed processes may take to disappear.
pub(super) const KILL_LIMIT: Duration = Duration::from_secs(5);
/// How long another process that is starting this machine is waited for.
const OTHER_START_INTERVAL: Duration = Duration::from_millis(10);

/// Starts the machine's process, after what is left of its last life is gone. Does nothing when it runs. `project` is the
/// provider's folder's id.
pub(super) fn start(folder: &MachineFolder, executable: &Path, project: &str) -> Result<(), ProviderError> {
    if folder.running()?.is_some() {
        return Ok(());
    }
    let record: MachineRecord =
        folder.record()?.ok_or_else(|| ProviderError::NoSuchInstance { id: folder.id().to_owned() })?;
    let failed = |reason: String| ProviderError::MachineStart { id: folder.id().to_owned(), reason };
    kill_leftovers(folder)?;
    let log = folder.log();
    let log_file = OpenOptions::new().create(true).append(true).open(&log).map_err(ProviderError::io("open", &log))?;
    let mut command = Command::new(executable);
    // Where it lives is its working directory: that stays right wherever the folder is moved.
    command.args(MachineArgs::detached(&record, project)).current_dir(folder.path());
    // Nothing of the environment that we run in is the machine's: we may ourselves run on another machine.
    command.env_clear().stderr(log_file);
    command.envs(["PATH", "LANG", "TZ", "TMPDIR", "RUST_BACKTRACE"].iter().filter_map(|name| {
        let value = std::env::var_os(name)?;
        Some((name, value))
    }));
    let reported = detach::start(&mut command, START_LIMIT);
    // Someone may have been killed in the middle of starting the same machine: then theirs comes up, and ours gave way.
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

/// Shuts the machine down: everything on it is asked to end, and killed when it does not.
pub(super) fn stop(folder: &MachineFolder) -> Result<(), ProviderError> {
    if let Some(process) = folder.running()? {
        process.signal(Signal::TERM);
        process.wait(STOP_LIMIT);
    }
    kill(folder)
}

/// Ends the machine as a power cut does.
pub(super) fn kill(folder: &MachineFolder) -> Result<(), ProviderError> {
    if let Some(process) = folder.running()? {
        process.signal(Signal::KILL);
        if !process.wait(KILL_LIMIT) {
            return Err(stuck(folder));
        }
    }
    kill_leftovers(folder)
}

/// Kills what is left of the machine's last life.
fn kill_leftovers(folder: &MachineFolder) -> Result<(), ProviderError> {
    let Some(life) = folder.process()? else { return Ok(()) };
    if life.is_alive() {
        // Not this machine, or it would have been ended before: the machine of which this folder is a copy.
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
