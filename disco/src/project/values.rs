//! The names of secrets and configs that commands have seen, for completion alone.

use clap_complete::CompletionCandidate;
use disco_store::typed::ValueKind;

use super::{StateDir, completed_project};

fn file(kind: ValueKind) -> String {
    format!("{kind}s.json")
}

/// Saves the names. Ignores all errors: it is only a cache.
pub(crate) fn remember_values(state: &StateDir, kind: ValueKind, names: &[String]) {
    if state.exists() && known(state, kind) != names {
        let _ = state.write_json(&file(kind), &names);
    }
}

fn known(state: &StateDir, kind: ValueKind) -> Vec<String> {
    state.read_json(&file(kind)).ok().flatten().unwrap_or_default()
}

fn of_project(kind: ValueKind) -> Vec<CompletionCandidate> {
    let names = completed_project().map(|project| known(&project.state(), kind)).unwrap_or_default();
    names.into_iter().map(CompletionCandidate::new).collect()
}

/// For shell completion: the last known secrets.
pub(crate) fn known_secrets() -> Vec<CompletionCandidate> {
    of_project(ValueKind::Secret)
}

/// For shell completion: the last known configs.
pub(crate) fn known_configs() -> Vec<CompletionCandidate> {
    of_project(ValueKind::Config)
}
