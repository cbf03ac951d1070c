//! The files of tasks.
//!
//! ```text
//! <place>/<task>-<random>/secrets/token    -> ..data/token
//!                                /..data   -> ..12            replaced as a whole
//!                                /..12/token
//!                        /configs/…
//! ```
//!
//! A program that opens the folder sees the files of one version or of the next, never a part of both. All folders are the
//! daemon's, so that a task cannot lead it elsewhere.

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use disco_shim::User;
use parking_lot::Mutex;

use super::place::{self, Place};
use crate::agent::tasks::driver::NotStarted;
use crate::cluster::secrets::Value;
use crate::records::ValueKind;

/// The link to the files of the version in use.
const DATA: &str = "..data";
const NEW_DATA: &str = "..data.new";

/// The files of a node's tasks.
pub(super) struct Files {
    data: PathBuf,
    node: String,
    /// Found when it is needed first.
    place: Mutex<Option<Place>>,
}

/// A file.
pub(super) struct Content<'a> {
    pub(super) kind: ValueKind,
    pub(super) target: &'a str,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) mode: u32,
    pub(super) value: &'a Value,
}

/// The folder of all secrets or configs of a task.
pub(super) const fn name(kind: ValueKind) -> &'static str {
    match kind {
        ValueKind::Secret => "secrets",
        ValueKind::Config => "configs",
    }
}

// === impl Files ===

impl Files {
    pub(super) fn new(data: &Path, node: &str) -> Self {
        Self { data: data.to_owned(), node: node.to_owned(), place: Mutex::default() }
    }

    fn place(&self) -> io::Result<Place> {
        let mut place = self.place.lock();
        if let Some(place) = place.as_ref().filter(|place| place.folder.is_dir()) {
            return Ok(place.clone());
        }
        let found = place::find(&self.data, &self.node)?;
        *place = Some(found.clone());
        Ok(found)
    }

    /// The folder of a task, if it has one.
    pub(super) fn folder(&self, task: u64) -> Option<PathBuf> {
        let place = self.place().ok()?;
        entries(&place.folder).ok()?.into_iter().find(|(owner, _)| *owner == task).map(|(_, folder)| folder)
    }

    /// Whether a task has the files of this version.
    pub(super) fn has(&self, task: u64, group: u64) -> bool {
        let Some(folder) = self.folder(task) else { return false };
        let kinds = [ValueKind::Secret, ValueKind::Config].map(|kind| folder.join(name(kind)));
        let mut kinds = kinds.iter().filter(|folder| folder.exists()).peekable();
        kinds.peek().is_some() && kinds.all(|folder| in_use(folder).is_some_and(|link| link == version(group)))
    }

    /// Gives a task the files of a version, in the place of those that it had.
    pub(super) fn write(
        &self,
        task: u64,
        group: u64,
        contents: &[Content<'_>],
        user: Option<&User>,
    ) -> Result<(), NotStarted> {
        if contents.is_empty() {
            return Ok(());
        }
        let refused = |error: io::Error| NotStarted::Refused(format!("cannot write its secrets and configs: {error}"));
        let place = self.place().map_err(refused)?;
        let own = rustix::process::geteuid().as_raw();
        let other = contents.iter().find(|content| content.uid.is_some_and(|uid| uid != own) || content.gid.is_some());
        if let Some(content) = other.filter(|_| own != 0) {
            let why =
                format!("the daemon does not run as root, so it cannot give `{}` to another user", content.target);
            return Err(NotStarted::Refused(why));
        }
        if !place.in_memory && (user.is_some() || other.is_some()) {
            let why = "its secrets are for another user than the daemon's, and this machine has no file system in memory for them";
            return Err(NotStarted::Refused(why.to_owned()));
        }
        let folder = self.make(&place, task, user, other.is_some()).map_err(refused)?;
        for kind in [ValueKind::Secret, ValueKind::Config] {
            let own: Vec<&Content<'_>> = contents.iter().filter(|content| content.kind == kind).collect();
            if !own.is_empty() {
                replace(&folder.join(name(kind)), &version(group), &own, user).map_err(refused)?;
            }
        }
        Ok(())
    }

    /// Makes the folder of a task, which its user alone can enter; if files are for other users, everyone who knows its name.
    fn make(&self, place: &Place, task: u64, user: Option<&User>, for_others: bool) -> io::Result<PathBuf> {
        let folder = self.folder(task).unwrap_or_else(|| {
            let random = uuid::Uuid::new_v4().simple().to_string();
            place.folder.join(format!("{task}-{random}"))
        });
        make_folder(&folder, 0o700)?;
        let (mode, group) = match user {
            _ if for_others => (0o711, None),
            Some(user) => (0o710, Some(user.gid)),
            None => (0o700, None),
        };
        if group.is_some() {
            chown(&folder, None, group)?;
        }
        std::fs::set_permissions(&folder, Permissions::from_mode(mode))?;
        Ok(folder)
    }

    /// Removes the folders of other tasks than these.
    pub(super) fn keep(&self, tasks: &BTreeSet<u64>) -> io::Result<()> {
        // A node whose tasks have no secrets has no such folder.
        if self.place.lock().is_none() && std::fs::symlink_metadata(self.data.join("values")).is_err() {
            return Ok(());
        }
        for (task, folder) in entries(&self.place()?.folder)? {
            if !tasks.contains(&task) {
                std::fs::remove_dir_all(&folder)?;
            }
        }
        Ok(())
    }
}

/// The folders of tasks.
fn entries(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let task = entry.file_name().to_str().and_then(|name| name.split_once('-')?.0.parse().ok());
        found.extend(task.map(|task| (task, entry.path())));
    }
    Ok(found)
}

fn version(group: u64) -> String {
    format!("..{group}")
}

/// The version that is in use.
fn in_use(folder: &Path) -> Option<String> {
    Some(std::fs::read_link(folder.join(DATA)).ok()?.to_str()?.to_owned())
}

/// Writes the files of a version, and makes them the ones in use.
fn replace(folder: &Path, version: &str, contents: &[&Content<'_>], user: Option<&User>) -> io::Result<()> {
    make_folder(folder, 0o755)?;
    let previous = in_use(folder);
    if previous.as_deref() == Some(version) {
        return Ok(());
    }
    let own = folder.join(version);
    // An earlier attempt may have been interrupted.
    remove(&own)?;
    make_folder(&own, 0o755)?;
    for content in contents {
        let path = own.join(content.target);
        for parent in Path::new(content.target).ancestors().skip(1).collect::<Vec<_>>().into_iter().rev().skip(1) {
            make_folder(&own.join(parent), 0o755)?;
        }
        write_file(&path, content, user)?;
    }
    for content in contents {
        let first = content.target.split('/').next().unwrap_or(content.target);
        match symlink(Path::new(DATA).join(first), folder.join(first)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    let new = folder.join(NEW_DATA);
    remove(&new)?;
    symlink(version, &new)?;
    std::fs::rename(&new, folder.join(DATA))?;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_version = name.to_str().is_some_and(|name| name.starts_with("..") && name != DATA);
        if is_version && name != *version {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

fn write_file(path: &Path, content: &Content<'_>, user: Option<&User>) -> io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content.value.bytes())?;
    let owner = content.uid.or(user.map(|user| user.uid));
    let group = content.gid.or(user.map(|user| user.gid));
    if owner.is_some() || group.is_some() {
        std::os::unix::fs::fchown(&file, owner, group)?;
    }
    // Last, as a change of the owner may reset bits.
    file.set_permissions(Permissions::from_mode(content.mode & 0o777))
}

fn make_folder(path: &Path, mode: u32) -> io::Result<()> {
    match std::fs::DirBuilder::new().mode(mode).create(path) {
        // Whatever the mask of the process is.
        Ok(()) => std::fs::set_permissions(path, Permissions::from_mode(mode)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    let removed = match std::fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "files_test.rs"]
mod tests;
