//! Contents of programs' files on this node's disk.
//!
//! ```text
//! <data>/artifacts/<sha256>-<mode>       one file for each content and mode
//! <data>/artifacts/.part-<sha256>        the beginning of a content, where a later attempt continues
//! <data>/artifacts/.part-<sha256>-<id>   the same while it is being received
//! ```
//!
//! Invariants:
//! - A file gets its name only when its content has the hash, and is on disk.
//! - A content counts as usable only if this process has checked its hash, and it was not modified since.
//! - No content is ever in memory as a whole.
//!
//! All functions here block.

mod flights;
mod receipt;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use disco_store::typed::FileRecord;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

pub use self::flights::{Flight, Flights, NotFetched, landed};
pub use self::receipt::{NotReceived, Receipt};

/// The folder in the data folder.
const FOLDER: &str = "artifacts";
/// Bytes that are hashed at once.
const BLOCK: usize = 64 << 10;
/// Contents that are sent to other nodes at once.
const SENDING: usize = 8;
/// Modes with which a content is looked for, so that one that arrives is found whatever mode a request names.
const COMMON: [u32; 8] = [0o755, 0o644, 0o700, 0o600, 0o775, 0o664, 0o750, 0o640];
/// How long a content stays that nothing refers to: it may just have been sent for a following deployment.
pub const GRACE: Duration = Duration::from_secs(600);
/// Bytes of contents that nothing refers to.
pub const BUDGET: u64 = 256 << 20;

/// A content, and the mode of a file with it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Content {
    /// Lower-case hexadecimal.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
    /// Unix permission bits.
    pub mode: u32,
}

/// The artifacts of this node. Cheap to clone.
#[derive(Clone)]
pub struct Artifacts(Arc<Inner>);

struct Inner {
    folder: PathBuf,
    /// Files that this process has checked, as they were then.
    checked: Mutex<BTreeMap<String, Stamp>>,
    flights: Flights,
    sending: Arc<Semaphore>,
}

/// A version of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

// === impl Content ===

impl Content {
    fn name(&self) -> String {
        format!("{}-{:03o}", self.sha256, self.mode)
    }

    /// The same as it is stored when it arrives: files with other modes are made of that one, where tasks need them.
    fn stored(&self) -> Self {
        let mode = if COMMON.contains(&self.mode) { self.mode } else { COMMON[0] };
        Self { mode, ..self.clone() }
    }
}

impl From<&FileRecord> for Content {
    fn from(file: &FileRecord) -> Self {
        Self { sha256: file.sha256.clone(), size: file.size, mode: file.mode & 0o777 }
    }
}

// === impl Artifacts ===

impl Artifacts {
    /// Of the node with this data folder.
    #[must_use]
    pub fn new(data: &Path) -> Self {
        let (checked, flights) = (Mutex::default(), Flights::default());
        let sending = Arc::new(Semaphore::new(SENDING));
        Self(Arc::new(Inner { folder: data.join(FOLDER), checked, flights, sending }))
    }

    /// Contents that are being fetched from other nodes.
    #[must_use]
    pub fn flights(&self) -> &Flights {
        &self.0.flights
    }

    /// Each content that is sent to another node takes a permit.
    #[must_use]
    pub fn sending(&self) -> Arc<Semaphore> {
        Arc::clone(&self.0.sending)
    }

    /// The file with this content and mode, checked by its hash, and made of one with another mode if there is only that. A
    /// damaged one is removed. It counts as just used.
    ///
    /// # Errors
    /// The disk fails.
    pub fn get(&self, content: &Content) -> io::Result<Option<PathBuf>> {
        let path = self.path(content);
        if let Some(stamp) = Stamp::of(&path)? {
            // A task may have changed it. Also sets the time of the last use, which a copy does not.
            fs_err::set_permissions(&path, std::fs::Permissions::from_mode(content.mode))?;
            if self.check(&path, stamp, &content.sha256, content.size)? {
                return Ok(Some(path));
            }
        }
        let Some(other) = self.other(content)? else { return Ok(None) };
        let mut receipt = Receipt::begin(self, content, false)?;
        let mut file = fs_err::File::open(&other)?;
        let mut block = vec![0; BLOCK];
        loop {
            match file.read(&mut block)? {
                0 => break,
                count => receipt.write(&block[..count])?,
            }
        }
        receipt.finish().map_err(io::Error::other)?;
        Ok(Some(path))
    }

    /// A usable file with this content and any mode.
    fn any(&self, content: &Content) -> io::Result<Option<PathBuf>> {
        let path = self.path(content);
        match Stamp::of(&path)? {
            Some(stamp) if self.check(&path, stamp, &content.sha256, content.size)? => Ok(Some(path)),
            _ => self.other(content),
        }
    }

    /// A usable file with this content and another mode.
    fn other(&self, content: &Content) -> io::Result<Option<PathBuf>> {
        for path in self.others(content) {
            if let Some(stamp) = Stamp::of(&path)?
                && self.check(&path, stamp, &content.sha256, content.size)?
            {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }

    /// Where this content may be with other modes: the list of the folder may be long.
    fn others(&self, content: &Content) -> impl Iterator<Item = PathBuf> {
        let modes = COMMON.into_iter().filter(|mode| *mode != content.mode);
        modes.map(|mode| self.path(&Content { mode, ..content.clone() }))
    }

    /// A usable file with this content and a mode that is looked for nowhere else: only that may be left of a content.
    fn rare(&self, content: &Content) -> io::Result<Option<PathBuf>> {
        let start = format!("{}-", content.sha256);
        for path in self.entries()?.into_iter().filter(|path| key(path).starts_with(&start)) {
            if let Some(stamp) = Stamp::of(&path)?
                && self.check(&path, stamp, &content.sha256, content.size)?
            {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }

    /// Whether this node has a content in some file, checked by its hash.
    ///
    /// # Errors
    /// The disk fails.
    pub fn has(&self, content: &Content) -> io::Result<bool> {
        Ok(self.any(content)?.is_some())
    }

    /// Those of the contents that this node lacks, without reading any: a file whose size differs, or that was modified
    /// since it was checked, does not count. The others count as just used.
    ///
    /// # Errors
    /// The disk fails.
    pub fn lacking(&self, contents: &[Content]) -> io::Result<Vec<Content>> {
        let mut lacking = Vec::new();
        for content in contents {
            let mut found = None;
            for path in std::iter::once(self.path(content)).chain(self.others(content)) {
                let Some(stamp) = Stamp::of(&path)? else { continue };
                let known = self.0.checked.lock().get(&key(&path)).copied();
                if stamp.size == content.size && known.is_none_or(|known| known == stamp) {
                    found = Some(path);
                    break;
                }
            }
            match found {
                Some(path) => touch(&path)?,
                None => lacking.push(content.clone()),
            }
        }
        Ok(lacking)
    }

    /// Opens a content for reading from this byte on. `None`: this node lacks it.
    ///
    /// # Errors
    /// The disk fails.
    pub fn open(&self, content: &Content, offset: u64) -> io::Result<Option<std::fs::File>> {
        let found = match self.any(content)? {
            Some(path) => Some(path),
            None => self.rare(content)?,
        };
        let Some(path) = found else { return Ok(None) };
        touch(&path)?;
        let mut file = fs_err::File::open(path)?;
        file.seek(SeekFrom::Start(offset))?;
        Ok(Some(file.into_parts().0))
    }

    /// Begins to receive a content, where an earlier attempt ended.
    ///
    /// # Errors
    /// The disk fails, or is full.
    pub fn receive(&self, content: &Content) -> io::Result<Receipt> {
        Receipt::begin(self, &content.stored(), true)
    }

    /// Stores a content that is in memory.
    ///
    /// # Errors
    /// See [`NotReceived`].
    pub fn write(&self, content: &Content, bytes: &[u8]) -> Result<(), NotReceived> {
        let mut receipt = Receipt::begin(self, &content.stored(), false)?;
        receipt.write(bytes)?;
        receipt.finish()
    }

    /// Removes the contents that are not needed and that no task uses, the longest unused ones first, as far as the budget
    /// requires. What is younger than `grace` stays. `needed`: hashes.
    ///
    /// # Errors
    /// The disk fails.
    pub fn prune(&self, needed: &BTreeSet<String>, budget: u64, grace: Duration) -> io::Result<()> {
        let now = crate::clock::unix_ms() / 1_000;
        let grace = i64::try_from(grace.as_secs()).unwrap_or(i64::MAX);
        let mut unused = Vec::new();
        for path in self.entries()? {
            let found = match fs_err::symlink_metadata(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                found => found?,
            };
            // The time of change is that at which a name was added or removed, or of the last use.
            let age = now.saturating_sub(found.ctime());
            let name = key(&path);
            let is_needed = name.split('-').next().is_some_and(|sha256| needed.contains(sha256));
            if found.nlink() == 1 && age >= grace && !is_needed {
                unused.push((age, found.len(), path, name));
            }
        }
        unused.sort_unstable();
        let mut retained = 0;
        for (_, size, path, name) in unused {
            retained += size;
            if retained > budget || name.starts_with('.') {
                fs_err::remove_file(&path)?;
                retained -= size;
                self.0.checked.lock().remove(&name);
            }
        }
        Ok(())
    }

    fn path(&self, content: &Content) -> PathBuf {
        self.0.folder.join(content.name())
    }

    fn entries(&self) -> io::Result<Vec<PathBuf>> {
        let entries = match fs_err::read_dir(&self.0.folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        entries.map(|entry| Ok(entry?.path())).collect()
    }

    /// Whether a file has this content and size. One whose content is another one than its name says is removed; one
    /// that is only asked for with a wrong size stays.
    fn check(&self, path: &Path, stamp: Stamp, sha256: &str, size: u64) -> io::Result<bool> {
        let name = key(path);
        let right_size = stamp.size == size;
        if self.0.checked.lock().get(&name) == Some(&stamp) {
            return Ok(right_size);
        }
        if hash(path)? == sha256 {
            self.0.checked.lock().insert(name, stamp);
            return Ok(right_size);
        }
        tracing::warn!(path = %path.display(), "a program's file does not have its content any more; removing it");
        self.0.checked.lock().remove(&name);
        fs_err::remove_file(path)?;
        Ok(false)
    }

    fn note_checked(&self, path: &Path) -> io::Result<()> {
        if let Some(stamp) = Stamp::of(path)? {
            self.0.checked.lock().insert(key(path), stamp);
        }
        Ok(())
    }

    /// The folder, made if it is missing.
    fn folder(&self) -> io::Result<&Path> {
        let folder = &self.0.folder;
        let failed = |error: io::Error| io::Error::new(error.kind(), format!("making `{}`: {error}", folder.display()));
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        Ok(folder)
    }

    #[cfg(test)]
    pub(crate) fn file(&self, content: &Content) -> PathBuf {
        self.path(content)
    }

    /// As after a restart of the daemon.
    #[cfg(test)]
    pub(crate) fn forget_checks(&self) {
        self.0.checked.lock().clear();
    }
}

impl Stamp {
    /// Of a regular file; `None` if there is none.
    fn of(path: &Path) -> io::Result<Option<Self>> {
        match fs_err::symlink_metadata(path) {
            Ok(found) if found.is_file() => {
                Ok(Some(Self { inode: found.ino(), size: found.len(), modified: (found.mtime(), found.mtime_nsec()) }))
            }
            Ok(_) => Err(io::Error::other(format!("`{}` is not a file", path.display()))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The name of a file.
fn key(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Sets the time of change, and nothing else.
fn touch(path: &Path) -> io::Result<()> {
    let mode = fs_err::metadata(path)?.mode() & 0o777;
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

/// The SHA-256 of a file.
///
/// # Errors
/// It cannot be read.
pub fn hash(path: &Path) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut file = fs_err::File::open(path)?;
    let mut block = vec![0; BLOCK];
    loop {
        match file.read(&mut block)? {
            0 => return Ok(hex::encode(hasher.finalize())),
            count => hasher.update(&block[..count]),
        }
    }
}

#[cfg(test)]
mod tests;
