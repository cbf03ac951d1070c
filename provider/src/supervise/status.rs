//! Who is who in a supervisor's folder.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Ends, EndsTold, SuperviseError, now_ms};
use crate::files;
use crate::process::{ProcessName, is_same_folder};

const SUPERVISOR: &str = "supervisor.json";
const CHILD: &str = "child.json";
/// Held by the supervisor.
pub(super) const LOCK: &str = "lock";

/// What `--status` prints. Fields are added, never renamed: the program and who asks may be of different versions.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// The supervisor's process id, when it runs.
    pub supervisor: Option<u32>,
    /// The program's process id, when it runs.
    pub pid: Option<u32>,
    /// The program's ends that nobody asked for.
    #[serde(default)]
    pub ends: EndsTold,
}

impl ServiceStatus {
    /// How often the program ended of late and why, as a clause about it, where it is started again and again and does not stay up.
    #[must_use]
    pub fn failing(&self) -> Option<String> {
        let waits = self.supervisor.is_some() && self.pid.is_none() && self.ends.is_loop(0);
        (waits || self.ends.keeps_ending(0)).then(|| self.ends.describe(0))
    }

    /// Reads it, and looks which of the processes are alive.
    pub(super) fn read(dir: &Path) -> Result<Self, SuperviseError> {
        Ok(Self {
            supervisor: supervisor(dir)?.map(|process| process.pid),
            pid: child(dir)?.map(|process| process.pid),
            ends: Ends::read(dir).told(now_ms()),
        })
    }
}

/// The supervisor, when it runs. In a copy of its folder its file names it too, but nobody holds the lock there.
pub(super) fn supervisor(dir: &Path) -> Result<Option<ProcessName>, SuperviseError> {
    let Some(process) = read(&dir.join(SUPERVISOR))? else { return Ok(None) };
    let path = dir.join(LOCK);
    let held = files::is_locked(&path).map_err(SuperviseError::io("lock", path))?;
    Ok(held.then_some(process))
}

/// The program, when it runs. It never does without its supervisor.
pub(super) fn child(dir: &Path) -> Result<Option<ProcessName>, SuperviseError> {
    let Some(process) = read(&dir.join(CHILD))? else { return Ok(None) };
    // Its working directory is its service's folder; the file may have come here with a copy of that.
    Ok(is_same_folder(&process.working_directory(), dir).then_some(process))
}

/// Says who supervises.
pub(super) fn write_supervisor(dir: &Path, process: ProcessName) -> Result<(), SuperviseError> {
    write(&dir.join(SUPERVISOR), process)
}

/// Says which process the program is.
pub(super) fn write_child(dir: &Path, process: ProcessName) -> Result<(), SuperviseError> {
    write(&dir.join(CHILD), process)
}

fn read(path: &Path) -> Result<Option<ProcessName>, SuperviseError> {
    let Some(text) = files::read_if_exists(path).map_err(SuperviseError::io("read", path))? else { return Ok(None) };
    let process: ProcessName = serde_json::from_slice(&text)
        .map_err(|error| SuperviseError::Damaged { path: path.to_path_buf(), reason: error.to_string() })?;
    Ok(process.is_alive().then_some(process))
}

fn write(path: &Path, process: ProcessName) -> Result<(), SuperviseError> {
    let text = serde_json::to_vec(&process).unwrap_or_default();
    files::write_atomically(path, &text, 0o600).map_err(SuperviseError::io("write", path))
}
