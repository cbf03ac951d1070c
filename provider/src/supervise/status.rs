//! Who is who in a supervisor's folder.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::SuperviseError;
use crate::files;
use crate::process::ProcessName;

const SUPERVISOR: &str = "supervisor.json";
const CHILD: &str = "child.json";

/// What `--status` prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// The supervisor's process id, when it runs.
    pub supervisor: Option<u32>,
    /// The program's process id, when it runs.
    pub pid: Option<u32>,
}

impl ServiceStatus {
    /// Reads it, and looks which of the processes are alive.
    pub(super) fn read(dir: &Path) -> Result<Self, SuperviseError> {
        Ok(Self {
            supervisor: supervisor(dir)?.map(|process| process.pid),
            pid: child(dir)?.map(|process| process.pid),
        })
    }
}

/// The supervisor, when it runs.
pub(super) fn supervisor(dir: &Path) -> Result<Option<ProcessName>, SuperviseError> {
    read(&dir.join(SUPERVISOR))
}

/// The program, when it runs.
pub(super) fn child(dir: &Path) -> Result<Option<ProcessName>, SuperviseError> {
    read(&dir.join(CHILD))
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
