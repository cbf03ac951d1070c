//! Contents of files on this node, for the tasks that use them.
//!
//! ```text
//! <data>/artifacts/<sha256>-<mode>     one file for each content and mode
//! <data>/tasks/<id>/files/<path>       a further name of it (hard link), so that a task costs no disk; a copy where the task
//!                                      could write the artifact, as it runs as the daemon's user or its mode lets it
//! ```
//!
//! A task may have changed its file, and with it the artifact: a content is checked by its hash before it is linked, unless
//! this process has checked it before and it was not modified since. What no task uses is retained within a budget; what
//! was unused longest goes first.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use disco_store::typed::FileRecord;
use fs_err::os::unix::fs::OpenOptionsExt as _;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

/// Bytes of files that no task uses.
const BUDGET: u64 = 256 << 20;
/// Tasks that are started at once link what was fetched before: what is younger than this is never removed.
const YOUNG: Duration = Duration::from_secs(60);

/// Reads a content from the cluster's store. `Err`: why it is not there.
pub(in crate::agent::tasks) type Contents = Arc<dyn Fn(&FileRecord) -> Result<Vec<u8>, String> + Send + Sync>;

/// The folder of artifacts.
pub(super) struct Artifacts {
    folder: PathBuf,
    contents: Contents,
    /// Files that this process has checked, as they were then.
    checked: Mutex<BTreeMap<String, Stamp>>,
}

/// A version of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

/// Why files are not ready.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("the cluster's store lacks a file of it: {0}")]
    Missing(String),
    #[error("invalid path `{0}`")]
    Path(String),
    #[error(transparent)]
    Io(#[from] io::Error),
}

// === impl Artifacts ===

impl Artifacts {
    pub(super) fn new(folder: PathBuf, contents: Contents) -> Self {
        Self { folder, contents, checked: Mutex::default() }
    }

    /// Makes `folder` have these files, whatever was made of them. Others there are the task's own. `owner`: to whom new
    /// folders belong. Blocks.
    pub(super) fn place(
        &self,
        files: &[FileRecord],
        folder: &Path,
        owner: Option<(u32, u32)>,
    ) -> Result<(), FetchError> {
        make_folder(folder, owner)?;
        for file in files {
            self.place_one(file, folder, owner)?;
        }
        Ok(())
    }

    fn place_one(&self, file: &FileRecord, folder: &Path, owner: Option<(u32, u32)>) -> Result<(), FetchError> {
        let path = Path::new(&file.path);
        let parts = path.components().map(|part| match part {
            Component::Normal(name) => Some(name),
            _ => None,
        });
        let parts = parts.collect::<Option<Vec<_>>>().filter(|parts| !parts.is_empty());
        let Some((name, above)) = parts.as_deref().and_then(<[_]>::split_last) else {
            return Err(FetchError::Path(file.path.clone()));
        };
        let mut within = folder.to_owned();
        for part in above {
            within.push(part);
            make_folder(&within, owner)?;
        }
        let artifact = self.fetch(file)?;
        let place = within.join(name);
        let wanted = fs_err::metadata(&artifact)?;
        let shared = may_share(&wanted, owner);
        match fs_err::symlink_metadata(&place) {
            Ok(found) if shared && found.ino() == wanted.ino() => return Ok(()),
            Ok(found) if !shared && is_copy(&found, &wanted) && hash(&place)? == file.sha256 => return Ok(()),
            Ok(found) if found.is_dir() => fs_err::remove_dir_all(&place)?,
            Ok(_) => fs_err::remove_file(&place)?,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        // Not every file system has further names, and none has any number of them.
        if !shared || fs_err::hard_link(&artifact, &place).is_err() {
            // With its mode.
            fs_err::copy(&artifact, &place)?;
        }
        Ok(())
    }

    /// The file with this content and mode, made if it is missing or damaged.
    fn fetch(&self, file: &FileRecord) -> Result<PathBuf, FetchError> {
        let mode = file.mode & 0o777;
        let name = format!("{}-{mode:03o}", file.sha256);
        let path = self.folder.join(&name);
        if let Some(stamp) = Stamp::of(&path)? {
            // A task may have changed it. Also sets the time of the last use, which a copy does not.
            fs_err::set_permissions(&path, std::fs::Permissions::from_mode(mode))?;
            if self.checked.lock().get(&name) == Some(&stamp) {
                return Ok(path);
            }
            if hash(&path)? == file.sha256 {
                self.checked.lock().insert(name, stamp);
                return Ok(path);
            }
            tracing::warn!(path = %path.display(), "a task has changed a file that it shares with others; fetching it again");
            fs_err::remove_file(&path)?;
        }
        let content = (self.contents)(file).map_err(FetchError::Missing)?;
        create_folder(&self.folder, 0o700)?;
        // Tasks that need the same content may be started at once.
        let temporary = self.folder.join(format!(".tmp-{name}-{}", uuid::Uuid::new_v4()));
        let written = write(&temporary, &content, mode).and_then(|()| fs_err::rename(&temporary, &path));
        if let Err(error) = written {
            // It is removed by the next pass otherwise.
            let _left = fs_err::remove_file(&temporary);
            return Err(error.into());
        }
        if let Some(stamp) = Stamp::of(&path)? {
            self.checked.lock().insert(name, stamp);
        }
        Ok(path)
    }

    /// Removes the files that no task uses, the longest unused ones first, as far as the budget requires. Blocks.
    pub(super) fn prune(&self) -> io::Result<()> {
        self.prune_to(BUDGET, YOUNG)
    }

    fn prune_to(&self, budget: u64, young: Duration) -> io::Result<()> {
        let entries = match fs_err::read_dir(&self.folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        let now = crate::clock::unix_ms() / 1_000;
        let mut unused = Vec::new();
        for entry in entries {
            let entry = entry?;
            let found = entry.metadata()?;
            // The time of change is that at which a name was added or removed: of the last use.
            let age = now.saturating_sub(found.ctime());
            if found.nlink() == 1 && age >= i64::try_from(young.as_secs()).unwrap_or(i64::MAX) {
                unused.push((age, found.len(), entry.path()));
            }
        }
        unused.sort_unstable();
        let mut retained = 0;
        for (_, size, path) in unused {
            retained += size;
            let temporary = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            if retained > budget || temporary {
                fs_err::remove_file(&path)?;
                retained -= size;
                if let Some(name) = path.file_name().and_then(|name| name.to_str()) {
                    self.checked.lock().remove(name);
                }
            }
        }
        Ok(())
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

/// Whether a task may have an artifact itself: it cannot write it, nor change its mode. Others have copies.
fn may_share(artifact: &std::fs::Metadata, owner: Option<(u32, u32)>) -> bool {
    // Without another user the task is the artifact's owner.
    owner.is_some_and(|(uid, _)| uid != 0 && uid != artifact.uid()) && artifact.mode() & 0o022 == 0
}

/// Whether a file may be the copy of an artifact, by all but its content.
fn is_copy(found: &std::fs::Metadata, artifact: &std::fs::Metadata) -> bool {
    found.is_file() && found.len() == artifact.len() && found.mode() == artifact.mode() && found.ino() != artifact.ino()
}

fn hash(path: &Path) -> io::Result<String> {
    let mut hasher = Sha256::new();
    io::copy(&mut fs_err::File::open(path)?, &mut hasher)?;
    Ok(hex::encode(hasher.finalize()))
}

/// Not synchronised: what a power cut damages does not have its hash.
fn write(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut file = fs_err::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    // Past the umask.
    file.set_permissions(std::fs::Permissions::from_mode(mode))
}

fn create_folder(path: &Path, mode: u32) -> io::Result<()> {
    let failed = |error: io::Error| io::Error::new(error.kind(), format!("making `{}`: {error}", path.display()));
    std::fs::DirBuilder::new().recursive(true).mode(mode).create(path).map_err(failed)
}

/// A folder of the task's, which is not a link to another place.
fn make_folder(path: &Path, owner: Option<(u32, u32)>) -> io::Result<()> {
    match fs_err::symlink_metadata(path) {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => fs_err::remove_file(path)?,
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    create_folder(path, 0o755)?;
    match owner {
        Some((uid, gid)) => fs_err::os::unix::fs::chown(path, Some(uid), Some(gid)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Test {
        folder: tempfile::TempDir,
        artifacts: Artifacts,
        fetched: Arc<Mutex<u32>>,
    }

    fn test() -> Test {
        let folder = tempfile::tempdir().unwrap();
        let fetched = Arc::new(Mutex::new(0));
        let count = fetched.clone();
        let contents: Contents = Arc::new(move |file: &FileRecord| {
            *count.lock() += 1;
            let content = ["one", "two", "three"].into_iter().find(|text| sha(text) == file.sha256);
            content.map(|text| text.as_bytes().to_vec()).ok_or_else(|| "gone".to_owned())
        });
        Test { artifacts: Artifacts::new(folder.path().join("artifacts"), contents), fetched, folder }
    }

    fn sha(text: &str) -> String {
        hex::encode(Sha256::digest(text))
    }

    fn file(path: &str, text: &str, mode: u32) -> FileRecord {
        FileRecord { path: path.to_owned(), sha256: sha(text), size: text.len() as u64, mode }
    }

    /// Only root may give a folder to another user.
    fn other_user() -> Option<(u32, u32)> {
        rustix::process::geteuid().is_root().then_some((65_534, 65_534))
    }

    #[test]
    fn files_are_fetched_once_and_linked_with_their_mode() {
        let test = test();
        let files = [file("bin/web", "one", 0o755), file("etc/x", "two", 0o640), file("etc/y", "one", 0o644)];
        let owner = other_user();
        for task in ["1", "2"] {
            let folder = test.folder.path().join(task);
            test.artifacts.place(&files, &folder, owner).unwrap();
            assert_eq!(fs_err::read_to_string(folder.join("bin/web")).unwrap(), "one");
            let mode = |path| fs_err::metadata(folder.join(path)).unwrap().mode() & 0o777;
            assert_eq!([mode("bin/web"), mode("etc/x"), mode("etc/y")], [0o755, 0o640, 0o644]);
        }
        assert_eq!(*test.fetched.lock(), 3);
        let links = fs_err::metadata(test.folder.path().join("2/bin/web")).unwrap().nlink();
        assert_eq!(links, if owner.is_some() { 3 } else { 1 });
    }

    #[test]
    fn a_task_that_may_write_its_files_has_copies() {
        let test = test();
        let files = [file("web", "one", 0o755), file("x", "two", 0o666)];
        let (own, other) = (test.folder.path().join("1"), test.folder.path().join("2"));
        for folder in [&own, &other] {
            test.artifacts.place(&files, folder, None).unwrap();
        }
        let mode = |path: PathBuf| fs_err::metadata(path).unwrap().mode() & 0o777;
        assert_eq!([mode(own.join("web")), mode(own.join("x"))], [0o755, 0o666]);
        fs_err::write(own.join("x"), "new").unwrap();
        fs_err::set_permissions(own.join("web"), std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(fs_err::read_to_string(other.join("x")).unwrap(), "two");
        assert_eq!(mode(other.join("web")), 0o755);
        let artifact = test.artifacts.folder.join(format!("{}-755", sha("one")));
        fs_err::set_permissions(&artifact, std::fs::Permissions::from_mode(0o600)).unwrap();
        test.artifacts.place(&files, &own, None).unwrap();
        assert_eq!((mode(own.join("web")), mode(artifact)), (0o755, 0o755));
        assert_eq!(fs_err::read_to_string(own.join("x")).unwrap(), "two");
        assert_eq!(*test.fetched.lock(), 2);
        let shares = |path: PathBuf, owner| may_share(&fs_err::metadata(path).unwrap(), owner);
        assert!(
            shares(other.join("web"), Some((4_000_000_001, 1))) && !shares(other.join("x"), Some((4_000_000_001, 1)))
        );
        assert!(!shares(other.join("web"), None) && !shares(other.join("web"), Some((0, 0))));
    }

    #[test]
    fn what_a_task_changed_or_replaced_is_restored() {
        let test = test();
        let files = [file("web", "one", 0o755), file("sub/x", "two", 0o644)];
        let (own, other) = (test.folder.path().join("1"), test.folder.path().join("2"));
        test.artifacts.place(&files, &own, None).unwrap();
        fs_err::write(own.join("web"), "changed").unwrap();
        fs_err::write(own.join("own"), "the task's").unwrap();
        fs_err::remove_dir_all(own.join("sub")).unwrap();
        fs_err::create_dir(test.folder.path().join("elsewhere")).unwrap();
        fs_err::os::unix::fs::symlink(test.folder.path().join("elsewhere"), own.join("sub")).unwrap();
        test.artifacts.place(&files, &other, None).unwrap();
        assert_eq!(fs_err::read_to_string(other.join("web")).unwrap(), "one");
        test.artifacts.place(&files, &own, None).unwrap();
        assert_eq!(fs_err::read_to_string(own.join("web")).unwrap(), "one");
        assert_eq!(fs_err::read_to_string(own.join("own")).unwrap(), "the task's");
        assert!(!fs_err::exists(test.folder.path().join("elsewhere/x")).unwrap());
        // Also after a restart of the daemon, which remembers nothing.
        let artifact = test.artifacts.folder.join(format!("{}-755", sha("one")));
        fs_err::write(&artifact, "bad").unwrap();
        test.artifacts.checked.lock().clear();
        test.artifacts.place(&files, &own, None).unwrap();
        assert_eq!(fs_err::read_to_string(own.join("web")).unwrap(), "one");
    }

    #[test]
    fn paths_outside_and_missing_contents_are_refused() {
        let test = test();
        for path in ["../x", "/etc/x", "", "a/../../x"] {
            let refused = test.artifacts.place(&[file(path, "one", 0o644)], test.folder.path(), None);
            assert!(matches!(refused, Err(FetchError::Path(_))), "{path}");
        }
        let missing = test.artifacts.place(&[file("x", "none", 0o644)], test.folder.path(), None).unwrap_err();
        assert!(missing.to_string().ends_with("gone"), "{missing}");
    }

    #[test]
    fn only_what_no_task_uses_is_removed() {
        let test = test();
        let (own, other) = (test.folder.path().join("1"), test.folder.path().join("2"));
        test.artifacts.place(&[file("x", "one", 0o644)], &own, other_user()).unwrap();
        test.artifacts.place(&[file("x", "two", 0o644), file("y", "three", 0o644)], &other, other_user()).unwrap();
        fs_err::remove_dir_all(&other).unwrap();
        fs_err::write(test.artifacts.folder.join(".tmp-x"), "left").unwrap();
        let left = || fs_err::read_dir(&test.artifacts.folder).unwrap().count();
        test.artifacts.prune_to(100, YOUNG).unwrap();
        assert_eq!(left(), 4, "all are young");
        test.artifacts.prune_to(100, Duration::ZERO).unwrap();
        assert_eq!(left(), 3);
        test.artifacts.prune_to(0, Duration::ZERO).unwrap();
        // A task that has copies needs none.
        assert_eq!(left(), if other_user().is_some() { 1 } else { 0 });
        assert_eq!(fs_err::read_to_string(own.join("x")).unwrap(), "one");
    }
}
