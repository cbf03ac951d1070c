//! A new version of `cluster.js`.
//!
//! The leader tries it before it writes anything: a version that does not compile, or whose `init` throws, changes
//! nothing.

use std::time::Duration;

use disco_proto::v1::{PushScriptRequest, PushScriptResponse};
use tokio::time::Instant;

use super::manifest::Manifest;
use super::records::{CurrentScript, ScriptRecord, current};
use super::trial::{self, TrialError};
use super::{blobs, loader};
use crate::cluster::{Error, Result};
use crate::node::Leader;
use crate::records::{self, Severity, Txn};

/// The entry file of a version.
const ENTRY: &str = "cluster.js";
/// Maximum size of all files of a version: every node holds them in memory while it loads them.
const SCRIPT_BYTES: u64 = 4 << 20;
/// Time limit for the nodes to load the version before the answer names those that have.
const LOAD: Duration = Duration::from_secs(10);
/// How often the nodes' reports are checked.
const LOOK: Duration = Duration::from_millis(25);

/// Tries a version, and puts it into use. Only on the leader.
///
/// # Errors
/// The version cannot be used, or was not written.
pub async fn push(leader: Leader, message: PushScriptRequest) -> Result<PushScriptResponse> {
    // The client may disconnect: a trial must run to its end, or the version would count as one that ends daemons.
    let pushing = tokio::spawn(async move { push_here(&leader, message).await });
    let interrupted = |error| {
        let hint = "`disco script ls` shows the version in use";
        Error::Unavailable(format!("outcome unknown: the push was interrupted ({error})\nhint: {hint}"))
    };
    pushing.await.map_err(interrupted)?
}

async fn push_here(leader: &Leader, message: PushScriptRequest) -> Result<PushScriptResponse> {
    let manifest = manifest(message)?;
    let (manifest, dry_run) = manifest;
    let hash = manifest.hash();
    leader.raft().linearizable().await?;
    // Pushes are sequential, and none runs while blobs are removed.
    let commit = leader.commits().await;
    let last = leader.raft().store().read(current);
    if last.as_ref().is_some_and(|last| last.value.hash == hash) {
        drop(commit);
        return Ok(PushScriptResponse { nodes: loaded(leader, &hash), script: hash, changed: false });
    }
    let missing = leader.raft().store().read(|store| blobs::check(store, manifest.files()));
    missing.map_err(|error| Error::Conflict(format!("{error}; send it again")))?;
    let trial = trial::begin(leader, &hash).await.map_err(|error| match error {
        TrialError::Refused(error) => Error::Script(Box::new(error)),
        TrialError::NotWritten(error) => error.into(),
    })?;
    let checked = loader::check(leader, manifest.files(), dry_run).await;
    trial.end(leader).await;
    let checked = checked.map_err(|error| Error::Script(Box::new(error)))?;
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
    let written = leader.write_in_term(txn.operation()).await?;
    if !records::succeeded(&written) {
        return Err(Error::Conflict("another version was pushed at the same time; try again".to_owned()));
    }
    drop(commit);
    let data = serde_json::json!({ "script": hash, "version": version });
    // The data has the whole hash; these digits are those of `disco status`.
    let shown = hash.get(.."sha256:".len() + 12).unwrap_or(&hash);
    let text = format!("version {version} of `{ENTRY}` is in use: {shown}");
    records::emit_with(leader, leader.term(), "script.pushed", Severity::Info, None, text, Some(data)).await;
    wait_for_nodes(leader, &hash).await;
    Ok(PushScriptResponse { nodes: loaded(leader, &hash), script: hash, changed: true })
}

/// The files, if they form a valid version.
fn manifest(message: PushScriptRequest) -> Result<(Manifest, bool)> {
    let manifest = Manifest::new(message.files).map_err(|error| Error::Invalid(error.to_string()))?;
    if !manifest.has(ENTRY) {
        return Err(Error::Invalid(format!("`{ENTRY}` is missing among the files")));
    }
    let bytes: u64 = manifest.files().iter().map(|file| file.size).sum();
    if bytes > SCRIPT_BYTES {
        let text = format!(
            "`{ENTRY}` and its imports have {bytes} bytes, more than {SCRIPT_BYTES} ({} MiB)",
            SCRIPT_BYTES >> 20
        );
        return Err(Error::Invalid(text));
    }
    Ok((manifest, message.dry_run))
}

/// The nodes that report that they run the version.
fn loaded(leader: &Leader, hash: &str) -> Vec<u64> {
    let runs = |id: u64| match leader.reports().get(id) {
        _ if id == leader.id() => leader.scripts().current().as_deref() == Some(hash),
        Some(heard) => heard.report.script == hash,
        None => false,
    };
    leader.raft().members().into_iter().map(|member| member.id).filter(|id| runs(*id)).collect()
}

/// Waits until all nodes that answer run the version, or until the time limit.
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
    use disco_proto::v1::FileEntry;

    use super::*;

    fn files(names: &[&str], size: u64) -> PushScriptRequest {
        let entry = |path: &&str| FileEntry { path: (*path).to_owned(), sha256: "0a".repeat(32), size, mode: 0o644 };
        PushScriptRequest { files: names.iter().map(entry).collect(), dry_run: false }
    }

    #[test]
    fn a_version_needs_its_entry_and_is_small() {
        assert!(manifest(files(&["cluster.js", "lib/a.js"], 10)).is_ok());
        assert_eq!(
            manifest(files(&["client.js"], 10)).unwrap_err().to_string(),
            "`cluster.js` is missing among the files"
        );
        assert!(manifest(files(&["cluster.js"], SCRIPT_BYTES + 1)).is_err());
    }
}
