//! The processes of a supervisor's folder.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Ends, EndsTold, SuperviseError, now_ms};
use crate::files;
use crate::process::{ProcessName, is_same_folder};

const SUPERVISOR: &str = "supervisor.json";
const CHILD: &str = "child.json";
/// Held by the supervisor.
pub(super) const LOCK: &str = "lock";

/// The output of `--status`. Fields are added, never renamed: the program and the caller may have different versions.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// The supervisor's process id, if it runs.
    pub supervisor: Option<u32>,
    /// The program's process id, if it runs.
    pub pid: Option<u32>,
    /// The program's unexpected ends.
    #[serde(default)]
    pub ends: EndsTold,
}

impl ServiceStatus {
    /// How often the program ended recently and why, as a clause, if it is in a crash loop.
    #[must_use]
    pub fn failing(&self) -> Option<String> {
        let waits = self.supervisor.is_some() && self.pid.is_none() && self.ends.is_loop(0);
        (waits || self.ends.keeps_ending(0)).then(|| self.ends.describe(0))
    }

    /// Reads the files, and checks which of the processes are alive.
    pub(super) fn read(dir: &Path) -> Result<Self, SuperviseError> {
        Ok(Self {
            supervisor: supervisor(dir)?.map(|process| process.pid),
            pid: child(dir)?.map(|process| process.pid),
            ends: Ends::read(dir).told(now_ms()),
        })
    }
}

/// The supervisor, if it runs. In a copy of its folder the file names it too, but no process holds the lock there.
pub(super) fn supervisor(dir: &Path) -> Result<Option<ProcessName>, SuperviseError> {
    let Some(process) = read(&dir.join(SUPERVISOR))? else { return Ok(None) };
    let path = dir.join(LOCK);
    let held = files::is_locked(&path).map_err(SuperviseError::io("lock", path))?;
    Ok(held.then_some(process))
}

/// The program, if it runs. It never runs without its supervisor.
pub(super) fn child(dir: &Path) -> Result<Option<ProcessName>, SuperviseError> {
    let Some(process) = read(&dir.join(CHILD))? else { return Ok(None) };
    // Its working directory is its service's folder; this file may be a copy from there.
    Ok(is_same_folder(&process.working_directory(), dir).then_some(process))
}

/// Records the supervisor's process.
pub(super) fn write_supervisor(dir: &Path, process: ProcessName) -> Result<(), SuperviseError> {
    write(&dir.join(SUPERVISOR), process)
}

/// Records the program's process.
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
