//! The hook `event`: called for every event of the cluster, in order and at least once.
//!
//! Its position is saved in the store after each batch, so a new leader continues there and may repeat the last events. It
//! begins with the events after the first script version that exports it. It does not receive events about its own failures.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use disco_runtime_js::{Arg, Json, ScriptErrorKind};
use disco_store::Store;
use tokio::sync::watch;

use crate::controllers::driver::{Controller, Outcome, Pause, Schedule};
use crate::node::Leader;
use crate::records::{self, EventRecord, Txn};
use crate::script::records::EventCursor;
use crate::script::{self, FAILED, Hook, Scripts, Version};

/// Events after which the position is saved.
const BATCH: usize = 16;
/// Attempts for one event while the call is cancelled for external reasons.
const TRIES: usize = 3;
/// Pause before a further attempt.
const AGAIN: Duration = Duration::from_secs(1);
/// Pause after a position that could not be saved.
const PAUSE: Pause = Pause::always(AGAIN);
/// Script versions and revisions begin its passes too.
const PERIOD: Duration = Duration::from_secs(60);

/// Calls the hook `event` for each event.
pub(super) struct EventHook {
    scripts: Scripts,
    versions: watch::Receiver<Option<Arc<Version>>>,
}

// === impl EventHook ===

impl EventHook {
    pub(super) fn new(leader: &Leader, scripts: &Scripts) -> Self {
        Self { scripts: scripts.clone(), versions: leader.scripts().versions() }
    }
}

impl Controller for EventHook {
    const NAME: &'static str = "event hook";

    fn schedule(&self, _: &Leader) -> Schedule {
        Schedule { period: PERIOD, on_wake_up: false, on_revision: Some(Duration::ZERO), pause: Some(PAUSE) }
    }

    async fn pass(&mut self, leader: &Leader) -> Result<Outcome> {
        let loaded = self.versions.borrow_and_update().clone();
        let worked = match loaded {
            Some(version) if version.has(Hook::Event.name()) => step(leader, &self.scripts).await?,
            Some(_) => forget(leader).await?,
            // A version may still be loading.
            None => false,
        };
        Ok(if worked { Outcome::Changed } else { Outcome::Settled })
    }

    async fn event(&mut self) {
        if self.versions.changed().await.is_err() {
            pending().await
        }
    }
}

/// Passes the next events to the hook. False if there are none.
async fn step(leader: &Leader, scripts: &Scripts) -> Result<bool> {
    let cursor = leader.raft().store().read(|store| records::get::<EventCursor>(store, records::keys::EVENT_CURSOR));
    let Some(cursor) = cursor else {
        let id = leader.raft().store().read(records::last_event);
        return save(leader, Txn::new().put(records::keys::EVENT_CURSOR, &EventCursor { id })).await;
    };
    let events = leader.raft().store().read(|store| next(store, cursor.value.id));
    let Some(last) = events.last().map(|event| event.id) else { return Ok(false) };
    for event in &events {
        if !is_own_failure(event) {
            call(leader, scripts, event).await;
        }
    }
    save(leader, Txn::new().put(records::keys::EVENT_CURSOR, &EventCursor { id: last })).await
}

fn next(store: &Store, after: u64) -> Vec<EventRecord> {
    records::events_after(store, after, BATCH)
}

/// Deletes the position if a version lacks the hook: a later version with it begins with the events after that.
async fn forget(leader: &Leader) -> Result<bool> {
    let cursor = leader.raft().store().read(|store| records::get::<EventCursor>(store, records::keys::EVENT_CURSOR));
    if cursor.is_none() {
        return Ok(false);
    }
    save(leader, Txn::new().delete(records::keys::EVENT_CURSOR)).await
}

async fn save(leader: &Leader, txn: Txn) -> Result<bool> {
    leader.write_in_term(txn.operation()).await.context("saving the position of the hook `event`")?;
    Ok(true)
}

/// A hook that always fails would be called forever if it received events about its failures.
fn is_own_failure(event: &EventRecord) -> bool {
    let hook = event.data.as_ref().and_then(|data| data.get("hook"));
    event.kind == FAILED && hook.and_then(Json::as_str) == Some(Hook::Event.name())
}

async fn call(leader: &Leader, scripts: &Scripts, event: &EventRecord) {
    let name = Hook::Event.name();
    let argument = match serde_json::to_value(event) {
        Ok(argument) => argument,
        Err(error) => return tracing::error!(event = event.id, %error, "an event has no JSON form"),
    };
    for _ in 0..TRIES {
        let args = vec![Arg::Cluster, Arg::Json(argument.clone())];
        match scripts.call(leader, name, args, Hook::Event.options()).await {
            Ok(_) => return leader.scripts().succeeded(name),
            Err(error) if error.kind == ScriptErrorKind::Cancelled => tokio::time::sleep(AGAIN).await,
            Err(error) => return script::report(leader, name, &error).await,
        }
    }
    tracing::warn!(target: "script", hook = name, event = event.id, "event skipped: the call was cancelled repeatedly");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::records::Severity;

    #[test]
    fn the_hook_misses_only_its_own_failures() {
        let event = |kind: &str, hook: &str| EventRecord {
            id: 1,
            time: String::new(),
            kind: kind.to_owned(),
            severity: Severity::Error,
            node: None,
            message: String::new(),
            data: Some(json!({ "hook": hook })),
        };
        assert!(is_own_failure(&event("script.failed", "event")));
        assert!(!is_own_failure(&event("script.failed", "health")));
        assert!(!is_own_failure(&event("node.joined", "event")));
    }
}
