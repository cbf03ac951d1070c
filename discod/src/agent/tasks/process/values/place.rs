//! Where the files are: in memory, if the machine has a file system for that which this process may use.
//!
//! `<data>/values` is a link to that folder, so that it is found when Disco is removed from the machine. Without such a file system
//! it is the folder itself, which only the daemon's user may enter.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The kinds of file systems in memory, tmpfs and ramfs: statfs(2).
const IN_MEMORY: [i128; 2] = [0x0102_1994, 0x8584_58f6];
/// The entry of the data folder.
const ENTRY: &str = "values";
/// Entered by all users, listed by none: the name of a task's folder is random.
const PASSED: u32 = 0o711;

/// The folder of a node's tasks.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) folder: PathBuf,
    /// It is in memory, and tasks of other users can enter it.
    pub(super) in_memory: bool,
}

/// The folder, which is made if it does not exist. `node`: no other node on the machine has this name.
pub(super) fn find(data: &Path, node: &str) -> io::Result<Place> {
    let own = rustix::process::geteuid();
    for (holder, name) in candidates(own.is_root(), own.as_raw()) {
        match in_memory(&holder, &name, node) {
            Ok(Some(folder)) => {
                link(&data.join(ENTRY), &folder)?;
                return Ok(Place { folder, in_memory: true });
            }
            Ok(None) => {}
            Err(error) => {
                tracing::debug!(folder = %holder.display(), %error, "no secrets of tasks are kept here");
            }
        }
    }
    let folder = data.join(ENTRY);
    if !folder.symlink_metadata().is_ok_and(|found| found.is_dir()) {
        forget_entry(&folder)?;
        std::fs::DirBuilder::new().mode(0o700).create(&folder)?;
        tracing::warn!(
            folder = %folder.display(),
            "secrets of tasks are kept on the disk: this machine has no file system in memory that the daemon may use (`/run`, `/dev/shm`)"
        );
    }
    Ok(Place { folder, in_memory: false })
}

/// File systems that are in memory on most machines, with the name of Disco's folder there.
fn candidates(is_root: bool, uid: u32) -> Vec<(PathBuf, OsString)> {
    let mut all = Vec::new();
    if is_root {
        all.push(("/run".into(), "disco".into()));
    } else if let Some(own) = std::env::var_os("XDG_RUNTIME_DIR").filter(|own| !own.is_empty()) {
        all.push((own.into(), "disco".into()));
    }
    all.push(("/dev/shm".into(), format!("disco-{uid}").into()));
    all
}

fn in_memory(holder: &Path, name: &OsString, node: &str) -> io::Result<Option<PathBuf>> {
    if !IN_MEMORY.contains(&i128::from(rustix::fs::statfs(holder)?.f_type)) {
        return Ok(None);
    }
    let shared = holder.join(name);
    own_folder(&shared)?;
    let folder = shared.join(node);
    own_folder(&folder)?;
    Ok(Some(folder))
}

/// Makes a folder, or checks that it is this user's own: others may make entries in `/dev/shm`.
fn own_folder(path: &Path) -> io::Result<()> {
    match std::fs::DirBuilder::new().mode(PASSED).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = std::fs::symlink_metadata(path)?;
    if !found.is_dir() || found.uid() != rustix::process::geteuid().as_raw() || found.mode() & 0o022 != 0 {
        let why = format!("`{}` is not a folder of this user alone", path.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    // Whatever the mask of the process is.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(PASSED))
}

/// Makes the entry of the data folder lead to the folder.
fn link(entry: &Path, folder: &Path) -> io::Result<()> {
    if std::fs::read_link(entry).is_ok_and(|known| known == folder) {
        return Ok(());
    }
    forget_entry(entry)?;
    std::os::unix::fs::symlink(folder, entry)
}

/// Removes the entry, and what is there if it is a folder.
fn forget_entry(entry: &Path) -> io::Result<()> {
    let removed = match std::fs::symlink_metadata(entry) {
        Ok(found) if found.is_dir() => std::fs::remove_dir_all(entry),
        Ok(_) => std::fs::remove_file(entry),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes the files of all tasks of a data folder, before Disco is removed from a machine.
///
/// # Errors
/// A folder cannot be removed.
pub(in crate::agent::tasks::process) fn forget(data: &Path) -> io::Result<()> {
    let entry = data.join(ENTRY);
    if let Ok(folder) = std::fs::read_link(&entry) {
        match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        if let Some(shared) = folder.parent() {
            // Only the last node of a machine leaves it empty.
            let _other_nodes = std::fs::remove_dir(shared);
        }
    }
    forget_entry(&entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_found_again_and_removed() {
        let data = tempfile::tempdir().unwrap();
        let node = format!("test-{}", uuid::Uuid::new_v4().simple());
        let (first, again) = (find(data.path(), &node).unwrap(), find(data.path(), &node).unwrap());
        assert_eq!(first.folder, again.folder);
        assert!(first.folder.is_dir());
        std::fs::write(first.folder.join("x"), "").unwrap();
        forget(data.path()).unwrap();
        assert!(!first.folder.exists() && data.path().join(ENTRY).symlink_metadata().is_err());
        forget(data.path()).unwrap();
    }

    #[test]
    fn a_folder_that_others_may_write_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let open = folder.path().join("open");
        std::fs::create_dir(&open).unwrap();
        std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o777)).unwrap();
        assert!(own_folder(&open).is_err());
        std::os::unix::fs::symlink(folder.path(), folder.path().join("link")).unwrap();
        assert!(own_folder(&folder.path().join("link")).is_err());
        assert!(own_folder(&folder.path().join("new")).is_ok());
    }
}
