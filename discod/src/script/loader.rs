//! Follows the script version in the store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use disco_runtime_js::{Capabilities, LoadOptions, Loaded, ModuleSource, ScriptEngine, ScriptError, ScriptErrorKind};
use disco_store::Store;
use tokio::time::Instant;

use super::records::{self, FileRecord};
use super::{Hook, Scripts, Version, blobs, failure, host};
use crate::local::describe_hook_off;
use crate::node::Node;
use crate::records::{EventRecord, Severity, Txn, event, log_event, record_along};

/// The file that a script version starts with.
pub const ENTRY: &str = "cluster.js";
/// Pauses between attempts to load a failed version: its `init` may have failed for a temporary reason.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// A version that did not load, and when it is retried.
struct Failed {
    hash: String,
    again: Instant,
    pause: Duration,
}

/// Loads each version that becomes the current one, until the process ends.
pub(super) async fn run(node: Node, scripts: Scripts) {
    let mut revisions = node.raft().store().revisions();
    let mut failed: Option<Failed> = None;
    loop {
        revisions.borrow_and_update();
        let wanted = node.raft().store().read(records::current).map(|current| current.value.hash);
        if let Some(hash) = wanted {
            let waits = failed.as_ref().is_some_and(|last| last.hash == hash && Instant::now() < last.again);
            if node.scripts().current().as_ref() != Some(&hash) && !waits {
                failed = follow(&node, &scripts, hash, failed).await;
                continue;
            }
        }
        let again = failed.as_ref().map(|last| last.again);
        tokio::select! {
            changed = revisions.changed() => if changed.is_err() { return },
            () = at(again) => {}
        }
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Loads a version; on failure the previous one remains in use.
async fn follow(node: &Node, scripts: &Scripts, hash: String, last: Option<Failed>) -> Option<Failed> {
    match load(node, scripts, &hash).await {
        Ok(loaded) => {
            tracing::info!(script = hash, exports = loaded.exports.join(" "), "running a new script version");
            // Invalid options were refused when the cluster object was created.
            let repair = loaded.cluster.as_ref().and_then(|cluster| cluster.repair().ok()).unwrap_or_default();
            let provider = loaded.cluster.and_then(|cluster| cluster.provider);
            node.scripts().set_version(Version { hash, exports: loaded.exports, provider, repair });
            node.scripts().succeeded(Hook::Init.name());
            None
        }
        Err(error) => {
            node.scripts().set_broken(hash.clone(), error.clone());
            failure::report(node, Hook::Init.name(), &error).await;
            let before = last.filter(|last| last.hash == hash);
            let pause = before.map_or(FIRST_PAUSE, |last| (last.pause * 2).min(LONGEST_PAUSE));
            Some(Failed { hash, again: Instant::now() + pause, pause })
        }
    }
}

async fn load(node: &Node, scripts: &Scripts, hash: &str) -> Result<Loaded, ScriptError> {
    let source = node.raft().store().read(|store| {
        let version = records::version(store, hash).ok_or_else(|| {
            ScriptError::new(ScriptErrorKind::Load, format!("the cluster does not have the script version {hash}"))
        })?;
        source(store, &version.files)
    })?;
    let _note = node.scripts().guard().enter(hash, Hook::Init.name())?;
    let options = LoadOptions { init: Some(Hook::Init.options()), check_only: false };
    scripts.engine(node)?.load(source, options).await
}

/// Tries a version without using it: checks that it compiles, and that its `init` does not throw. In a separate engine,
/// so that it leaves nothing behind and cannot affect the version in use. In a dry run `init` changes nothing: its
/// commands are not run. The caller must have recorded the trial ([`trial`](super::trial)).
///
/// # Errors
/// Why the version cannot be used.
pub async fn check(node: &Node, files: &[FileRecord], dry_run: bool) -> Result<Loaded, ScriptError> {
    let source = node.raft().store().read(|store| source(store, files))?;
    let mut init = Hook::Init.options();
    if dry_run {
        let capabilities = init.capabilities | Capabilities::PLAN;
        init = init.capabilities(capabilities);
    }
    let options = LoadOptions { init: Some(init), check_only: true };
    ScriptEngine::start(host::engine_options(node))?.load(source, options).await
}

/// Writes an event for each hook that is disabled on this node. Retries without a leader.
pub(super) async fn report_disabled_hooks(node: Node) {
    // The previous daemon's notes; nothing is added while this process runs.
    if node.raft().store().read(records::current).is_none() {
        return;
    }
    for (script, hook) in node.scripts().guard().unreported() {
        let what = describe_hook_off(&hook, &node.id().to_string());
        let message = format!("{what}\nhint: correct `cluster.js` and run `disco script push`");
        let data = serde_json::json!({ "hook": hook, "script": script });
        let event =
            EventRecord { data: Some(data), ..event("script.disabled", Severity::Error, Some(node.id()), message) };
        log_event(&event);
        while let Err(why) = record_along(&node, 0, &event, Txn::new()).await {
            tracing::debug!(hook, "could not record that the hook is disabled: {why}");
            tokio::time::sleep(FIRST_PAUSE).await;
        }
        node.scripts().guard().set_reported(&script, &hook);
    }
}

fn source(store: &Store, files: &[FileRecord]) -> Result<ModuleSource, ScriptError> {
    let mut contents: BTreeMap<String, Arc<[u8]>> = BTreeMap::new();
    for file in files {
        let content =
            blobs::read(store, file).map_err(|error| ScriptError::new(ScriptErrorKind::Load, error.to_string()))?;
        contents.insert(file.path.clone(), content.into());
    }
    Ok(ModuleSource::memory(ENTRY, contents))
}
