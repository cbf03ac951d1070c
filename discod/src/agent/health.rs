//! The node's own judgement of its health: the hook `health`, if `cluster.js` exports it.
//!
//! Without the hook, or while it throws, no record exists, and a node that reports in time is healthy.

use std::time::Duration;

use disco_runtime_js::cluster::HealthVerdict;
use disco_runtime_js::{Arg, ScriptError, ScriptErrorKind};
use tokio::time::Instant;

use crate::cluster::nodes::own;
use crate::node::Node;
use crate::records::{self, HealthRecord, Txn};
use crate::script::{self, HEALTH_LIMIT, Hook, Scripts};

/// How often the hook is called.
const INTERVAL: Duration = Duration::from_secs(10);
/// Longest pause after calls that broke a limit of the engine: each costs the engine its isolate, and restarts all
/// other hooks.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
/// Pause after a call that was ended for a reason outside of the hook.
const AGAIN: Duration = Duration::from_secs(1);
/// How long the script thread may take beyond the hook's own limit before the node counts as not healthy.
const SLACK: Duration = Duration::from_secs(1);
/// How long the node then waits for the engine to end a computing script: it counts processor time, which passes slowly
/// on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// Calls the hook until the process ends, and immediately when a new script version is in use.
pub(super) async fn run(node: Node, scripts: Scripts) {
    let mut versions = node.scripts().versions();
    // Consecutive limits broken by the version in use.
    let mut broken = 0;
    loop {
        let hooked = versions.borrow_and_update().as_ref().is_some_and(|version| version.has(Hook::Health.name()));
        let answer = if hooked { ask(&node, &scripts).await } else { Answer::Default };
        broken = if matches!(answer, Answer::Broken) { broken + 1 } else { 0 };
        let pause = match answer {
            Answer::Again => AGAIN,
            Answer::Broken => (INTERVAL * (1 << broken.min(9))).min(LONGEST_PAUSE),
            Answer::Verdict(_) | Answer::Default => INTERVAL,
        };
        match answer {
            Answer::Verdict(verdict) => set(&node, Some(verdict)).await,
            Answer::Default | Answer::Broken => set(&node, None).await,
            Answer::Again => {}
        }
        let next = Instant::now() + pause;
        tokio::select! {
            biased;
            changed = versions.changed() => {
                if changed.is_err() {
                    return;
                }
                broken = 0;
            }
            () = tokio::time::sleep_until(next) => {}
        }
    }
}

/// Outcome of a call.
enum Answer {
    /// The hook returned a verdict, or took too long.
    Verdict(HealthVerdict),
    /// The hook is broken: the native default applies, by which a node that reports is healthy.
    Default,
    /// Like `Default`, and the hook took down the script engine.
    Broken,
    /// Something else ended the call; it must be repeated.
    Again,
}

async fn ask(node: &Node, scripts: &Scripts) -> Answer {
    let name = Hook::Health.name();
    let args = vec![Arg::Cluster, Arg::Node(own::info(node))];
    let call = scripts.call(node, name, args, Hook::Health.options());
    tokio::pin!(call);
    let outcome = match tokio::time::timeout(HEALTH_LIMIT + SLACK, &mut call).await {
        Ok(outcome) => outcome,
        // The engine enforces the limit unless its thread computes, for this hook or another. Which one it was is known
        // once the engine has ended it.
        Err(_) => {
            let late = too_late();
            set(node, Some(HealthVerdict { healthy: false, reason: late.message.clone() })).await;
            tokio::time::timeout(PATIENCE, call).await.unwrap_or(Err(late))
        }
    };
    match outcome.and_then(|result| HealthVerdict::from_result(result.as_ref())) {
        Ok(verdict) => {
            node.scripts().succeeded(name);
            Answer::Verdict(HealthVerdict { reason: bounded(&verdict.reason), ..verdict })
        }
        Err(error) if error.kind == ScriptErrorKind::Cancelled => Answer::Again,
        Err(error) => {
            script::report(node, name, &error).await;
            match error.kind {
                ScriptErrorKind::Timeout => {
                    Answer::Verdict(HealthVerdict { healthy: false, reason: bounded(&error.message) })
                }
                ScriptErrorKind::CpuLimit | ScriptErrorKind::HeapLimit => Answer::Broken,
                _ => Answer::Default,
            }
        }
    }
}

fn too_late() -> ScriptError {
    let limit = HEALTH_LIMIT.as_secs();
    let message = format!("`{}` did not answer within {limit} s: scripts compute", Hook::Health.name());
    ScriptError::new(ScriptErrorKind::Timeout, message)
}

/// Applies the verdict here and in the cluster; `None` is the native default.
async fn set(node: &Node, verdict: Option<HealthVerdict>) {
    let reported = verdict.as_ref().map(|verdict| (verdict.healthy, verdict.reason.clone()));
    node.scripts().set_health(reported);
    keep(node, verdict).await;
}

/// Replicated texts are short.
fn bounded(reason: &str) -> String {
    reason.chars().take(500).collect()
}

/// Updates the replicated record. Without a leader it is retried with the next verdict.
async fn keep(node: &Node, verdict: Option<HealthVerdict>) {
    let key = records::keys::health(node.id());
    let last = node.raft().store().read(|store| records::health(store, node.id()));
    let txn = match (&last, verdict) {
        (None, None) => return,
        (Some(last), Some(verdict)) if last.healthy == verdict.healthy && last.reason == verdict.reason => return,
        (_, Some(HealthVerdict { healthy, reason })) => {
            Txn::new().put(&key, &HealthRecord { healthy, reason, at: crate::clock::rfc3339() })
        }
        (Some(_), None) => Txn::new().delete(&key),
    };
    if let Err(error) = node.write(txn.operation()).await {
        tracing::debug!(%error, "could not record the health of this node");
    }
}
