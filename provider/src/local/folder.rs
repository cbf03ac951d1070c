//! The folder of one machine.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::MachineRecord;
use crate::process::ProcessName;
use crate::{Machine, MachineState, ProviderError, SshTarget, Usd, files};

/// The folder of one machine.
#[derive(Debug, Clone)]
pub(crate) struct MachineFolder {
    path: PathBuf,
    id: String,
}

impl MachineFolder {
    /// In the provider's folder.
    pub(crate) fn new(dir: &Path, id: impl Into<String>) -> Self {
        let id = id.into();
        Self { path: dir.join(&id), id }
    }

    /// The working directory of this process, which stays valid when the folder is moved.
    pub(crate) fn here(id: impl Into<String>) -> Self {
        Self { path: PathBuf::from("."), id: id.into() }
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn authorized_keys(&self) -> PathBuf {
        self.path.join("home/.ssh/authorized_keys")
    }

    pub(crate) fn host_key(&self) -> PathBuf {
        self.path.join("host_key")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.path.join("machine.log")
    }

    /// Where the node on it keeps its tasks, see [`super::places`].
    pub(crate) fn tasks(&self) -> PathBuf {
        self.path.join("home/disco/data/tasks")
    }

    pub(crate) fn control_lock(&self) -> PathBuf {
        self.path.join("control")
    }

    pub(crate) fn running_lock(&self) -> PathBuf {
        self.path.join("running")
    }

    fn process_path(&self) -> PathBuf {
        self.path.join("process.json")
    }

    /// Its immutable record. `None` if there is no such machine.
    pub(crate) fn record(&self) -> Result<Option<MachineRecord>, ProviderError> {
        read_json(&self.path.join(MachineRecord::FILE))
    }

    /// The machine's last process, dead or alive. In a copy of the folder it is the process of another machine: see
    /// [`Self::running`].
    pub(crate) fn process(&self) -> Result<Option<ProcessName>, ProviderError> {
        read_json(&self.process_path())
    }

    /// The machine's running process. A file that names a living process proves nothing, as files can be copied; the lock is
    /// held by the machine of this very folder.
    pub(crate) fn running(&self) -> Result<Option<ProcessName>, ProviderError> {
        let Some(process) = self.process()?.filter(|process| process.is_alive()) else { return Ok(None) };
        Ok(self.is_held()?.then_some(process))
    }

    /// Whether a process is this machine, or is becoming it.
    pub(crate) fn is_held(&self) -> Result<bool, ProviderError> {
        let path = self.running_lock();
        files::is_locked(&path).map_err(ProviderError::io("lock", path))
    }

    /// Called by the machine itself, once it answers.
    pub(crate) fn write_process(&self, process: ProcessName) -> io::Result<()> {
        files::write_atomically(&self.process_path(), &serde_json::to_vec(&process)?, 0o600)
    }

    /// Called by the machine itself, once it holds its lock: the recorded process belongs to its last run, or to the machine of
    /// which this folder is a copy.
    pub(crate) fn forget_process(&self) -> io::Result<()> {
        match std::fs::remove_file(self.process_path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// The machine with its present state. `None` if there is no such machine.
    pub(crate) fn machine(&self) -> Result<Option<Machine>, ProviderError> {
        let Some(record) = self.record()? else { return Ok(None) };
        let process = self.running()?;
        Ok(Some(Machine {
            state: if process.is_some() { MachineState::Running } else { MachineState::Stopped },
            ssh: SshTarget { user: record.user.clone(), host: record.address.to_string(), port: record.ssh_port },
            ssh_name: None,
            control_address: record.control_address(),
            listen: None,
            public_address: None,
            host_key: Some(record.host_key),
            given_host_key: None,
            pid: process.map(|process| process.pid),
            zone: None,
            price: Some(Usd::ZERO),
            id: record.id,
            name: record.name,
            token: record.token,
        }))
    }

    /// Removes the secrets of its tasks: in memory, outside of its folder, where the daemon has a link to them.
    fn remove_values(&self) -> io::Result<()> {
        let Ok(folder) = std::fs::read_link(self.path.join("home/disco/data/values")) else { return Ok(()) };
        let Some(shared) = folder.parent() else { return Ok(()) };
        // Whatever else such a link names is not the daemon's.
        if !shared.file_name().is_some_and(|name| name.to_string_lossy().starts_with("disco")) {
            return Ok(());
        }
        match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // Those of other machines stay.
        let _in_use = std::fs::remove_dir(shared);
        Ok(())
    }

    /// Removes it with everything on it; to others it disappears atomically.
    pub(crate) fn remove(&self) -> io::Result<()> {
        self.remove_values()?;
        let leaving = self.path.with_file_name(format!(".gone-{}", self.id));
        let done = match std::fs::rename(&self.path, &leaving) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => std::fs::remove_dir_all(&self.path),
            other => other,
        };
        done.and_then(|()| match std::fs::remove_dir_all(&leaving) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        })
    }
}

/// The environment entries that mark everything that runs on a machine in this run. They contain no path, as another folder may
/// have that path a moment later.
pub(crate) fn environment_marks(id: &str, life: ProcessName) -> [OsString; 3] {
    [
        format!("DISCO_MACHINE={id}").into(),
        format!("DISCO_MACHINE_PID={}", life.pid).into(),
        format!("DISCO_MACHINE_START_TIME={}", life.start_time).into(),
    ]
}

/// Reads a JSON file; `None` if it is missing.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, ProviderError> {
    let content = files::read_if_exists(path).map_err(ProviderError::io("read", path))?;
    content
        .map(|content| {
            serde_json::from_slice(&content)
                .map_err(|error| ProviderError::Damaged { path: path.to_path_buf(), reason: error.to_string() })
        })
        .transpose()
}
