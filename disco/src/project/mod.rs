//! The operator's project folder: the scripts, and the private state in `.disco/`.

mod addresses;
mod files;
mod hosts_file;
mod imports;
mod lock;
mod record;
mod services;
mod settings;
mod state;
mod values;

use std::path::{Path, PathBuf};

use disco_provider::ssh::quote;

pub(crate) use self::{
    addresses::{Addresses, KnownNode},
    files::{ProjectFile, Selection, program_files},
    hosts_file::{HOSTS_FILE, added, hosts_file, listed, quoted},
    lock::Lock,
    record::{ClusterRecord, RequestedMachine},
    services::{known_outputs, known_services, known_stacks, known_targets, remember_services},
    settings::Settings,
    state::StateDir,
    values::{known_configs, known_secrets, remember_values},
};
use crate::error::{Failure, Outcome};

pub(crate) const CLIENT_SCRIPT: &str = "client.js";
pub(crate) const CLUSTER_SCRIPT: &str = "cluster.js";

/// A folder that holds `client.js` or `cluster.js`.
#[derive(Clone, Debug)]
pub(crate) struct Project {
    /// Absolute.
    root: PathBuf,
}

impl Project {
    /// The nearest project at `start` or above it.
    pub(crate) fn find(start: &Path) -> Outcome<Self> {
        let absolute = std::fs::canonicalize(start)
            .map_err(|error| Failure::usage(format!("cannot use folder `{}`", start.display())).because(&error))?;
        absolute
            .ancestors()
            .find(|dir| [CLIENT_SCRIPT, CLUSTER_SCRIPT].iter().any(|name| dir.join(name).is_file()))
            .map(|dir| Self { root: dir.to_owned() })
            .ok_or_else(|| {
                Failure::usage(format!(
                    "not in a project: no `{CLIENT_SCRIPT}` or `{CLUSTER_SCRIPT}` in `{}` or above",
                    absolute.display()
                ))
                .hint("create one with `disco init`, or pass its folder with `-C DIR`")
            })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn state(&self) -> StateDir {
        StateDir::new(self.root.join(".disco"))
    }

    /// The path of `client.js`, which must exist.
    pub(crate) fn client_script(&self) -> Outcome<PathBuf> {
        let path = self.root.join(CLIENT_SCRIPT);
        if path.is_file() {
            return Ok(path);
        }
        Err(Failure::usage(format!("no `{CLIENT_SCRIPT}` in `{}`", self.root.display()))
            .hint(format!("`disco init {}` writes one", quote(&self.root.display().to_string()))))
    }

    /// The path of `cluster.js`, if it exists.
    pub(crate) fn cluster_script(&self) -> Option<PathBuf> {
        let path = self.root.join(CLUSTER_SCRIPT);
        path.is_file().then_some(path)
    }
}

/// For shell completion: the last known nodes. Ignores all errors.
pub(crate) fn known_nodes() -> Vec<clap_complete::CompletionCandidate> {
    let nodes = completed_project().and_then(|project| Addresses::load(&project.state()).ok());
    let nodes = nodes.map(|known| known.nodes).unwrap_or_default().into_iter();
    nodes.map(|node| clap_complete::CompletionCandidate::new(node.name)).collect()
}

/// For shell completion: functions that `client.js` seems to export. Ignores all errors.
pub(crate) fn known_functions() -> Vec<clap_complete::CompletionCandidate> {
    let source = completed_project()
        .and_then(|project| fs_err::read_to_string(project.root().join(CLIENT_SCRIPT)).ok())
        .unwrap_or_default();
    imports::exported_functions(&source)
        .into_iter()
        .filter(|name| !["init", "bootstrap"].contains(&name.as_str()))
        .map(clap_complete::CompletionCandidate::new)
        .collect()
}

/// The project of the command line that is being completed: that of `-C DIR`, else of `DISCO_DIRECTORY`, else of this folder.
fn completed_project() -> Option<Project> {
    let words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let folder = directory_of(&words).or_else(|| std::env::var("DISCO_DIRECTORY").ok());
    Project::find(Path::new(folder.as_deref().unwrap_or("."))).ok()
}

/// The value of the last `-C` of a command line as the shell passes it on: not expanded, and with its quotes.
fn directory_of(words: &[String]) -> Option<String> {
    let given = words.iter().enumerate().rev().find_map(|(at, word)| match word.as_str() {
        "-C" | "--directory" => words.get(at + 1).map(String::as_str),
        word => word.strip_prefix("--directory=").or_else(|| word.strip_prefix("-C")),
    })?;
    let plain = given.replace(['\'', '"', '\\'], "");
    match (plain.strip_prefix("~/"), std::env::var("HOME")) {
        (Some(below), Ok(home)) => Some(format!("{home}/{below}")),
        _ => Some(plain),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_a_command_line_is_found_as_shells_pass_it_on() {
        let of = |line: &str| directory_of(&line.split('|').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(of("disco|-C|shop|node|ssh|"), Some("shop".to_owned()));
        assert_eq!(of("disco|node|ssh|--directory=shop|"), Some("shop".to_owned()));
        assert_eq!(of("disco|-Cshop|-C|'my blog'|logs|"), Some("my blog".to_owned()));
        assert_eq!(of("disco|-C|my\\ blog|logs|"), Some("my blog".to_owned()));
        assert_eq!(of("disco|node|ssh|"), None);
    }
}
