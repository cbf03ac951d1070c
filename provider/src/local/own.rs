//! The machine that this process runs on.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::MachineRecord;
use crate::ProviderError;

/// The present folder of the local machine that this process runs on. The environment has the paths from the start of this
/// process; since then the project may have been moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnMachine {
    folder: PathBuf,
}

impl OwnMachine {
    /// Finds it from this process's working directory, which moves with the folder. `None` on any other kind of machine.
    ///
    /// # Errors
    /// Its folder was removed.
    pub fn find() -> Result<Option<Self>, ProviderError> {
        let Some(id) = std::env::var_os("DISCO_MACHINE") else { return Ok(None) };
        let here = std::env::current_dir().map_err(|_| ProviderError::NoFolder { id: text(&id) })?;
        Self::above(&here, &id).map(Some)
    }

    fn above(here: &Path, id: &OsStr) -> Result<Self, ProviderError> {
        let is_it = |dir: &&Path| dir.file_name() == Some(id) && dir.join(MachineRecord::FILE).is_file();
        let folder = here.ancestors().find(is_it).ok_or_else(|| ProviderError::NoFolder { id: text(id) })?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// The provider's folder, which contains all machines of the project.
    #[must_use]
    pub fn local_dir(&self) -> &Path {
        self.folder.parent().unwrap_or(&self.folder)
    }

    /// The home folder on this machine.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.folder.join("home")
    }

    /// Environment entries for commands, which replace those of this process.
    #[must_use]
    pub fn environment(&self) -> Vec<(OsString, OsString)> {
        let mut environment = places(&self.folder);
        let programs = std::env::var_os("PATH").and_then(|path| {
            let old = Path::new(&std::env::var_os("DISCO_PREFIX")?).join("bin");
            let new = self.home().join("disco/bin");
            let moved = std::env::split_paths(&path).map(|dir| if dir == old { new.clone() } else { dir });
            std::env::join_paths(moved).ok()
        });
        environment.extend(programs.map(|path| ("PATH".into(), path)));
        environment
    }
}

/// The environment entries with paths, for everything that runs on a machine.
pub(crate) fn places(folder: &Path) -> Vec<(OsString, OsString)> {
    let (home, dir) = (folder.join("home"), folder.parent().unwrap_or(folder));
    vec![
        ("DISCO_PREFIX".into(), home.join("disco").into()),
        ("DISCO_LOCAL_DIR".into(), dir.into()),
        ("HOME".into(), home.into()),
    ]
}

fn text(id: &OsStr) -> String {
    id.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_found_from_within_and_not_once_it_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let service = dir.path().join("local-1/home/disco/service");
        std::fs::create_dir_all(&service).unwrap();
        let record = dir.path().join("local-1").join(MachineRecord::FILE);
        std::fs::write(&record, "{}").unwrap();
        let found = OwnMachine::above(&service, OsStr::new("local-1")).unwrap();
        assert_eq!((found.local_dir(), found.home()), (dir.path(), dir.path().join("local-1/home")));
        assert!(OwnMachine::above(&service, OsStr::new("local-2")).is_err());
        std::fs::remove_file(record).unwrap();
        let error = OwnMachine::above(&service, OsStr::new("local-1")).unwrap_err();
        assert!(matches!(error, ProviderError::NoFolder { .. }), "{error}");
    }
}
