//! Files that hold identities: written atomically, secrets readable only by their owner.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// An error of a file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system refused.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// The operation.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Other users can read a secret.
    #[error("`{}` is open to others (mode {mode:03o}); hint: chmod 600 {}", path.display(), path.display())]
    OpenPermissions {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is too large.
    #[error("`{}` is larger than {limit} bytes", path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
    /// Not text.
    #[error("`{}` is not UTF-8 text", path.display())]
    NotText {
        /// Which file.
        path: PathBuf,
    },
}

impl FileError {
    /// Whether the file does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// Adds action and path to an I/O error.
fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_owned();
    move |source| FileError::Io { action, path, source }
}

/// Replaces a file atomically, with mode 0600.
///
/// # Errors
/// When the file cannot be written; the old one is then untouched.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    write(path, bytes, 0o600)
}

/// Replaces a file by one with mode 0644, likewise.
///
/// # Errors
/// When the file cannot be written; the old one is then untouched.
pub fn write_public(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    write(path, bytes, 0o644)
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
    let folder = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let mut file = tempfile::Builder::new()
        .prefix(".disco-")
        .suffix(".tmp")
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(folder)
        .map_err(at("create a file in", folder))?;
    file.write_all(bytes).map_err(at("write", path))?;
    // The umask reduces the mode at creation; a certificate must stay readable, so the mode is set again.
    file.as_file().set_permissions(Permissions::from_mode(mode)).map_err(at("set the permissions of", path))?;
    file.as_file().sync_all().map_err(at("write", path))?;
    file.persist(path).map_err(|error| at("replace", path)(error.error))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(at("write the folder", folder))
}

/// Makes a folder and its missing parents with mode 0700. An existing folder is left unchanged.
///
/// # Errors
/// When it cannot be made.
pub fn create_private_dir(path: &Path) -> Result<(), FileError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(at("create the folder", path))
}

/// Reads a text file of at most `limit` bytes.
///
/// # Errors
/// When it cannot be read, is larger, or is not UTF-8.
pub fn read_limited(path: &Path, limit: u64) -> Result<String, FileError> {
    read(File::open(path).map_err(at("open", path))?, path, limit)
}

/// Reads a secret text file of at most `limit` bytes, and refuses one that others may read or write.
///
/// # Errors
/// As [`read_limited`], and when its permissions are open.
pub fn read_private(path: &Path, limit: u64) -> Result<String, FileError> {
    let file = File::open(path).map_err(at("open", path))?;
    // The open file is checked, not the path: it cannot be replaced between check and use.
    let mode = file.metadata().map_err(at("read", path))?.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(FileError::OpenPermissions { path: path.to_owned(), mode });
    }
    read(file, path, limit)
}

fn read(file: File, path: &Path, limit: u64) -> Result<String, FileError> {
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(at("read", path))?;
    if bytes.len() as u64 > limit {
        return Err(FileError::TooLarge { path: path.to_owned(), limit });
    }
    String::from_utf8(bytes).map_err(|_| FileError::NotText { path: path.to_owned() })
}

/// Whether the path exists.
pub(crate) fn exists(path: &Path) -> Result<bool, FileError> {
    fs::exists(path).map_err(at("check", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_file_is_private_and_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        write_private(&path, b"one").unwrap();
        write_private(&path, b"two").unwrap();
        assert_eq!(read_private(&path, 3).unwrap(), "two");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn a_public_file_can_be_read_by_all_but_not_as_a_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        write_public(&path, b"x").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o644);
        let error = read_private(&path, 10).unwrap_err().to_string();
        assert!(error.contains("chmod 600") && error.contains("ca.pem") && error.contains("644"), "{error}");
    }

    #[test]
    fn too_large_missing_and_binary_files_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        assert!(read_limited(&path, 3).unwrap_err().is_not_found());
        write_public(&path, b"four").unwrap();
        assert!(matches!(read_limited(&path, 3), Err(FileError::TooLarge { limit: 3, .. })));
        write_public(&path, &[0xff, 0xfe]).unwrap();
        assert!(matches!(read_limited(&path, 3), Err(FileError::NotText { .. })));
    }

    #[test]
    fn a_write_that_fails_names_the_folder() {
        let error = write_private(Path::new("/proc/nowhere/key"), b"x").unwrap_err().to_string();
        assert!(error.contains("/proc/nowhere"), "{error}");
    }
}
