//! The files of a task, in its folder.
//!
//! ```text
//! <data>/artifacts/<sha256>-<mode>     one file for each content and mode, see [`crate::local::artifacts`]
//! <data>/tasks/<id>/files/<path>       a further name of it (hard link), so that a task costs no disk; a copy where the task
//!                                      could write the artifact, as it runs as the daemon's user or its mode lets it
//! ```
//!
//! A task may have changed its file, and with it the artifact: a content is checked by its hash before it is linked.

use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Component, Path};

use async_trait::async_trait;
use disco_store::typed::FileRecord;

use crate::local::artifacts::{Artifacts, Content, NotFetched, hash};

/// What makes contents be on this node's disk.
#[async_trait]
pub(in crate::agent::tasks) trait Contents: Send + Sync {
    /// Returns once it is. `received` is called with the bytes so far.
    async fn obtain(&self, content: &Content, received: &(dyn Fn(u64) + Send + Sync)) -> Result<(), NotFetched>;
}

/// Why files are not ready.
#[derive(Debug, thiserror::Error)]
pub(super) enum PlaceError {
    #[error("the content of `{0}` is not on this node")]
    Missing(String),
    #[error("invalid path `{0}`")]
    Path(String),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Makes `folder` have these files, whatever was made of them. Others there are the task's own. `owner`: to whom new
/// folders belong. Blocks.
pub(super) fn place(
    artifacts: &Artifacts,
    files: &[FileRecord],
    folder: &Path,
    owner: Option<(u32, u32)>,
) -> Result<(), PlaceError> {
    make_folder(folder, owner)?;
    for file in files {
        place_one(artifacts, file, folder, owner)?;
    }
    Ok(())
}

fn place_one(
    artifacts: &Artifacts,
    file: &FileRecord,
    folder: &Path,
    owner: Option<(u32, u32)>,
) -> Result<(), PlaceError> {
    let path = Path::new(&file.path);
    let parts = path.components().map(|part| match part {
        Component::Normal(name) => Some(name),
        _ => None,
    });
    let parts = parts.collect::<Option<Vec<_>>>().filter(|parts| !parts.is_empty());
    let Some((name, above)) = parts.as_deref().and_then(<[_]>::split_last) else {
        return Err(PlaceError::Path(file.path.clone()));
    };
    let mut within = folder.to_owned();
    for part in above {
        within.push(part);
        make_folder(&within, owner)?;
    }
    let artifact = artifacts.get(&file.into())?.ok_or_else(|| PlaceError::Missing(file.path.clone()))?;
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

/// Whether a task may have an artifact itself: it cannot write it, nor change its mode. Others have copies.
fn may_share(artifact: &std::fs::Metadata, owner: Option<(u32, u32)>) -> bool {
    // Without another user the task is the artifact's owner.
    owner.is_some_and(|(uid, _)| uid != 0 && uid != artifact.uid()) && artifact.mode() & 0o022 == 0
}

/// Whether a file may be the copy of an artifact, by all but its content.
fn is_copy(found: &std::fs::Metadata, artifact: &std::fs::Metadata) -> bool {
    found.is_file() && found.len() == artifact.len() && found.mode() == artifact.mode() && found.ino() != artifact.ino()
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
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use super::*;

    struct Test {
        folder: tempfile::TempDir,
        artifacts: Artifacts,
    }

    fn test() -> Test {
        let folder = tempfile::tempdir().unwrap();
        Test { artifacts: Artifacts::new(folder.path()), folder }
    }

    impl Test {
        /// Places files whose contents are on the node, as far as they are known here.
        fn place(&self, files: &[FileRecord], folder: &Path, owner: Option<(u32, u32)>) -> Result<(), PlaceError> {
            for file in files {
                let text = ["one", "two", "three"].into_iter().find(|text| sha(text) == file.sha256);
                if let Some(text) = text.filter(|_| self.artifacts.get(&file.into()).unwrap().is_none()) {
                    self.artifacts.write(&file.into(), text.as_bytes()).unwrap();
                }
            }
            place(&self.artifacts, files, folder, owner)
        }

        fn artifact(&self, file: &FileRecord) -> PathBuf {
            self.artifacts.file(&file.into())
        }
    }

    fn sha(text: &str) -> String {
        use sha2::Digest;
        hex::encode(sha2::Sha256::digest(text))
    }

    fn file(path: &str, text: &str, mode: u32) -> FileRecord {
        FileRecord { path: path.to_owned(), sha256: sha(text), size: text.len() as u64, mode }
    }

    /// Only root may give a folder to another user.
    fn other_user() -> Option<(u32, u32)> {
        rustix::process::geteuid().is_root().then_some((65_534, 65_534))
    }

    #[test]
    fn files_are_linked_with_their_mode() {
        let test = test();
        let files = [file("bin/web", "one", 0o755), file("etc/x", "two", 0o640), file("etc/y", "one", 0o644)];
        let owner = other_user();
        for task in ["1", "2"] {
            let folder = test.folder.path().join(task);
            test.place(&files, &folder, owner).unwrap();
            assert_eq!(fs_err::read_to_string(folder.join("bin/web")).unwrap(), "one");
            let mode = |path| fs_err::metadata(folder.join(path)).unwrap().mode() & 0o777;
            assert_eq!([mode("bin/web"), mode("etc/x"), mode("etc/y")], [0o755, 0o640, 0o644]);
        }
        let links = fs_err::metadata(test.folder.path().join("2/bin/web")).unwrap().nlink();
        assert_eq!(links, if owner.is_some() { 3 } else { 1 });
    }

    #[test]
    fn a_task_that_may_write_its_files_has_copies() {
        let test = test();
        let files = [file("web", "one", 0o755), file("x", "two", 0o666)];
        let (own, other) = (test.folder.path().join("1"), test.folder.path().join("2"));
        for folder in [&own, &other] {
            test.place(&files, folder, None).unwrap();
        }
        let mode = |path: PathBuf| fs_err::metadata(path).unwrap().mode() & 0o777;
        assert_eq!([mode(own.join("web")), mode(own.join("x"))], [0o755, 0o666]);
        fs_err::write(own.join("x"), "new").unwrap();
        fs_err::set_permissions(own.join("web"), std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(fs_err::read_to_string(other.join("x")).unwrap(), "two");
        assert_eq!(mode(other.join("web")), 0o755);
        let artifact = test.artifact(&files[0]);
        fs_err::set_permissions(&artifact, std::fs::Permissions::from_mode(0o600)).unwrap();
        test.place(&files, &own, None).unwrap();
        assert_eq!((mode(own.join("web")), mode(artifact)), (0o755, 0o755));
        assert_eq!(fs_err::read_to_string(own.join("x")).unwrap(), "two");
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
        test.place(&files, &own, None).unwrap();
        fs_err::write(own.join("web"), "changed").unwrap();
        fs_err::write(own.join("own"), "the task's").unwrap();
        fs_err::remove_dir_all(own.join("sub")).unwrap();
        fs_err::create_dir(test.folder.path().join("elsewhere")).unwrap();
        fs_err::os::unix::fs::symlink(test.folder.path().join("elsewhere"), own.join("sub")).unwrap();
        test.place(&files, &other, None).unwrap();
        assert_eq!(fs_err::read_to_string(other.join("web")).unwrap(), "one");
        test.place(&files, &own, None).unwrap();
        assert_eq!(fs_err::read_to_string(own.join("web")).unwrap(), "one");
        assert_eq!(fs_err::read_to_string(own.join("own")).unwrap(), "the task's");
        assert!(!fs_err::exists(test.folder.path().join("elsewhere/x")).unwrap());
        // Also after a restart of the daemon, which remembers nothing.
        fs_err::write(test.artifact(&files[0]), "bad").unwrap();
        test.artifacts.forget_checks();
        test.place(&files, &own, None).unwrap();
        assert_eq!(fs_err::read_to_string(own.join("web")).unwrap(), "one");
    }

    #[test]
    fn paths_outside_and_missing_contents_are_refused() {
        let test = test();
        for path in ["../x", "/etc/x", "", "a/../../x"] {
            let refused = test.place(&[file(path, "one", 0o644)], test.folder.path(), None);
            assert!(matches!(refused, Err(PlaceError::Path(_))), "{path}");
        }
        let missing = test.place(&[file("x", "none", 0o644)], test.folder.path(), None).unwrap_err();
        assert_eq!(missing.to_string(), "the content of `x` is not on this node");
    }
}
