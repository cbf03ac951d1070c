//! The binaries to install.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use ring::digest::{Context, SHA256};

use super::elf::{self, Elf};
use super::{Architecture, InstallError};

/// How much is read at once.
const CHUNK: usize = 256 * 1024;

/// `disco` and `discod`, as they will be installed.
#[derive(Debug, Clone)]
pub struct Binaries {
    /// The client.
    pub disco: Binary,
    /// The daemon.
    pub discod: Binary,
}

/// A program.
#[derive(Debug, Clone)]
pub struct Binary {
    name: &'static str,
    path: PathBuf,
    size: u64,
    sha256: String,
    elf: Elf,
}

impl Binaries {
    /// Finds both: the files `disco` and `discod` of the project folder (in most projects symlinks into a `target` folder, which
    /// are followed), else those beside this program.
    ///
    /// # Errors
    /// A missing file, a dangling symlink, or a file that is not a program. Blocks while it reads the files.
    pub fn find(project_dir: Option<&Path>) -> Result<Self, InstallError> {
        Self::from_paths(&find("disco", project_dir)?, &find("discod", project_dir)?)
    }

    /// Uses these files.
    ///
    /// # Errors
    /// A missing file, a dangling symlink, or a file that is not a program. Blocks while it reads the files.
    pub fn from_paths(disco: &Path, discod: &Path) -> Result<Self, InstallError> {
        Ok(Self { disco: Binary::read("disco", disco)?, discod: Binary::read("discod", discod)? })
    }

    /// Their checksums, in hexadecimal digits.
    #[must_use]
    pub fn checksums(&self) -> Vec<String> {
        self.both().map(|binary| binary.sha256.clone()).into()
    }

    pub(super) fn both(&self) -> [&Binary; 2] {
        [&self.discod, &self.disco]
    }
}

impl Binary {
    fn read(name: &'static str, path: &Path) -> Result<Self, InstallError> {
        let path = resolve(name, path)?;
        let unreadable = |source| InstallError::BinaryUnreadable { path: path.clone(), source };
        let mut file = File::open(&path).map_err(unreadable)?;
        let elf = elf::read(&mut file)
            .map_err(unreadable)?
            .map_err(|reason| InstallError::NotElf { path: path.clone(), reason })?;
        let (sha256, size) = digest(&mut file).map_err(unreadable)?;
        Ok(Self { name, path, size, sha256, elf })
    }

    /// `disco` or `discod`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The file, behind all symlinks.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Its checksum, in hexadecimal digits.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The architecture that it is built for.
    pub fn architecture(&self) -> Architecture {
        self.elf.architecture
    }

    /// The dynamic loader that it needs; `None` for a static program.
    pub fn interpreter(&self) -> Option<&str> {
        self.elf.interpreter.as_deref()
    }
}

/// The file of that name in the project folder, or beside this program.
fn find(name: &'static str, project_dir: Option<&Path>) -> Result<PathBuf, InstallError> {
    let mut looked = Vec::new();
    if let Some(dir) = project_dir {
        let path = dir.join(name);
        // Not `exists`: a dangling symlink is an error, not a missing file.
        if path.symlink_metadata().is_ok() && !path.is_dir() {
            return Ok(path);
        }
        looked.push(format!("`{}`", path.display()));
    }
    if let Ok(own) = std::env::current_exe() {
        let path = own.with_file_name(name);
        if path.is_file() {
            return Ok(path);
        }
        looked.push(format!("`{}`", path.display()));
    }
    Err(InstallError::BinaryMissing { name, looked: looked.join(" and ") })
}

/// The file behind all symlinks.
fn resolve(name: &'static str, path: &Path) -> Result<PathBuf, InstallError> {
    path.canonicalize().map_err(|source| match (source.kind(), path.read_link()) {
        (ErrorKind::NotFound, Ok(target)) => InstallError::DanglingSymlink { link: path.to_path_buf(), target },
        (ErrorKind::NotFound, Err(_)) => InstallError::BinaryMissing { name, looked: format!("`{}`", path.display()) },
        _ => InstallError::BinaryUnreadable { path: path.to_path_buf(), source },
    })
}

fn digest(file: &mut File) -> io::Result<(String, u64)> {
    file.seek(SeekFrom::Start(0))?;
    let (mut context, mut size) = (Context::new(&SHA256), 0);
    let mut chunk = vec![0; CHUNK];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok((hex::encode(context.finish()), size)),
            count => {
                context.update(&chunk[..count]);
                size += count as u64;
            }
        }
    }
}
