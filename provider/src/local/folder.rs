//! The folder of one machine.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::MachineRecord;
use crate::process::ProcessName;
use crate::{Instance, InstanceState, ProviderError, SshTarget, Usd, files};

/// The folder of one machine.
#[derive(Debug, Clone)]
pub(crate) struct MachineFolder {
    /// The provider's folder, as an absolute path without symlinks.
    dir: PathBuf,
    id: String,
}

impl MachineFolder {
    pub(crate) fn new(dir: impl Into<PathBuf>, id: impl Into<String>) -> Self {
        Self { dir: dir.into(), id: id.into() }
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The provider's folder.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.join(&self.id)
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.path().join("home")
    }

    /// Where Disco is installed on it.
    pub(crate) fn prefix(&self) -> PathBuf {
        self.home().join("disco")
    }

    pub(crate) fn authorized_keys(&self) -> PathBuf {
        self.home().join(".ssh/authorized_keys")
    }

    pub(crate) fn host_key(&self) -> PathBuf {
        self.path().join("host_key")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.path().join("machine.log")
    }

    pub(crate) fn control_lock(&self) -> PathBuf {
        self.path().join("control")
    }

    pub(crate) fn running_lock(&self) -> PathBuf {
        self.path().join("running")
    }

    fn process_path(&self) -> PathBuf {
        self.path().join("process.json")
    }

    /// What does not change about it. `None` when there is no such machine.
    pub(crate) fn record(&self) -> Result<Option<MachineRecord>, ProviderError> {
        read_json(&self.path().join("machine.json"))
    }

    /// The process that was it last, dead or alive.
    pub(crate) fn process(&self) -> Result<Option<ProcessName>, ProviderError> {
        read_json(&self.process_path())
    }

    /// Called by the machine itself, once it answers.
    pub(crate) fn write_process(&self, process: ProcessName) -> io::Result<()> {
        files::write_atomically(&self.process_path(), &serde_json::to_vec(&process)?, 0o600)
    }

    /// The machine as its user sees it, at this moment. `None` when there is no such machine.
    pub(crate) fn instance(&self) -> Result<Option<Instance>, ProviderError> {
        let Some(record) = self.record()? else { return Ok(None) };
        let process = self.process()?.filter(|process| process.is_alive());
        Ok(Some(Instance {
            state: if process.is_some() { InstanceState::Running } else { InstanceState::Stopped },
            ssh: SshTarget { user: record.user.clone(), host: record.address.to_string(), port: record.ssh_port },
            control_address: record.control_address(),
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

    /// Removes it with all that is on it; to anyone else it is there whole or not at all.
    pub(crate) fn remove(&self) -> io::Result<()> {
        let leaving = self.dir.join(format!(".gone-{}", self.id));
        let done = match std::fs::rename(self.path(), &leaving) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => std::fs::remove_dir_all(self.path()),
            other => other,
        };
        done.and_then(|()| match std::fs::remove_dir_all(&leaving) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        })
    }
}

/// The entries in the environment by which everything that runs on a machine is known.
pub(crate) fn environment_marks(folder: &MachineFolder) -> [OsString; 2] {
    let mut dir = b"DISCO_LOCAL_DIR=".to_vec();
    dir.extend_from_slice(folder.dir().as_os_str().as_encoded_bytes());
    [format!("DISCO_MACHINE={}", folder.id()).into(), OsString::from_vec(dir)]
}

/// Reads a JSON file that may be missing.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, ProviderError> {
    let content = files::read_if_exists(path).map_err(ProviderError::io("read", path))?;
    content
        .map(|content| {
            serde_json::from_slice(&content)
                .map_err(|error| ProviderError::Damaged { path: path.to_path_buf(), reason: error.to_string() })
        })
        .transpose()
}
