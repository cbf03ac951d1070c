//! The provider's folder: finding, making and removing machines in it. All of it blocks.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey};

use super::addresses::Network;
use super::{MachineFolder, MachineRecord, RunningMachine, launch};
use crate::{Machine, ProviderError, StartRequest, files};

/// How long others may hold a lock: as long as stopping a machine takes, and some slack.
const LOCK_LIMIT: Duration = Duration::from_secs(30);
/// The login user of a machine.
const USER: &str = "disco";
/// Folders that are being made or removed start with a dot; they belong to the holder of the lock.
const MAKING: &str = ".new-";
const LEAVING: &str = ".gone-";

/// The provider's folder, for one cluster.
#[derive(Debug, Clone)]
pub(super) struct Store {
    /// The path as configured.
    pub(super) dir: PathBuf,
    /// Whether the folder may be made. On a machine it must exist, or the machine itself was removed.
    pub(super) may_make: bool,
    /// The executable with the hidden subcommand `machine`.
    pub(super) executable: PathBuf,
    /// The id of the cluster; `None` if unknown: then all machines here belong to it.
    pub(super) cluster_id: Option<String>,
    /// The cluster's display name.
    pub(super) cluster: String,
}

impl Store {
    /// See [`crate::Provider::start`].
    pub(super) fn start(&self, request: &StartRequest, name: &str) -> Result<Machine, ProviderError> {
        if self.may_make {
            make_dir(&self.dir).map_err(ProviderError::io("create", &self.dir))?;
        }
        let dir = self.real_dir()?;
        // Checked first: if the machines run elsewhere, this folder is a copy, and they use its addresses and node ids.
        if let Some(machine) = self.elsewhere()?.into_iter().next() {
            return Err(ProviderError::RunsElsewhere { cluster: machine.cluster, folder: machine.folder });
        }
        let (folder, project) = self.find_or_make(&dir, request, name)?;
        let _control = lock(&folder.control_lock())?;
        authorize(&folder.authorized_keys(), &request.authorized_keys)
            .map_err(ProviderError::io("write", folder.authorized_keys()))?;
        launch::start(&folder, &self.executable, &project)?;
        folder.machine()?.ok_or_else(|| ProviderError::NoSuchMachine { id: folder.id().to_owned() })
    }

    /// See [`crate::Provider::list`].
    pub(super) fn list(&self) -> Result<Vec<Machine>, ProviderError> {
        if !self.dir.exists() {
            return Ok(Vec::new());
        }
        let dir = self.real_dir()?;
        let own = machines(&dir)?.into_iter().filter(|record| self.has(record));
        let folders = own.map(|record| MachineFolder::new(&dir, record.id));
        folders.filter_map(|folder| folder.machine().transpose()).collect()
    }

    /// See [`crate::Provider::stop`].
    pub(super) fn stop(&self, id: &str) -> Result<(), ProviderError> {
        let folder = self.folder(id)?.ok_or_else(|| ProviderError::NoSuchMachine { id: id.to_owned() })?;
        let _control = lock(&folder.control_lock())?;
        launch::stop(&folder)
    }

    /// See [`crate::Provider::terminate`].
    pub(super) fn terminate(&self, id: &str) -> Result<(), ProviderError> {
        let Some(folder) = self.folder(id)? else { return Ok(()) };
        {
            let _control = match lock(&folder.control_lock()) {
                // A concurrent caller was faster.
                Err(ProviderError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(()),
                other => other?,
            };
            launch::kill(&folder)?;
            folder.remove().map_err(ProviderError::io("remove", folder.path()))?;
        }
        self.tidy()
    }

    /// See [`crate::Provider::elsewhere`].
    pub(super) fn elsewhere(&self) -> Result<Vec<RunningMachine>, ProviderError> {
        let Some(network) = Network::read(&self.dir)?.filter(|network| !network.project().is_empty()) else {
            return Ok(Vec::new());
        };
        let same_project = RunningMachine::all().into_iter().filter(|machine| machine.project == network.project());
        Ok(same_project.filter(|machine| machine.lives_outside(&self.dir)).collect())
    }

    fn has(&self, record: &MachineRecord) -> bool {
        record.is_of(self.cluster_id.as_deref())
    }

    fn folder(&self, id: &str) -> Result<Option<MachineFolder>, ProviderError> {
        // Ids are untrusted and become part of a path.
        if !self.dir.exists() || id.is_empty() || id.starts_with('.') || id.contains('/') {
            return Ok(None);
        }
        let folder = MachineFolder::new(&self.real_dir()?, id);
        Ok(folder.record()?.filter(|record| self.has(record)).map(|_| folder))
    }

    /// The folder without symlinks: the same for all callers.
    fn real_dir(&self) -> Result<PathBuf, ProviderError> {
        self.dir.canonicalize().map_err(ProviderError::io("open", &self.dir))
    }

    /// Removes leftovers, such as files that a machine wrote while it was being removed.
    fn tidy(&self) -> Result<(), ProviderError> {
        let dir = self.real_dir()?;
        let _lock = lock(&dir.join("lock"))?;
        clean(&dir)
    }

    /// The machine with this token, made if it does not exist, and the folder's id. It is not started here.
    fn find_or_make(
        &self,
        dir: &Path,
        request: &StartRequest,
        name: &str,
    ) -> Result<(MachineFolder, String), ProviderError> {
        let _lock = lock(&dir.join("lock"))?;
        clean(dir)?;
        let existing = machines(dir)?;
        let mut network = Network::load(dir)?;
        let project = network.project().to_owned();
        let cluster_id = request.cluster_id.as_ref().or(self.cluster_id.as_ref());
        // Clusters that share the folder may have the same name, and tokens are made of names.
        let is_it =
            |record: &&MachineRecord| record.token == request.token && record.is_of(cluster_id.map(String::as_str));
        if let Some(record) = existing.iter().find(is_it) {
            // The id is new if an older build made the folder.
            network.save(dir)?;
            return Ok((MachineFolder::new(dir, &record.id), project));
        }
        let place = network.place(&existing)?;
        // Stored first: if this process is killed now, a number is skipped, which is harmless.
        network.save(dir)?;
        let id = format!("local-{}", place.number);
        let failed = |reason: String| ProviderError::MachineStart { id: id.clone(), reason };
        let unreadable = |error| failed(format!("cannot make a host key: {error}"));
        let key = PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519);
        let key = key.map_err(|error| failed(format!("cannot make a host key: {error}")))?;
        let record = MachineRecord {
            number: place.number,
            name: if name.is_empty() { id.clone() } else { name.to_owned() },
            token: request.token.clone(),
            cluster_id: cluster_id.cloned().unwrap_or_default(),
            cluster: self.cluster.clone(),
            address: place.address,
            ssh_port: place.ssh_port,
            control_port: place.control_port,
            user: USER.to_owned(),
            host_key: key.public_key().to_openssh().map_err(unreadable)?,
            id: id.clone(),
        };
        let making = dir.join(format!("{MAKING}{id}"));
        let pem = key.to_openssh(LineEnding::LF).map_err(unreadable)?;
        fill(&making, &record, pem.as_bytes()).map_err(ProviderError::io("create", &making))?;
        let folder = MachineFolder::new(dir, id);
        std::fs::rename(&making, folder.path()).map_err(ProviderError::io("create", folder.path()))?;
        Ok((folder, project))
    }
}

fn fill(path: &Path, record: &MachineRecord, host_key: &[u8]) -> io::Result<()> {
    for dir in [path.to_path_buf(), path.join("home"), path.join("home/.ssh")] {
        make_dir(&dir)?;
    }
    files::write_atomically(&path.join("host_key"), host_key, 0o600)?;
    files::write_atomically(&path.join(MachineRecord::FILE), &serde_json::to_vec_pretty(record)?, 0o600)
}

/// Adds public keys to the authorized ones.
fn authorize(path: &Path, keys: &[String]) -> io::Result<()> {
    let old = String::from_utf8_lossy(&files::read_if_exists(path)?.unwrap_or_default()).into_owned();
    let mut new = old.clone();
    for key in keys.iter().map(|key| key.trim()).filter(|key| !key.is_empty()) {
        if !new.lines().any(|line| line == key) {
            new = format!("{}{key}\n", if new.is_empty() || new.ends_with('\n') { new } else { new + "\n" });
        }
    }
    if new == old && path.exists() { Ok(()) } else { files::write_atomically(path, new.as_bytes(), 0o600) }
}

/// All machines, in the order of creation.
fn machines(dir: &Path) -> Result<Vec<MachineRecord>, ProviderError> {
    let failed = || ProviderError::io("list", dir);
    let mut records = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed())? {
        let name = entry.map_err(failed())?.file_name();
        let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else { continue };
        if let Some(record) = MachineFolder::new(dir, name).record()? {
            records.push(record);
        }
    }
    records.sort_by_key(|record| record.number);
    Ok(records)
}

/// Removes leftovers of killed processes. The lock of the folder must be held.
fn clean(dir: &Path) -> Result<(), ProviderError> {
    for entry in std::fs::read_dir(dir).map_err(ProviderError::io("list", dir))? {
        let entry = entry.map_err(ProviderError::io("list", dir))?;
        let leftover = entry.file_name().to_str().is_some_and(|n| n.starts_with(MAKING) || n.starts_with(LEAVING));
        if leftover {
            match std::fs::remove_dir_all(entry.path()) {
                // A concurrent termination removes it as well.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other.map_err(ProviderError::io("remove", entry.path()))?,
            }
        }
    }
    Ok(())
}

fn lock(path: &Path) -> Result<File, ProviderError> {
    files::lock(path, LOCK_LIMIT).map_err(ProviderError::io("lock", path))
}

/// Makes a folder that only its owner can access.
fn make_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}
