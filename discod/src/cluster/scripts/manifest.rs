//! The list of files of a script version or a deployment, checked.

use disco_proto::v1::FileEntry;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::blobs::{FILE_BYTES, is_sha256};
use super::records::FileRecord;

/// Maximum number of files of one version.
pub const FILES: usize = 2000;
/// Maximum size of all files of one version, in bytes.
pub const VERSION_BYTES: u64 = 64 << 20;
/// Longest path in bytes.
const PATH_BYTES: usize = 1024;

/// Files with valid, distinct paths and bounded size, in the order of their paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    files: Vec<FileRecord>,
}

/// Why a list of files is invalid.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ManifestError {
    /// Too many files.
    #[error("too many files: {0}; at most {FILES} are allowed; exclude files in `.discoignore`")]
    TooMany(usize),
    /// A file is too large.
    #[error("`{path}` has {size} bytes, more than {FILE_BYTES} ({} MiB); exclude it in `.discoignore`", FILE_BYTES >> 20)]
    FileTooLarge {
        /// Path of the file.
        path: String,
        /// Its size in bytes.
        size: u64,
    },
    /// All together are.
    #[error(
        "the files have {bytes} bytes together, more than {VERSION_BYTES} ({} MiB); exclude files in `.discoignore`",
        VERSION_BYTES >> 20
    )]
    TooLarge {
        /// Their size in bytes.
        bytes: u64,
    },
    /// An invalid path.
    #[error("invalid path `{0}`: expected a relative path within the project")]
    Path(String),
    /// A duplicate path.
    #[error("duplicate path `{0}`")]
    Twice(String),
    /// An invalid checksum.
    #[error("invalid checksum of `{0}`: expected a SHA-256 in lower-case hexadecimal")]
    Checksum(String),
}

// === impl Manifest ===

impl Manifest {
    /// Checks a list of files.
    ///
    /// # Errors
    /// Why it is invalid.
    pub fn new(entries: Vec<FileEntry>) -> Result<Self, ManifestError> {
        if entries.len() > FILES {
            return Err(ManifestError::TooMany(entries.len()));
        }
        let mut files = Vec::with_capacity(entries.len());
        let mut total: u64 = 0;
        for FileEntry { path, sha256, size, mode } in entries {
            if !is_project_path(&path) {
                return Err(ManifestError::Path(path.chars().take(200).collect()));
            }
            if !is_sha256(&sha256) {
                return Err(ManifestError::Checksum(path));
            }
            if size > FILE_BYTES {
                return Err(ManifestError::FileTooLarge { path, size });
            }
            total += size;
            files.push(FileRecord { path, sha256, size, mode: mode & 0o777 });
        }
        if total > VERSION_BYTES {
            return Err(ManifestError::TooLarge { bytes: total });
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        if let Some(pair) = files.windows(2).find(|pair| pair[0].path == pair[1].path) {
            return Err(ManifestError::Twice(pair[0].path.clone()));
        }
        Ok(Self { files })
    }

    /// The files.
    #[must_use]
    pub fn files(&self) -> &[FileRecord] {
        &self.files
    }

    /// The files as stored in records.
    #[must_use]
    pub fn into_files(self) -> Vec<FileRecord> {
        self.files
    }

    /// Whether a file with that path exists.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        self.files.iter().any(|file| file.path == path)
    }

    /// The hash of exactly these paths with exactly these contents: `sha256:…`.
    #[must_use]
    pub fn hash(&self) -> String {
        let mut hasher = Sha256::new();
        for file in &self.files {
            // No path contains a zero byte, so no two lists yield the same bytes.
            hasher.update(file.path.as_bytes());
            hasher.update([0]);
            hasher.update(file.sha256.as_bytes());
            hasher.update([0]);
        }
        format!("sha256:{}", hex::encode(hasher.finalize()))
    }
}

/// Whether a path is relative, normalised, and free of characters that would break a terminal.
fn is_project_path(path: &str) -> bool {
    path.len() <= PATH_BYTES
        && !path.chars().any(char::is_control)
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, size: u64) -> FileEntry {
        FileEntry { path: path.to_owned(), sha256: "ab".repeat(32), size, mode: 0o100_644 }
    }

    #[test]
    fn the_hash_is_that_of_paths_and_contents() {
        let one = Manifest::new(vec![entry("a", 1), entry("b/c.js", 2)]).unwrap();
        let other = Manifest::new(vec![entry("b/c.js", 2), entry("a", 1)]).unwrap();
        assert_eq!(one.hash(), other.hash());
        assert_eq!(one.files()[0].mode, 0o644);
        let changed = FileEntry { sha256: "cd".repeat(32), ..entry("a", 1) };
        assert_ne!(one.hash(), Manifest::new(vec![changed, entry("b/c.js", 2)]).unwrap().hash());
        assert_ne!(one.hash(), Manifest::new(vec![entry("a", 1)]).unwrap().hash());
    }

    #[test]
    fn paths_that_leave_the_project_are_refused() {
        for path in ["", "/etc/passwd", "../x", "a/../../x", "a//b", "./a", "a/", "a\0b", "a\nb", &"x".repeat(2000)] {
            assert!(matches!(Manifest::new(vec![entry(path, 1)]), Err(ManifestError::Path(_))), "{path:?}");
        }
    }

    #[test]
    fn what_is_too_much_is_refused() {
        let large = Manifest::new(vec![entry("x", FILE_BYTES + 1)]).unwrap_err();
        assert_eq!(large.to_string(), "`x` has 8388609 bytes, more than 8388608 (8 MiB); exclude it in `.discoignore`");
        let all: Vec<FileEntry> = (0..9).map(|n| entry(&n.to_string(), FILE_BYTES)).collect();
        assert!(matches!(Manifest::new(all), Err(ManifestError::TooLarge { .. })));
        let many: Vec<FileEntry> = (0..=FILES).map(|n| entry(&n.to_string(), 0)).collect();
        assert_eq!(Manifest::new(many), Err(ManifestError::TooMany(FILES + 1)));
        assert_eq!(Manifest::new(vec![entry("x", 0), entry("x", 0)]), Err(ManifestError::Twice("x".into())));
        let no_sum = FileEntry { sha256: "AB".repeat(32), ..entry("x", 0) };
        assert_eq!(Manifest::new(vec![no_sum]), Err(ManifestError::Checksum("x".into())));
    }
}
