//! Paths in stack files, as texts: relative to the project's folder, with `/` and without `..` in the middle.

/// `path` as seen from the folder in which `folder` is.
pub(crate) fn join(folder: &str, path: &str) -> String {
    if path.starts_with('/') || path.starts_with('~') || folder.is_empty() {
        return clean(path);
    }
    clean(&format!("{folder}/{path}"))
}

/// The folder of a file: empty for one of the project's folder itself.
pub(crate) fn folder(path: &str) -> String {
    path.rsplit_once('/')
        .map_or(String::new(), |(folder, _)| if folder.is_empty() { "/".to_owned() } else { folder.to_owned() })
}

fn clean(path: &str) -> String {
    let absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if absolute => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (absolute, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => String::new(),
        (false, false) => joined,
    }
}

/// A path that a reader takes for one: with `./` in front unless it begins with `/`, `~` or `..`.
pub(crate) fn marked(path: &str) -> String {
    match path {
        "" => ".".to_owned(),
        path if path.starts_with(['/', '~']) || path == ".." || path.starts_with("../") => path.to_owned(),
        path => format!("./{path}"),
    }
}

/// A source of a build that is no folder: `https://…`, `git@…`, `service:…`, `docker-image://…`.
pub(crate) fn is_remote(context: &str) -> bool {
    context.contains("://")
        || ["git@", "github.com/", "service:", "target:"].iter().any(|prefix| context.starts_with(prefix))
        || context.ends_with(".git")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_seen_from_the_projects_folder() {
        for (folder, path, joined) in [
            ("", "./a", "a"),
            ("", ".", ""),
            ("lib", "./ctx", "lib/ctx"),
            ("lib", "../x", "x"),
            ("lib", "../../x", "../x"),
            ("lib", "/abs", "/abs"),
            ("lib", "~/home", "~/home"),
            ("/p", "a/../b", "/p/b"),
            ("a", "b/c/..", "a/b"),
        ] {
            assert_eq!(join(folder, path), joined, "{folder} {path}");
        }
        assert_eq!(folder("a/b.yml"), "a");
        assert_eq!(folder("b.yml"), "");
        assert_eq!(folder("/b.yml"), "/");
        assert_eq!(marked("a"), "./a");
        assert_eq!(marked(""), ".");
        assert_eq!(marked("../a"), "../a");
    }
}
