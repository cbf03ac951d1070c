//! A log of bounded size.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The largest size of a file. One older file exists beside it.
const LIMIT: u64 = 4 << 20;

/// A log of bounded size: at [`LIMIT`] bytes the file becomes `log.1` and replaces the older one.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    file: File,
    size: u64,
    limit: u64,
}

impl Log {
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        Self::with_limit(&dir.join("log"), LIMIT)
    }

    fn with_limit(path: &Path, limit: u64) -> io::Result<Self> {
        let file = open(path)?;
        let size = file.metadata()?.len();
        Ok(Self { path: path.to_path_buf(), file, size, limit })
    }

    /// Appends. A full disk must not end the service, so output that cannot be written is lost.
    pub(super) fn write(&mut self, text: &[u8]) {
        if self.size > 0 && self.size + text.len() as u64 > self.limit {
            let _ = self.rotate();
        }
        if self.file.write_all(text).is_ok() {
            self.size += text.len() as u64;
        }
    }

    /// Appends a line of the supervisor itself.
    pub(super) fn note(&mut self, line: &str) {
        self.write(format!("supervisor: {line}\n").as_bytes());
    }

    fn rotate(&mut self) -> io::Result<()> {
        let mut older = self.path.clone().into_os_string();
        older.push(".1");
        std::fs::rename(&self.path, older)?;
        self.file = open(&self.path)?;
        self.size = 0;
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_small_and_keeps_one_older_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log = Log::with_limit(&path, 100).unwrap();
        for number in 0..100 {
            log.write(format!("line {number:04}\n").as_bytes());
        }
        let (new, old) =
            (std::fs::read_to_string(&path).unwrap(), std::fs::read_to_string(dir.path().join("log.1")).unwrap());
        assert!(new.len() <= 100 && old.len() <= 100);
        assert!(new.ends_with("line 0099\n") && old.len() == 100, "{old}{new}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
