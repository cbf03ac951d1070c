use std::{
    io::{ErrorKind, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use fs_err::os::unix::fs::OpenOptionsExt as _;
use serde::{Serialize, de::DeserializeOwned};

use crate::error::{Failure, Outcome};

/// The folder `.disco/`: the operator's private state, which is never sent to the cluster.
///
/// Files are replaced atomically (temporary file, sync, rename), so that a crash leaves the old or the new content, and only their
/// owner can read them.
#[derive(Clone, Debug)]
pub(crate) struct StateDir {
    path: PathBuf,
}

impl StateDir {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub(crate) fn exists(&self) -> bool {
        self.path.is_dir()
    }

    /// Creates the folder (0700) and its `.gitignore`.
    pub(crate) fn ensure(&self) -> Outcome<()> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.path)
            .map_err(|error| Failure::io("create folder", &self.path, &error))?;
        let ignore = self.file(".gitignore");
        if !ignore.exists() {
            self.write(".gitignore", b"# Private state of Disco: keys and certificates.\n*\n")?;
        }
        Ok(())
    }

    pub(crate) fn read(&self, name: &str) -> Outcome<Option<Vec<u8>>> {
        let path = self.file(name);
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::io("read", &path, &error)),
        }
    }

    /// Replaces a file (0600) atomically.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Outcome<()> {
        let path = self.file(name);
        let beside = self.file(&format!(".{name}.tmp-{}", std::process::id()));
        let written = fs_err::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&beside)
            .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
            .and_then(|()| fs_err::rename(&beside, &path))
            .and_then(|()| fs_err::File::open(&self.path)?.sync_all());
        written.map_err(|error| {
            let _ = std::fs::remove_file(&beside);
            Failure::failed(format!("cannot write `{}`", path.display())).because(&error)
        })
    }

    pub(crate) fn read_json<T: DeserializeOwned>(&self, name: &str) -> Outcome<Option<T>> {
        let Some(bytes) = self.read(name)? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            Failure::failed(format!("`{}` is damaged", self.file(name).display()))
                .because(&error)
                .hint("restore the file: without it, `disco destroy` finds only machines on this computer")
        })
    }

    pub(crate) fn write_json<T: Serialize>(&self, name: &str, value: &T) -> Outcome<()> {
        let mut bytes = serde_json::to_vec_pretty(value)
            .map_err(|error| Failure::failed(format!("cannot encode `{name}`")).because(&error))?;
        bytes.push(b'\n');
        self.write(name, &bytes)
    }

    pub(crate) fn remove(&self, name: &str) -> Outcome<()> {
        let path = self.file(name);
        match std::fs::remove_file(&path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Failure::io("remove", &path, &error)),
        }
    }
}
