//! The source of a script's files.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// A version of a script: its files and the entry.
#[derive(Debug, Clone)]
pub struct ModuleSource {
    /// `client.js` or `cluster.js`; relative to the project, `/` between parts.
    pub entry: String,
    /// The project.
    pub files: ScriptFiles,
}

impl ModuleSource {
    /// From a project folder on disk.
    pub fn directory(entry: impl Into<String>, project: impl Into<PathBuf>) -> Self {
        Self { entry: entry.into(), files: ScriptFiles::Directory(project.into()) }
    }

    /// From files in memory.
    pub fn memory(entry: impl Into<String>, files: BTreeMap<String, Arc<[u8]>>) -> Self {
        Self { entry: entry.into(), files: ScriptFiles::Memory(Arc::new(files)) }
    }
}

/// The files that a script may import. Files outside cannot be reached, neither by `..` nor by a symbolic link.
#[derive(Debug, Clone)]
pub enum ScriptFiles {
    /// A project folder, read when a module is imported.
    Directory(PathBuf),
    /// Path (relative, `/` between parts) to content.
    Memory(Arc<BTreeMap<String, Arc<[u8]>>>),
}
