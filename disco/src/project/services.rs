//! The names of services that commands have seen, for completion alone.

use clap_complete::CompletionCandidate;

use super::{StateDir, completed_project};

const FILE: &str = "services.json";

/// Saves the names, each `STACK/SERVICE`. Ignores all errors: it is only a cache.
pub(crate) fn remember_services(state: &StateDir, names: &[String]) {
    if state.exists() && known(state) != names {
        let _ = state.write_json(FILE, &names);
    }
}

fn known(state: &StateDir) -> Vec<String> {
    state.read_json(FILE).ok().flatten().unwrap_or_default()
}

fn of_project() -> Vec<String> {
    completed_project().map(|project| known(&project.state())).unwrap_or_default()
}

/// For shell completion: the last known stacks.
pub(crate) fn known_stacks() -> Vec<CompletionCandidate> {
    let mut stacks: Vec<String> =
        of_project().iter().filter_map(|name| Some(name.split_once('/')?.0.to_owned())).collect();
    stacks.dedup();
    stacks.into_iter().map(CompletionCandidate::new).collect()
}

/// For shell completion: the last known services.
pub(crate) fn known_services() -> Vec<CompletionCandidate> {
    of_project().into_iter().map(CompletionCandidate::new).collect()
}

/// For shell completion: the last known stacks and services.
pub(crate) fn known_targets() -> Vec<CompletionCandidate> {
    known_stacks().into_iter().chain(known_services()).collect()
}

/// For shell completion: the last known services and nodes.
pub(crate) fn known_outputs() -> Vec<CompletionCandidate> {
    super::known_nodes().into_iter().chain(known_targets()).collect()
}
