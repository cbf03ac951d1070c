//! The calls in progress, and where their results go.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::console::Console;
use crate::{CallOptions, ScriptError};

/// The result of a call: text that the caller interprets.
pub(super) type Completion = Result<String, ScriptError>;

/// A call in progress.
struct Call {
    hook: String,
    version: u32,
    done: oneshot::Sender<Completion>,
    console: Option<Arc<dyn Console>>,
    /// Nothing outside can complete it: it fails when the event loop has nothing left to wait for.
    fails_when_idle: bool,
}

/// All calls in progress, by number from 1. 0 stands for no call.
pub(super) struct Calls {
    last: u32,
    active: HashMap<u32, Call>,
    /// A token for the effects of each call, even after its result: it is cancelled when everything that the call started has ended.
    scopes: HashMap<u32, CancellationToken>,
    /// Cancels all of them, from any thread.
    root: CancellationToken,
}

impl Calls {
    /// Makes an empty set of calls, whose effects end with `root`.
    pub(super) fn new(root: CancellationToken) -> Self {
        Self { last: 0, active: HashMap::new(), scopes: HashMap::new(), root }
    }

    /// Adds a call; returns its number and the receiver of its result.
    pub(super) fn begin(
        &mut self,
        hook: &str,
        version: u32,
        options: &CallOptions,
    ) -> (u32, oneshot::Receiver<Completion>) {
        let (done, result) = oneshot::channel();
        // Numbers may wrap after four thousand million calls; a number in use is not assigned again.
        loop {
            self.last = self.last.wrapping_add(1).max(1);
            if !self.active.contains_key(&self.last) && !self.scopes.contains_key(&self.last) {
                break;
            }
        }
        let call = Call {
            hook: hook.to_owned(),
            version,
            done,
            console: options.console.clone(),
            fails_when_idle: options.timeout.is_none() && options.signal.is_none(),
        };
        self.active.insert(self.last, call);
        self.scopes.insert(self.last, self.root.child_token());
        (self.last, result)
    }

    /// Ends a call with its result; false if it had already ended.
    pub(super) fn complete(&mut self, id: u32, completion: Completion) -> bool {
        match self.active.remove(&id) {
            Some(call) => {
                // The caller may be gone and not need the result.
                let _ = call.done.send(completion);
                true
            }
            None => false,
        }
    }

    /// Ends everything of a call: its pending effects end, and further ones are refused.
    pub(super) fn end(&mut self, id: u32) {
        self.active.remove(&id);
        if let Some(scope) = self.scopes.remove(&id) {
            scope.cancel();
        }
    }

    /// Ends all calls, each with its own error, and everything that they have started.
    pub(super) fn fail_all(&mut self, mut error: impl FnMut(u32, &str) -> ScriptError) {
        for (id, call) in self.active.drain() {
            let _ = call.done.send(Err(error(id, &call.hook)));
        }
        for (_, scope) in self.scopes.drain() {
            scope.cancel();
        }
    }

    /// The calls that fail because nothing is left to wait for.
    pub(super) fn hopeless(&self) -> Vec<(u32, String)> {
        self.active.iter().filter(|(_, call)| call.fails_when_idle).map(|(id, call)| (*id, call.hook.clone())).collect()
    }

    /// The name of the hook of an active call.
    pub(super) fn hook(&self, id: u32) -> Option<String> {
        self.active.get(&id).map(|call| call.hook.clone())
    }

    /// The only call in progress, if there is exactly one.
    pub(super) fn only(&self) -> Option<u32> {
        let mut ids = self.active.keys();
        ids.next().copied().filter(|_| ids.next().is_none())
    }

    /// How many are in progress.
    pub(super) fn len(&self) -> usize {
        self.active.len()
    }

    /// Whether calls of this version are in progress.
    pub(super) fn uses(&self, version: u32) -> bool {
        self.active.values().any(|call| call.version == version)
    }

    /// Cancelled once everything of the call has ended.
    pub(super) fn ended(&self, id: u32) -> CancellationToken {
        self.scopes.get(&id).cloned().unwrap_or_else(|| {
            let over = CancellationToken::new();
            over.cancel();
            over
        })
    }

    /// The console of a call, if it has its own.
    pub(super) fn console(&self, id: u32) -> Option<Arc<dyn Console>> {
        self.active.get(&id)?.console.clone()
    }
}
