//! Deployments: the hook `deploy` on the leader, once for each version.
//!
//! ```text
//! (no record) -> running -> succeeded
//!                      \--> failed      the hook threw, or the leader was lost
//! ```
//!
//! A run belongs to the cluster, not to the client that requested it: it continues after the client disconnects. It
//! belongs to one term of one leader: when that ends, the run ends, and the next leader marks it as failed
//! ([`abandon`]). It is not resumed. One deployment runs at a time, so that two never change the same machines.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use disco_proto::v1::deploy_output::{Finished, Line, Output, Started};
use disco_proto::v1::{DeployOutput, Refusal};
use disco_runtime_js::{Arg, Json, ScriptError, ScriptErrorKind};
use serde_json::json;
use thiserror::Error;
use tokio::sync::mpsc;

use super::blobs::BlobError;
use super::console::RunConsole;
use super::manifest::Manifest;
use super::records::{self, DeploymentRecord, DeploymentState};
use super::{Hook, Scripts, blobs, failure};
use crate::cluster::Error;
use crate::local::{Deploying, DeploymentPlace};
use crate::node::{Leader, WriteError};
use crate::raft::RaftError;
use crate::records::{Severity, Txn, emit_with, succeeded};

/// Lines that may be queued for a slow client before further ones are dropped.
const UNDER_WAY: usize = 512;
/// Time limit of a deployment: one that never ends would block all others.
const LONGEST: Duration = Duration::from_secs(3600);
/// Time limit for a client to read the last line.
const LAST_LINE: Duration = Duration::from_secs(30);
/// The error that a client receives if the run has ended with its leader.
const DEPOSED: &str = "leader changed during the run; its effects so far remain; run `disco deploy` again";
/// Maximum retained size of the hook's result, as JSON.
const RESULT_BYTES: usize = 64 << 10;

/// Why a deployment did not start.
#[derive(Debug, Error)]
pub enum Refused {
    /// Another deployment is running.
    #[error("deployment {0} is running; wait for its end (`disco deployments`)")]
    Busy(u64),
    /// A file's content is missing.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// Its record was not written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// This node cannot confirm that it leads.
    #[error(transparent)]
    Raft(#[from] RaftError),
    /// Leadership changed meanwhile.
    #[error("leader changed; try again")]
    Deposed,
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Busy(_) => Self::Refused(refused.to_string()),
            Refused::Blob(error) => error.into(),
            Refused::Write(error) => error.into(),
            Refused::Raft(_) | Refused::Deposed => Self::Unavailable(refused.to_string()),
        }
    }
}

/// Creates the next deployment and starts its hook. Returns the output for the client.
///
/// # Errors
/// See [`Refused`].
pub(super) async fn start(
    leader: &Leader,
    scripts: &Scripts,
    script: String,
    manifest: Manifest,
    variables: BTreeMap<String, String>,
) -> Result<mpsc::Receiver<DeployOutput>, Refused> {
    leader.raft().linearizable().await?;
    let commit = leader.commits().await;
    let deployments = leader.raft().store().read(records::deployments);
    // Only this leader creates deployments in its term, and it holds the lock.
    let id = deployments.iter().map(|last| last.value.id).max().unwrap_or(0) + 1;
    let files = Arc::new(manifest.into_files());
    let place = leader.scripts().begin_deployment(Deploying { id, files: files.clone() }).map_err(Refused::Busy)?;
    // A deployment of an earlier leader: its run has ended.
    abandon(leader).await;
    leader.raft().store().read(|store| blobs::check(store, &files))?;
    let record = DeploymentRecord {
        id,
        stack: None,
        state: DeploymentState::Running,
        script,
        files: files.to_vec(),
        variables,
        started_at: crate::clock::rfc3339(),
        finished_at: None,
        leader: leader.id(),
        term: leader.term(),
        unplaced: None,
        error: None,
        result: None,
    };
    let key = records::keys::deployment(id);
    let txn = Txn::new().expect(&key, 0).put(&key, &record);
    if !succeeded(&leader.write_in_term(txn.operation()).await?) {
        return Err(Refused::Deposed);
    }
    drop(commit);
    let (sender, receiver) = mpsc::channel(UNDER_WAY);
    let started = Started { deployment: id, leader: leader.id() };
    // The receiver exists, and the channel is empty.
    let _ = sender.try_send(DeployOutput { output: Some(Output::Started(started)) });
    tokio::spawn(run(leader.clone(), scripts.clone(), place, record, sender));
    Ok(receiver)
}

/// Marks unfinished deployments of earlier leaders as failed.
pub async fn abandon(leader: &Leader) {
    let deployments = leader.raft().store().read(records::deployments);
    for found in deployments {
        if !is_abandoned(&found.value, leader.term()) {
            continue;
        }
        let error = "leader changed during the run".to_owned();
        let record = DeploymentRecord {
            state: DeploymentState::Failed,
            finished_at: Some(crate::clock::rfc3339()),
            error: Some(error.clone()),
            ..found.value
        };
        let key = records::keys::deployment(record.id);
        let txn = Txn::new().expect(&key, found.revision).put(&key, &record);
        match leader.write_in_term(txn.operation()).await {
            Ok(response) if succeeded(&response) => tell_end(leader, &record).await,
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(deployment = record.id, %error, "could not update the record of the deployment")
            }
        }
    }
}

/// Whether the run of a deployment ended with its leader, from the view of the leader of `term`.
fn is_abandoned(record: &DeploymentRecord, term: u64) -> bool {
    // Controllers continue the deployment of a stack in any term.
    record.state == DeploymentState::Running && record.term < term && record.stack.is_none()
}

/// Runs the hook and records the result.
async fn run(
    leader: Leader,
    scripts: Scripts,
    place: DeploymentPlace,
    record: DeploymentRecord,
    follower: mpsc::Sender<DeployOutput>,
) {
    let id = record.id;
    let message = format!("deployment {id} of {} files started", record.files.len());
    emit_with(
        &leader,
        leader.term(),
        "deploy.started",
        Severity::Info,
        None,
        message,
        Some(json!({ "deployment": id })),
    )
    .await;
    let mut options = Hook::Deploy.options();
    options.console = Some(Arc::new(RunConsole::new(Hook::Deploy.name(), follower.clone())));
    let args = vec![Arg::Cluster, Arg::Json(argument(&record))];
    let call = scripts.call(&leader, Hook::Deploy.name(), args, options);
    let outcome = tokio::select! {
        biased;
        outcome = tokio::time::timeout(LONGEST, call) => outcome.unwrap_or_else(|_| Err(too_long())),
        () = leader.ended() => {
            // The next leader writes the record.
            drop(place);
            return finish(&follower, Finished { error: DEPOSED.to_owned(), ..Finished::default() }).await;
        }
    };
    let finished = match outcome {
        Ok(result) => match bounded_result(result) {
            Ok(result) => end(&leader, record, Ok(result)).await,
            Err(bytes) => {
                let text = format!("the hook's result was discarded: it has {bytes} bytes, more than {RESULT_BYTES}");
                let line = Line { level: "warn".to_owned(), text };
                // For the client that follows the run; it is useless to others.
                let _ = follower.try_send(DeployOutput { output: Some(Output::Line(line)) });
                end(&leader, record, Ok(None)).await
            }
        },
        Err(error) => end(&leader, record, Err(error)).await,
    };
    drop(place);
    finish(&follower, finished).await;
}

/// The hook's argument. Deployments are numbered versions of the project: the number has both names.
fn argument(record: &DeploymentRecord) -> Json {
    json!({ "id": record.id, "version": record.id, "files": record.files, "variables": record.variables })
}

/// The result, unless it is too large to be stored.
fn bounded_result(result: Option<Json>) -> Result<Option<Json>, usize> {
    let bytes = result.as_ref().map_or(0, |result| result.to_string().len());
    if bytes > RESULT_BYTES { Err(bytes) } else { Ok(result) }
}

fn too_long() -> ScriptError {
    ScriptError::new(
        ScriptErrorKind::Timeout,
        format!("`deploy` did not end within {} minutes", LONGEST.as_secs() / 60),
    )
}

/// Records the end.
async fn end(leader: &Leader, record: DeploymentRecord, outcome: Result<Option<Json>, ScriptError>) -> Finished {
    let record = DeploymentRecord {
        state: if outcome.is_ok() { DeploymentState::Succeeded } else { DeploymentState::Failed },
        finished_at: Some(crate::clock::rfc3339()),
        error: outcome.as_ref().err().map(|error| super::console::cut(&error.to_string()).to_owned()),
        result: outcome.as_ref().ok().cloned().flatten(),
        ..record
    };
    if let Err(error) = &outcome {
        tracing::warn!(target: "script", hook = Hook::Deploy.name(), "{}", error.render());
    }
    let txn = Txn::new().put(&records::keys::deployment(record.id), &record);
    if let Err(error) = leader.write_in_term(txn.operation()).await {
        // The hook's own error is most likely a consequence of that.
        let error = match error {
            WriteError::Refused(refusal) if refusal.refusal() == Refusal::StaleTerm => DEPOSED.to_owned(),
            error if outcome.is_ok() => format!("the hook returned, but its result could not be recorded: {error}"),
            error => format!("the hook failed, but its error could not be recorded: {error}"),
        };
        return Finished { error, ..Finished::default() };
    }
    tell_end(leader, &record).await;
    Finished {
        succeeded: outcome.is_ok(),
        error: record.error.unwrap_or_default(),
        result: record.result.map(|result| result.to_string()).unwrap_or_default(),
        failure: outcome.err().map(|error| failure::to_wire(&error)),
    }
}

async fn tell_end(leader: &Leader, record: &DeploymentRecord) {
    let data = Some(json!({ "deployment": record.id, "error": record.error }));
    let (kind, severity, message) = match &record.error {
        None => ("deploy.finished", Severity::Info, format!("deployment {} succeeded", record.id)),
        Some(error) => ("deploy.failed", Severity::Error, format!("deployment {} failed: {error}", record.id)),
    };
    emit_with(leader, leader.term(), kind, severity, None, message, data).await;
}

async fn finish(follower: &mpsc::Sender<DeployOutput>, finished: Finished) {
    // A client that has disconnected, or does not read, finds the result in the record.
    let output = DeployOutput { output: Some(Output::Finished(finished)) };
    let _ = follower.send_timeout(output, LAST_LINE).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(state: DeploymentState, term: u64) -> DeploymentRecord {
        DeploymentRecord {
            id: 7,
            stack: None,
            state,
            script: "sha256:0".into(),
            files: vec![records::FileRecord { path: "web/x".into(), sha256: "00".into(), size: 3, mode: 0o755 }],
            variables: BTreeMap::from([("tag".to_owned(), "v2".to_owned())]),
            started_at: String::new(),
            finished_at: None,
            leader: 1,
            term,
            unplaced: None,
            error: None,
            result: None,
        }
    }

    #[test]
    fn only_runs_of_earlier_terms_are_abandoned() {
        assert!(is_abandoned(&record(DeploymentState::Running, 3), 4));
        assert!(!is_abandoned(&record(DeploymentState::Running, 4), 4));
        assert!(!is_abandoned(&record(DeploymentState::Failed, 3), 4));
        assert!(!is_abandoned(&record(DeploymentState::Succeeded, 3), 4));
    }

    #[test]
    fn the_hook_receives_number_files_and_variables() {
        let expected = json!({
            "id": 7,
            "version": 7,
            "files": [{ "path": "web/x", "sha256": "00", "size": 3, "mode": 0o755 }],
            "variables": { "tag": "v2" },
        });
        assert_eq!(argument(&record(DeploymentState::Running, 1)), expected);
    }

    #[test]
    fn a_huge_result_is_not_kept() {
        assert_eq!(bounded_result(Some(json!("x"))), Ok(Some(json!("x"))));
        assert_eq!(bounded_result(None), Ok(None));
        assert_eq!(bounded_result(Some(json!("x".repeat(RESULT_BYTES)))), Err(RESULT_BYTES + 2));
    }
}
