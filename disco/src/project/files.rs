use std::{
    collections::BTreeSet,
    io::Read,
    os::unix::fs::MetadataExt,
    path::{Component, Path, PathBuf},
};

use disco_store::typed::LARGEST_FILE;
use ignore::{WalkBuilder, gitignore::GitignoreBuilder, overrides::OverrideBuilder};
use sha2::{Digest, Sha256};

use super::{CLIENT_SCRIPT, CLUSTER_SCRIPT, Project, imports::relative_imports};
use crate::error::{Failure, Outcome};

/// Maximum size of a project's file. Larger files are not configuration: images and archives belong elsewhere.
const LARGEST: u64 = 64 << 20;
/// Patterns of files not to send, in gitignore syntax.
const IGNORE: &str = ".discoignore";
/// Never sent, whatever `.discoignore` says.
const NEVER: [&str; 7] = [".disco", ".git", "/disco", "/discod", "target", "node_modules", IGNORE];
/// Never sent with a program: what is beside it, and no part of it.
const NEVER_IN_A_PROGRAM: [&str; 3] = [".disco", ".git", IGNORE];

/// A file to send to the cluster.
#[derive(Clone, Debug)]
pub(crate) struct ProjectFile {
    /// Absolute path on this machine.
    pub(crate) source: PathBuf,
    /// Path relative to the project, separated by `/`.
    pub(crate) path: String,
    pub(crate) sha256: String,
    pub(crate) size: u64,
    /// Unix permission bits.
    pub(crate) mode: u32,
}

/// Files to send, sorted by path.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    pub(crate) files: Vec<ProjectFile>,
    /// Private keys that were found and skipped.
    pub(crate) keys: Vec<String>,
    /// Backups that were found and skipped: each holds all keys of a cluster.
    pub(crate) backups: Vec<String>,
    /// Files that were skipped as they are too large, and their sizes.
    pub(crate) large: Vec<(String, u64)>,
}

impl Project {
    /// All files that `.discoignore` does not exclude.
    pub(crate) fn deployable_files(&self) -> Outcome<Selection> {
        self.files_without(&NEVER, LARGEST)?.none_large()
    }

    fn files_without(&self, patterns: &[&str], largest: u64) -> Outcome<Selection> {
        let root = self.root();
        let mut never = OverrideBuilder::new(root);
        for pattern in patterns {
            never
                .add(&format!("!{pattern}"))
                .map_err(|error| Failure::failed("cannot select files").because(&error))?;
        }
        let never = never.build().map_err(|error| Failure::failed("cannot select files").because(&error))?;
        let walk = WalkBuilder::new(root)
            .standard_filters(false)
            .parents(false)
            // Links are checked one by one, as excluded ones may be dangling.
            .follow_links(false)
            .add_custom_ignore_filename(IGNORE)
            .overrides(never)
            .build();
        let mut selection = Selection::default();
        for entry in walk {
            let entry = entry.map_err(|error| {
                Failure::usage("cannot read the project's files")
                    .because(&error)
                    .hint("fix it, or add it to `.discoignore`")
            })?;
            let ignore = entry.path().join(IGNORE);
            if ignore.is_file()
                && let Some(error) = GitignoreBuilder::new(entry.path()).add(&ignore)
            {
                return Err(Failure::usage(format!("`{IGNORE}` is not valid")).because(&error));
            }
            let kind = entry.file_type();
            if kind.is_some_and(|kind| kind.is_symlink()) && entry.path().is_dir() {
                let name = entry.path().strip_prefix(root).unwrap_or(entry.path()).display();
                return Err(Failure::usage(format!("cannot send `{name}`: it is a symlink to a folder"))
                    .hint(format!("replace it with the folder itself, or add `{name}` to `.discoignore`")));
            }
            if kind.is_some_and(|kind| kind.is_file() || kind.is_symlink()) {
                self.select(entry.path(), &mut selection, largest)?;
            }
        }
        selection.files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(selection)
    }

    /// `cluster.js` and the files that it imports.
    pub(crate) fn script_files(&self) -> Outcome<Selection> {
        self.with_imports(CLUSTER_SCRIPT)
    }

    /// The combined hash of `client.js` and the files that it imports.
    pub(crate) fn client_script_hash(&self) -> Outcome<String> {
        let mut hash = Sha256::new();
        for file in self.with_imports(CLIENT_SCRIPT)?.files {
            hash.update(file.path.as_bytes());
            hash.update([0]);
            hash.update(file.sha256.as_bytes());
        }
        Ok(format!("sha256:{}", hex::encode(hash.finalize())))
    }

    /// A script and the files that it imports.
    fn with_imports(&self, script: &str) -> Outcome<Selection> {
        let root = self.root();
        let mut wanted = vec![root.join(script)];
        let mut seen = BTreeSet::new();
        let mut selection = Selection::default();
        while let Some(path) = wanted.pop() {
            if !path.starts_with(root) || !seen.insert(path.clone()) || !path.is_file() {
                continue;
            }
            self.select(&path, &mut selection, LARGEST)?;
            let source = fs_err::read(&path).map_err(|error| Failure::usage("cannot read a script").because(&error))?;
            let folder = path.parent().unwrap_or(root).to_owned();
            let imports = relative_imports(&String::from_utf8_lossy(&source));
            wanted.extend(imports.iter().filter_map(|specifier| joined(&folder, specifier)));
        }
        selection.files.sort_by(|a, b| a.path.cmp(&b.path));
        selection.none_large()
    }

    fn select(&self, path: &Path, selection: &mut Selection, largest: u64) -> Outcome<()> {
        let relative = path.strip_prefix(self.root()).unwrap_or(path);
        let name = relative
            .to_str()
            .ok_or_else(|| {
                Failure::usage(format!("invalid file name `{}`: expected UTF-8", relative.display()))
                    .hint("rename the file, or add it to `.discoignore`")
            })?
            .to_owned();
        let unreadable = |error: &std::io::Error| {
            Failure::usage(format!("cannot read `{name}`")).because(error).hint("fix it, or add it to `.discoignore`")
        };
        let metadata = std::fs::metadata(path).map_err(|error| unreadable(&error))?;
        // Before the check of the size, whose hint does not fit a backup.
        if is_backup(path).map_err(|error| unreadable(&error))? {
            selection.backups.push(name);
            return Ok(());
        }
        if metadata.len() > largest {
            selection.large.push((name, metadata.len()));
            return Ok(());
        }
        let Some((sha256, size)) = hash(path).map_err(|error| unreadable(&error))? else {
            selection.keys.push(name);
            return Ok(());
        };
        selection.files.push(ProjectFile {
            source: path.to_owned(),
            path: name,
            sha256,
            size,
            mode: metadata.mode() & 0o777,
        });
        Ok(())
    }
}

/// A program, or the files of the folder of one, with paths relative to that folder; `.discoignore` in it excludes some.
pub(crate) fn program_files(path: &Path) -> Outcome<Selection> {
    if path.is_dir() {
        return Project { root: path.to_owned() }.files_without(&NEVER_IN_A_PROGRAM, LARGEST_FILE);
    }
    let mut selection = Selection::default();
    Project { root: path.parent().unwrap_or(path).to_owned() }.select(path, &mut selection, LARGEST_FILE)?;
    Ok(selection)
}

impl Selection {
    /// Refuses files that are too large for a project.
    fn none_large(self) -> Outcome<Self> {
        let Some((name, size)) = self.large.first() else { return Ok(self) };
        let message = format!("`{name}` has {} MB: expected at most {} MB", size >> 20, LARGEST >> 20);
        Err(Failure::usage(message).hint(format!("add `{name}` to `.discoignore`")))
    }
}

/// The SHA-256 and the size of a file; `None` for a private key.
fn hash(path: &Path) -> std::io::Result<Option<(String, u64)>> {
    let mut file = std::fs::File::open(path)?;
    let (mut hasher, mut size) = (Sha256::new(), 0);
    let mut block = vec![0; 64 << 10];
    loop {
        let count = file.read(&mut block)?;
        if size == 0 && is_private_key(&block[..count]) {
            return Ok(None);
        }
        if count == 0 {
            return Ok(Some((hex::encode(hasher.finalize()), size)));
        }
        hasher.update(&block[..count]);
        size += count as u64;
    }
}

impl ProjectFile {
    /// Reads the content, and checks that it has not changed since it was selected.
    pub(crate) fn read(&self) -> Outcome<Vec<u8>> {
        let mut content = Vec::with_capacity(self.size as usize);
        fs_err::File::open(&self.source)
            .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut content))
            .map_err(|error| Failure::failed("cannot read a project file").because(&error))?;
        if hex::encode(Sha256::digest(&content)) != self.sha256 {
            return Err(Failure::failed(format!("`{}` changed while it was being sent", self.path))
                .hint("run the command again"));
        }
        Ok(content)
    }
}

/// Whether a file was written by `disco backup save`, by its first bytes and not by its name.
fn is_backup(path: &Path) -> std::io::Result<bool> {
    let mut head = Vec::new();
    std::fs::File::open(path)?.take(disco_proto::backup::MAGIC.len() as u64).read_to_end(&mut head)?;
    Ok(disco_proto::backup::is_backup(&head))
}

/// Whether the content is a PEM or OpenSSH private key, by its first lines.
fn is_private_key(content: &[u8]) -> bool {
    let head = String::from_utf8_lossy(&content[..content.len().min(256)]);
    head.lines().any(|line| line.starts_with("-----BEGIN ") && line.trim_end().ends_with("PRIVATE KEY-----"))
}

/// `folder/specifier` with `.` and `..` resolved by name.
fn joined(folder: &Path, specifier: &str) -> Option<PathBuf> {
    let mut path = folder.to_owned();
    for part in Path::new(specifier).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                path.pop().then_some(())?;
            }
            Component::Normal(name) => path.push(name),
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    fn project(files: &[(&str, &str)]) -> (tempfile::TempDir, Project) {
        let dir = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let project = Project::find(dir.path()).unwrap();
        (dir, project)
    }

    fn paths(selection: &Selection) -> Vec<&str> {
        selection.files.iter().map(|file| file.path.as_str()).collect()
    }

    #[test]
    fn ignored_files_private_keys_and_build_output_are_not_sent() {
        let (_dir, project) = project(&[
            ("client.js", ""),
            ("site/index.html", "<p>"),
            ("site/draft.html", ""),
            ("secrets/token", ""),
            (".discoignore", "draft.html\n/secrets\n"),
            (".gitignore", "site/\n"),
            (".disco/ca.key", ""),
            (".git/HEAD", ""),
            ("target/release/disco", ""),
            ("tools/node_modules/x.js", ""),
            ("id_ed25519", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"),
        ]);
        symlink("target/release/disco", project.root().join("disco")).unwrap();
        symlink("/nowhere/discod", project.root().join("discod")).unwrap();
        let selection = project.deployable_files().unwrap();
        // A file that git ignores may be intended for the cluster.
        assert_eq!(paths(&selection), [".gitignore", "client.js", "site/index.html"]);
        assert_eq!(selection.keys, ["id_ed25519"]);
        let page = &selection.files[2];
        assert_eq!((page.size, page.sha256.len(), page.read().unwrap().as_slice()), (3, 64, b"<p>".as_slice()));
    }

    #[test]
    fn backups_are_recognized_by_their_content_and_are_not_sent() {
        let backup = String::from_utf8(disco_proto::backup::beginning(&Default::default())).unwrap();
        let (_dir, project) = project(&[
            ("client.js", ""),
            ("cluster.js", "import './lib/kept.js';"),
            ("lib/kept.js", &backup),
            ("monday.backup", &backup),
            ("files/of/no.particular-name", &backup),
            ("files/notes.backup", "to do: backups"),
            ("nested/.disco/cluster.json", "{}"),
        ]);
        // A backup above the size limit is skipped, too.
        let large = fs::File::options().append(true).open(project.root().join("monday.backup")).unwrap();
        large.set_len(LARGEST + 1).unwrap();
        let selection = project.deployable_files().unwrap();
        assert_eq!(paths(&selection), ["client.js", "cluster.js", "files/notes.backup"]);
        let mut backups = selection.backups;
        backups.sort();
        assert_eq!(backups, ["files/of/no.particular-name", "lib/kept.js", "monday.backup"]);
        assert_eq!(paths(&project.script_files().unwrap()), ["cluster.js"]);
    }

    #[test]
    fn the_hash_of_the_clients_script_covers_its_imports() {
        let (_dir, project) = project(&[("client.js", "import './lib/a.js';"), ("lib/a.js", "1"), ("other.js", "")]);
        let before = project.client_script_hash().unwrap();
        fs::write(project.root().join("other.js"), "2").unwrap();
        assert_eq!(project.client_script_hash().unwrap(), before);
        fs::write(project.root().join("lib/a.js"), "2").unwrap();
        assert_ne!(project.client_script_hash().unwrap(), before);
    }

    #[test]
    fn a_file_that_changes_while_it_is_sent_is_noticed() {
        let (_dir, project) = project(&[("client.js", "one")]);
        let selection = project.deployable_files().unwrap();
        fs::write(project.root().join("client.js"), "two").unwrap();
        assert!(selection.files[0].read().unwrap_err().to_string().contains("changed"));
    }

    #[test]
    fn invalid_patterns_and_dangling_links_are_named() {
        let (_dir, project) = project(&[("client.js", "")]);
        symlink("/nowhere/at/all", project.root().join("lost")).unwrap();
        let failure = project.deployable_files().unwrap_err();
        assert!(failure.to_string().contains("lost"), "{failure:?}");
        fs::remove_file(project.root().join("lost")).unwrap();
        fs::write(project.root().join(".discoignore"), "{a\n").unwrap();
        assert!(project.deployable_files().unwrap_err().to_string().contains(".discoignore"));
    }

    #[test]
    fn a_script_comes_with_what_it_imports_and_nothing_else() {
        let (_dir, project) = project(&[
            ("cluster.js", "import './lib/a.js';\nimport '../outside.js';\nimport './missing.js';"),
            ("lib/a.js", "export { b } from '../b.js'; import './a.js';"),
            ("b.js", "export const b = 1;"),
            ("client.js", ""),
        ]);
        assert_eq!(paths(&project.script_files().unwrap()), ["b.js", "cluster.js", "lib/a.js"]);
    }
}
