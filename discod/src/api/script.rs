//! A new version of `cluster.js`.
//!
//! The leader tries it before anything is written: what does not compile, or whose `init` throws, changes nothing.

use std::time::Duration;

use bytes::Bytes;
use disco_proto::v1::{PushScriptRequest, PushScriptResponse};
use disco_runtime_js::ScriptError;
use prost::Message;
use tokio::time::Instant;
use tonic::{Code, Request, Response, Status};

use super::forward::{Answer, relayed, to_leader};
use crate::node::{Leader, Node};
use crate::records::{self, Severity, Txn};
use crate::script::manifest::Manifest;
use crate::script::records::{CurrentScript, ScriptRecord, current};
use crate::script::trial::{self, TrialError};
use crate::script::{self, blobs};

/// The file that a version starts with.
const ENTRY: &str = "cluster.js";
/// All files of a version, in bytes: every node holds them in memory while it loads them.
const SCRIPT_BYTES: u64 = 4 << 20;
/// How long the nodes may take to load the version before the answer names those that have.
const LOAD: Duration = Duration::from_secs(10);
/// How often the nodes' reports are looked at.
const LOOK: Duration = Duration::from_millis(25);

pub(super) async fn push(
    node: &Node,
    request: Request<PushScriptRequest>,
) -> Result<Response<PushScriptResponse>, Status> {
    let (metadata, _, message) = request.into_parts();
    match to_leader(node, &metadata).await? {
        Answer::There(mut forward) => {
            let request = forward.request(message);
            forward.client.push_script(request).await.map_err(relayed)
        }
        Answer::Here(leader) => {
            // Who has asked may go away: a version that is tried is tried to the end, or would be taken for one that ends daemons.
            let pushing = tokio::spawn(async move { push_here(&leader, message).await });
            let interrupted = |error| {
                let hint = "`disco script ls` shows the version in use";
                Status::unavailable(format!("outcome unknown: the push was interrupted ({error})\nhint: {hint}"))
            };
            pushing.await.map_err(interrupted)?.map(Response::new)
        }
    }
}

async fn push_here(leader: &Leader, message: PushScriptRequest) -> Result<PushScriptResponse, Status> {
    let manifest = manifest(message)?;
    let (manifest, dry_run) = manifest;
    let hash = manifest.hash();
    leader.raft().linearizable().await.map_err(|error| Status::unavailable(error.to_string()))?;
    // One push after the other, and none while blobs are removed.
    let commit = leader.scripts().commits().await;
    let last = leader.raft().store().read(current);
    if last.as_ref().is_some_and(|last| last.value.hash == hash) {
        drop(commit);
        return Ok(PushScriptResponse { nodes: loaded(leader, &hash), script: hash, changed: false });
    }
    let missing = leader.raft().store().read(|store| blobs::check(store, manifest.files()));
    missing.map_err(|error| Status::aborted(format!("{error}; send it again")))?;
    let trial = trial::begin(leader, &hash).await.map_err(|error| match error {
        TrialError::Refused(error) => refuse(&error),
        TrialError::NotWritten(error) => error.into(),
    })?;
    let checked = script::check(leader, manifest.files(), dry_run).await;
    trial.end(leader).await;
    let checked = checked.map_err(|error| refuse(&error))?;
    if dry_run {
        return Ok(PushScriptResponse { script: hash, changed: true, nodes: Vec::new() });
    }
    let (version, revision) = last.map_or((1, 0), |last| (last.value.version + 1, last.revision));
    let time = crate::clock::rfc3339();
    let record = ScriptRecord {
        hash: hash.clone(),
        version,
        time: time.clone(),
        files: manifest.into_files(),
        exports: checked.exports,
    };
    let txn = Txn::new()
        .expect(records::keys::SCRIPT, revision)
        .put(&records::keys::script(&hash), &record)
        .put(records::keys::SCRIPT, &CurrentScript { hash: hash.clone(), version, pushed_at: time });
    let written = leader.write_in_term(txn.operation()).await.map_err(Status::from)?;
    if !records::succeeded(&written) {
        return Err(Status::aborted("another version was pushed at the same time; try again"));
    }
    drop(commit);
    let data = serde_json::json!({ "script": hash, "version": version });
    let text = format!("version {version} of `{ENTRY}` is in use: {hash}");
    records::emit_with(leader, leader.term(), "script.pushed", Severity::Info, None, text, Some(data)).await;
    wait_for_nodes(leader, &hash).await;
    Ok(PushScriptResponse { nodes: loaded(leader, &hash), script: hash, changed: true })
}

/// The files, when they can be a version.
fn manifest(message: PushScriptRequest) -> Result<(Manifest, bool), Status> {
    let manifest = Manifest::new(message.files).map_err(|error| Status::invalid_argument(error.to_string()))?;
    if !manifest.has(ENTRY) {
        return Err(Status::invalid_argument(format!("there is no `{ENTRY}` among the files")));
    }
    let bytes: u64 = manifest.files().iter().map(|file| file.size).sum();
    if bytes > SCRIPT_BYTES {
        let text = format!(
            "`{ENTRY}` and its imports have {bytes} bytes, more than {SCRIPT_BYTES} ({} MiB)",
            SCRIPT_BYTES >> 20
        );
        return Err(Status::invalid_argument(text));
    }
    Ok((manifest, message.dry_run))
}

/// With the place in the script, for the client to show.
fn refuse(error: &ScriptError) -> Status {
    let details = Bytes::from(script::to_wire(error).encode_to_vec());
    let message: String = error.to_string().chars().take(1000).collect();
    Status::with_details(Code::InvalidArgument, message, details)
}

/// The nodes that run the version, by their own word.
fn loaded(leader: &Leader, hash: &str) -> Vec<u64> {
    let runs = |id: u64| match leader.reports().get(id) {
        _ if id == leader.id() => leader.scripts().current().as_deref() == Some(hash),
        Some(heard) => heard.report.script == hash,
        None => false,
    };
    leader.raft().members().into_iter().map(|member| member.id).filter(|id| runs(*id)).collect()
}

/// Waits until all nodes that answer run the version, or long enough.
async fn wait_for_nodes(leader: &Leader, hash: &str) {
    let deadline = Instant::now() + LOAD;
    while Instant::now() < deadline {
        let limit = leader.raft().pace().suspect_after();
        let silent =
            |id: u64| id != leader.id() && leader.reports().get(id).is_none_or(|heard| heard.at.elapsed() > limit);
        let runs = loaded(leader, hash);
        let members = leader.raft().members();
        if members.iter().all(|member| runs.contains(&member.id) || silent(member.id)) {
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use disco_proto::v1::{FileEntry, ScriptFailure};
    use disco_runtime_js::ScriptErrorKind;

    use super::*;

    fn files(names: &[&str], size: u64) -> PushScriptRequest {
        let entry = |path: &&str| FileEntry { path: (*path).to_owned(), sha256: "0a".repeat(32), size, mode: 0o644 };
        PushScriptRequest { files: names.iter().map(entry).collect(), dry_run: false }
    }

    #[test]
    fn a_version_needs_its_entry_and_is_small() {
        assert!(manifest(files(&["cluster.js", "lib/a.js"], 10)).is_ok());
        assert_eq!(
            manifest(files(&["client.js"], 10)).unwrap_err().message(),
            "there is no `cluster.js` among the files"
        );
        assert!(manifest(files(&["cluster.js"], SCRIPT_BYTES + 1)).is_err());
    }

    #[test]
    fn a_refusal_carries_the_place() {
        let mut error = ScriptError::new(ScriptErrorKind::Thrown, "TypeError: x is not a function");
        (error.file, error.line, error.column) = (Some("cluster.js".into()), Some(3), Some(5));
        let status = refuse(&error);
        assert_eq!(status.message(), "cluster.js:3:5: TypeError: x is not a function");
        let failure = ScriptFailure::decode(status.details()).unwrap();
        assert_eq!((failure.file.as_str(), failure.line, failure.column), ("cluster.js", 3, 5));
        assert_eq!(failure.message, "TypeError: x is not a function");
    }
}
