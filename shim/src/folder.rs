use std::io::Write;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Error, Process};

/// The folder of one task. Nobody but the shim writes there.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

/// Who runs: `task.json`, written when the task has been started.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Task {
    /// The shim.
    pub shim: Process,
    /// The task's first process.
    pub process: Process,
    /// The task's control group, relative to the root of each hierarchy.
    pub cgroup: Option<PathBuf>,
    /// Limits that do not hold on this machine, each with the reason.
    pub not_limited: Vec<String>,
    /// Milliseconds since 1970.
    pub started_at_ms: u64,
}

/// How a task ended: `exit.json`, written after its last byte of output.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Exit {
    /// Exit status of the first process; absent if a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it, such as `SIGKILL`.
    pub signal: Option<String>,
    /// Why.
    pub ended: Ended,
    /// The kernel killed a process of the task for want of memory.
    pub out_of_memory: bool,
    /// Bytes of output that could not be written, for want of room on the disk.
    pub dropped_bytes: u64,
    /// Processes of the task that could not be killed (in the kernel, waiting for a device). 0 but for broken machines.
    pub left: usize,
    /// Milliseconds since 1970.
    pub ended_at_ms: u64,
}

/// Why a task ended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// By itself, or by a signal that did not come from the shim.
    ByItself,
    /// A stop was requested, and it ended within its grace time.
    Stopped,
    /// A stop was requested, and it was killed after its grace time.
    Killed,
    /// Its lease was not renewed in time.
    Fenced,
}

impl Folder {
    /// The folder at this path, which need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The segments of the task's output, see [`crate::output`].
    #[must_use]
    pub fn output(&self) -> PathBuf {
        self.0.join("output")
    }

    /// The task, once it was started.
    pub fn task(&self) -> Result<Option<Task>, Error> {
        read(&self.0.join("task.json"))
    }

    /// How the task ended, once it has.
    pub fn exit(&self) -> Result<Option<Exit>, Error> {
        read(&self.0.join("exit.json"))
    }

    pub(crate) fn write_task(&self, task: &Task) -> Result<(), Error> {
        self.write("task.json", task)
    }

    pub(crate) fn write_exit(&self, exit: &Exit) -> Result<(), Error> {
        self.write("exit.json", exit)
    }

    /// Whole or not at all, also after a power cut.
    fn write(&self, name: &str, content: &impl Serialize) -> Result<(), Error> {
        let path = self.0.join(name);
        let temporary = self.0.join(format!("{name}.new"));
        let mut file = fs_err::File::create(&temporary)?;
        file.write_all(&serde_json::to_vec_pretty(content).map_err(Error::content(&path))?)?;
        file.sync_all()?;
        fs_err::rename(&temporary, &path)?;
        Ok(fs_err::File::open(&self.0)?.sync_all()?)
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    match fs_err::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(Error::content(path)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}
