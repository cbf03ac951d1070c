use std::fs;
use std::path::Path;

/// Removes what killed daemons below a folder have left in memory: the files of their tasks' secrets, to which their data folders
/// have links.
pub(crate) fn forget(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            forget(&entry.path());
        } else if kind.is_symlink() && entry.file_name() == "values" {
            let Ok(target) = fs::read_link(entry.path()) else { continue };
            let Some(shared) = target.parent().filter(|_| target.is_absolute()) else { continue };
            if shared.file_name().is_some_and(|name| name.to_string_lossy().starts_with("disco")) {
                // Both may be gone already, and other clusters may use the second.
                let _ = fs::remove_dir_all(&target);
                let _ = fs::remove_dir(shared);
            }
        }
    }
}
