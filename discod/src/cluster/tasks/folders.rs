//! Where a node keeps its tasks.
//!
//! ```text
//! <data>/artifacts/              contents of files, see `local::artifacts`
//! <data>/tasks/<id>/files/       the task's own folder
//! <data>/tasks/<id>/<attempt>/   of its shim; attempts count from 0
//! ```

use std::io;
use std::path::{Path, PathBuf};

/// The folder of all tasks, in the data folder.
pub const TASKS: &str = "tasks";
/// A task's own folder, in its folder.
pub const FILES: &str = "files";

/// The folder of a task.
#[must_use]
pub fn task(data: &Path, id: u64) -> PathBuf {
    data.join(TASKS).join(id.to_string())
}

/// The folder of one start of a task.
#[must_use]
pub fn attempt(data: &Path, id: u64, attempt: u64) -> PathBuf {
    task(data, id).join(attempt.to_string())
}

/// The tasks that have a folder, in their order.
///
/// # Errors
/// The folder cannot be read.
pub fn tasks(data: &Path) -> io::Result<Vec<u64>> {
    numbers(&data.join(TASKS))
}

/// The starts of a task that have a folder, in their order.
///
/// # Errors
/// The folder cannot be read.
pub fn attempts(data: &Path, id: u64) -> io::Result<Vec<u64>> {
    numbers(&task(data, id))
}

/// Entries of a folder that are numbers; none if it does not exist.
fn numbers(folder: &Path) -> io::Result<Vec<u64>> {
    let entries = match fs_err::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        found.extend(entry?.file_name().to_str().and_then(|name| name.parse::<u64>().ok()));
    }
    found.sort_unstable();
    Ok(found)
}
