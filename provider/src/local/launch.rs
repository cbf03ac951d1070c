//! Starting and stopping the process that is a machine. The machine's control lock must be held.

use std::fs::OpenOptions;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{MachineFolder, environment_marks};
use crate::{ProviderError, detach, process};

/// How long a machine may take to answer.
const START_LIMIT: Duration = Duration::from_secs(10);
/// How long a machine may take to shut down in order: its own limit, and a little.
pub(crate) const STOP_LIMIT: Duration = Duration::from_secs(15);
/// How long killed processes may take to disappear.
const KILL_LIMIT: Duration = Duration::from_secs(5);
/// How long another process that is starting this machine is waited for.
const OTHER_START_INTERVAL: Duration = Duration::from_millis(10);

/// Starts the machine's process, after what is left of its last life is gone. Does nothing when it runs.
pub(super) fn start(folder: &MachineFolder, executable: &Path) -> Result<(), ProviderError> {
    if is_running(folder)? {
        return Ok(());
    }
    let failed = |reason: String| ProviderError::MachineStart { id: folder.id().to_owned(), reason };
    kill_leftovers(folder).map_err(failed)?;
    let log = folder.log();
    let log_file = OpenOptions::new().create(true).append(true).open(&log).map_err(ProviderError::io("open", &log))?;
    let mut command = Command::new(executable);
    command.args(["machine", "--dir"]).arg(folder.dir()).args(["--id", folder.id(), "--detach"]);
    // Nothing of the environment that we run in is the machine's: we may ourselves run on another machine.
    command.env_clear().stderr(log_file).current_dir("/");
    command.envs(["PATH", "LANG", "TZ", "TMPDIR", "RUST_BACKTRACE"].iter().filter_map(|name| {
        let value = std::env::var_os(name)?;
        Some((name, value))
    }));
    let reported = detach::start(&mut command, START_LIMIT);
    // Someone may have been killed in the middle of starting the same machine: then theirs comes up, and ours gave way.
    let deadline = Instant::now() + START_LIMIT;
    while !is_running(folder)? {
        if let Err(error) = &reported
            && (error.kind() != std::io::ErrorKind::Other || Instant::now() >= deadline || !has_holder(folder))
        {
            return Err(failed(format!("`{}`: {error}", executable.display())));
        }
        if Instant::now() >= deadline {
            return Err(failed("its process ended right after it was up".to_owned()));
        }
        std::thread::sleep(OTHER_START_INTERVAL);
    }
    Ok(())
}

/// Shuts the machine down: everything on it is asked to end, and killed when it does not.
pub(super) fn stop(folder: &MachineFolder) -> Result<(), ProviderError> {
    if let Some(process) = folder.process()? {
        process.signal(Signal::TERM);
        process.wait(STOP_LIMIT);
    }
    kill(folder)
}

/// Ends the machine as a power cut does.
pub(super) fn kill(folder: &MachineFolder) -> Result<(), ProviderError> {
    if let Some(process) = folder.process()? {
        process.signal(Signal::KILL);
        process.wait(KILL_LIMIT);
    }
    let path = folder.path();
    kill_leftovers(folder).map_err(|reason| ProviderError::io("empty", path)(std::io::Error::other(reason)))
}

fn kill_leftovers(folder: &MachineFolder) -> Result<(), String> {
    let marks = environment_marks(folder);
    let marks: Vec<_> = marks.iter().map(AsRef::as_ref).collect();
    if process::kill_with_environment(&marks, KILL_LIMIT) {
        Ok(())
    } else {
        Err("processes of it cannot be killed".to_owned())
    }
}

fn is_running(folder: &MachineFolder) -> Result<bool, ProviderError> {
    Ok(folder.process()?.is_some_and(process::ProcessName::is_alive))
}

/// Whether some process is this machine, or about to be.
fn has_holder(folder: &MachineFolder) -> bool {
    matches!(crate::files::try_lock(&folder.running_lock()), Ok(None))
}
