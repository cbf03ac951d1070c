//! Project paths in scripts.

use crate::HostError;

/// Normalises a path to the form in manifests: `a/b`, relative and without `.` or `..`.
///
/// # Errors
/// It names no file, or a file outside the project.
pub(super) fn in_project(path: &str) -> Result<String, HostError> {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" if !parts.is_empty() => {}
            "." => {}
            "" | ".." => return Err(HostError::invalid(format!("`{path}` is not a path within the project"))),
            part => parts.push(part),
        }
    }
    if parts.is_empty() {
        return Err(HostError::invalid(format!("`{path}` does not name a file of the project")));
    }
    Ok(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::in_project;

    #[test]
    fn paths_stay_in_the_project() {
        assert_eq!(in_project("./web//index.html").unwrap(), "web/index.html");
        assert_eq!(in_project("web/./x").unwrap(), "web/x");
        for path in ["", "/etc/passwd", "../x", "a/../../x", ".", "a/.."] {
            assert!(in_project(path).is_err(), "{path}");
        }
    }
}
