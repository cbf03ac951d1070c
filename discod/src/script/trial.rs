//! Detects versions that end the daemon that tries them.
//!
//! The notes of [`HookGuard`](crate::local::HookGuard) belong to one node. Only the leader tries a version: with those
//! notes alone, a version whose `init` ends the daemon would end one leader after the other, each of them twice. So the
//! leader records in the store which version it is about to try, and removes the record afterwards: the next leader
//! knows.
//!
//! # Invariants
//! - One version is tried at a time (`Leader::commits`).
//! - A living process removes the record that it has written, whether it still leads or not; a remaining record is from
//!   a process that ended. One may be a coincidence, so the version is refused after the second. It does not affect
//!   other versions.

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
    /// The trial could not be recorded.
    NotWritten(WriteError),
}

/// A trial in progress; [`Trial::end`] removes its record.
#[derive(Debug)]
pub struct Trial {
    /// The store's revision of its record.
    revision: i64,
}

/// Records that the leader is about to try a version.
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
            // It may have been written nevertheless, but this record starts no trial.
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
    /// The trial has ended, with any result. In no term: this process lives, which is true even if another node leads
    /// by now.
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
    fn a_version_has_two_tries_whichever_node_leads() {
        let one = next(None, "sha256:a", 1).unwrap();
        let two = next(Some(one), "sha256:a", 2).unwrap();
        assert_eq!(two, TrialRecord { script: "sha256:a".to_owned(), tries: 2, node: 2 });
        let error = next(Some(two.clone()), "sha256:a", 3).unwrap_err();
        assert_eq!(error.code.as_deref(), Some(DISABLED));
        assert!(error.message.contains("ended 2 times while trying it, the last time on node 2"), "{error}");
        // Another version starts at one.
        assert_eq!(next(Some(two), "sha256:b", 3).unwrap().tries, 1);
    }
}
