//! Versions that end the daemon that tries them.
//!
//! The notes of [`HookGuard`](crate::local::HookGuard) are a node's own. A version whose `init` ends the daemon is tried by the leader alone: by
//! those notes it would end one leader after the other, each of them twice. So the leader writes into the store, before it
//! tries a version, which one that is, and takes that away afterwards: the next leader knows.
//!
//! # Invariants
//! - One version is tried at a time (`Leader::commits`).
//! - A process that lives strikes out what it has begun, whether it still leads or not; what is left was left by one that ended. One may
//!   be a coincidence, so the version is refused after the second. Another version is not touched by it.

use disco_runtime_js::{ScriptError, ScriptErrorKind};

use super::records::{TrialRecord, keys};
use crate::local::{HOOK_DISABLED as DISABLED, HOOK_ENDS as ENDS};
use crate::node::{Leader, Node, WriteError};
use crate::records::{self, Txn, Versioned};

/// Why a version is not tried.
#[derive(Debug)]
pub enum TrialError {
    /// It has ended leaders before.
    Refused(ScriptError),
    /// That it is tried could not be written.
    NotWritten(WriteError),
}

/// A trial that was begun, and is struck out by [`Trial::end`].
#[derive(Debug)]
pub struct Trial {
    /// The store's revision with which its record was written.
    revision: i64,
}

/// The leader is about to try a version.
///
/// # Errors
/// See [`TrialError`].
pub async fn begin(leader: &Leader, script: &str) -> Result<Trial, TrialError> {
    let last = recorded(leader);
    let revision = last.as_ref().map_or(0, |last| last.revision);
    let next = next(last.map(|last| last.value), script, leader.id()).map_err(TrialError::Refused)?;
    let txn = Txn::new().expect(keys::SCRIPT_TRIAL, revision).put(keys::SCRIPT_TRIAL, &next);
    match leader.write_in_term(txn.operation()).await {
        Ok(written) if records::succeeded(&written) => Ok(Trial { revision: written.revision }),
        Ok(_) => {
            let last = "another version is being tried at the same time".to_owned();
            Err(TrialError::NotWritten(WriteError::Unavailable { last }))
        }
        Err(error) => {
            // It may have been written all the same, and nothing is tried by it.
            if let Some(written) = recorded(leader).filter(|now| now.revision != revision && now.value == next) {
                Trial { revision: written.revision }.end(leader).await;
            }
            Err(TrialError::NotWritten(error))
        }
    }
}

fn recorded(node: &Node) -> Option<Versioned<TrialRecord>> {
    node.raft().store().read(|store| records::get::<TrialRecord>(store, keys::SCRIPT_TRIAL))
}

// === impl Trial ===

impl Trial {
    /// The version was tried, with any result. In no term: this process lives, which is true also when another leads by now.
    pub async fn end(self, node: &Node) {
        let txn = Txn::new().expect(keys::SCRIPT_TRIAL, self.revision).delete(keys::SCRIPT_TRIAL);
        if let Err(error) = node.write(txn.operation()).await {
            tracing::warn!(%error, "cannot record that the trial of a script version has ended");
        }
    }
}

fn next(last: Option<TrialRecord>, script: &str, node: u64) -> Result<TrialRecord, ScriptError> {
    let last = last.filter(|last| last.script == script);
    let tries = last.as_ref().map_or(0, |last| last.tries);
    match last {
        Some(last) if tries >= ENDS => Err(refusal(&last)),
        _ => Ok(TrialRecord { script: script.to_owned(), tries: tries + 1, node }),
    }
}

fn refusal(last: &TrialRecord) -> ScriptError {
    let TrialRecord { tries, node, .. } = last;
    let text = format!(
        "this version of `cluster.js` is disabled: the daemon ended {tries} times while trying it, the last time on node {node}\nhint: correct it and run `disco script push`"
    );
    let mut error = ScriptError::new(ScriptErrorKind::Load, text);
    error.code = Some(DISABLED.to_owned());
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_leads_a_version_has_two_tries() {
        let one = next(None, "sha256:a", 1).unwrap();
        let two = next(Some(one), "sha256:a", 2).unwrap();
        assert_eq!(two, TrialRecord { script: "sha256:a".to_owned(), tries: 2, node: 2 });
        let error = next(Some(two.clone()), "sha256:a", 3).unwrap_err();
        assert_eq!(error.code.as_deref(), Some(DISABLED));
        assert!(error.message.contains("ended 2 times while trying it, the last time on node 2"), "{error}");
        // Another version begins anew.
        assert_eq!(next(Some(two), "sha256:b", 3).unwrap().tries, 1);
    }
}
