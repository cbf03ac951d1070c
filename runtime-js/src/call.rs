//! How a hook is called: its arguments, its capabilities, and how it is cancelled.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;
use tokio::sync::watch;

use crate::Capabilities;
use crate::cluster::NodeInfo;
use crate::console::Console;

/// One argument of a hook.
#[derive(Debug, Clone)]
pub enum Arg {
    /// The `Cluster` that this script version's `init` returned.
    Cluster,
    /// A `Node` of that cluster, with its methods.
    Node(NodeInfo),
    /// Several `Node`s in an array.
    Nodes(Vec<NodeInfo>),
    /// An `AbortSignal` that follows [`CallOptions::signal`]; never aborted where that is absent.
    Signal,
    /// A plain value.
    Json(Json),
}

/// The options of one call.
#[derive(Clone)]
pub struct CallOptions {
    /// What the call, and everything that it starts, is allowed to do.
    pub capabilities: Capabilities,
    /// Aborts the script's signal; the hook then decides how to end. This works even after the hook has returned, for the timers and
    /// listeners that it left, which end a few seconds later. Without a signal everything that a call has started ends when it
    /// returns: its timers are cleared, its commands killed, further effects refused. If the call fails, this happens in any case.
    pub signal: Option<AbortHandle>,
    /// Wall time after which the call fails with `Timeout`, its signal aborts, and its further effects are refused. `None`: no
    /// limit. A call with neither this nor a signal fails when nothing is left that could complete it.
    pub timeout: Option<Duration>,
    /// Where this call's `console` writes, instead of [`Hosts::console`](crate::Hosts).
    pub console: Option<Arc<dyn Console>>,
}

impl Default for CallOptions {
    fn default() -> Self {
        Self { capabilities: Capabilities::ALL, signal: None, timeout: None, console: None }
    }
}

impl CallOptions {
    /// Everything is allowed, no time limit.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with these capabilities.
    #[must_use]
    pub fn capabilities(mut self, capabilities: Capabilities) -> Self {
        self.capabilities = capabilities;
        self
    }

    /// The same with this time limit.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The same with this signal.
    #[must_use]
    pub fn signal(mut self, signal: AbortHandle) -> Self {
        self.signal = Some(signal);
        self
    }

    /// The same with this console.
    #[must_use]
    pub fn console(mut self, console: Arc<dyn Console>) -> Self {
        self.console = Some(console);
        self
    }
}

/// Aborts the signal of the calls that it was given to. Clones are the same handle; the first reason counts.
#[derive(Debug, Clone)]
pub struct AbortHandle {
    reason: Arc<watch::Sender<Option<String>>>,
}

impl AbortHandle {
    /// Makes a handle that is not aborted.
    pub fn new() -> Self {
        Self { reason: Arc::new(watch::Sender::new(None)) }
    }

    /// Aborts: `signal.reason` is an `AbortError` with this message.
    pub fn abort(&self, reason: impl Into<String>) {
        self.reason.send_if_modified(|current| {
            let first = current.is_none();
            if first {
                *current = Some(reason.into());
            }
            first
        });
    }

    /// Whether [`abort`](Self::abort) was called.
    pub fn is_aborted(&self) -> bool {
        self.reason.borrow().is_some()
    }

    /// Resolves with the reason once aborted.
    pub async fn aborted(&self) -> String {
        let mut receiver = self.reason.subscribe();
        // Cloned at once: the borrow is a lock, which must not be held over an await.
        let reason = receiver.wait_for(Option::is_some).await.map(|reason| reason.clone());
        match reason {
            Ok(reason) => reason.unwrap_or_default(),
            // The sender lives in `self`: the wait cannot fail.
            Err(_) => std::future::pending().await,
        }
    }

    /// As [`aborted`](Self::aborted), without keeping the handle alive: `None` when its last clone is dropped.
    pub(crate) fn followed(self) -> impl Future<Output = Option<String>> {
        let mut receiver = self.reason.subscribe();
        drop(self);
        async move {
            let reason = receiver.wait_for(Option::is_some).await.ok()?;
            reason.clone()
        }
    }
}

impl Default for AbortHandle {
    fn default() -> Self {
        Self::new()
    }
}
