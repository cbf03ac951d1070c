//! The calls under way: where each one's result goes.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::console::Console;
use crate::{CallOptions, ScriptError};

/// What a call ends with: text whose meaning the caller knows.
pub(super) type Completion = Result<String, ScriptError>;

/// One call under way.
struct Call {
    hook: String,
    version: u32,
    done: oneshot::Sender<Completion>,
    console: Option<Arc<dyn Console>>,
    /// Nothing outside could ever complete it: it fails when the event loop has nothing left to wait for.
    fails_when_idle: bool,
}

/// All calls under way, by number from 1. 0 stands for no call.
pub(super) struct Calls {
    last: u32,
    active: HashMap<u32, Call>,
    /// What each call may still do outside, also after it has its result: a token that is cancelled when all of the call is over.
    scopes: HashMap<u32, CancellationToken>,
    /// Cancelled with all of them, from any thread.
    root: CancellationToken,
}

impl Calls {
    /// No call. What they do outside ends with `root`.
    pub(super) fn new(root: CancellationToken) -> Self {
        Self { last: 0, active: HashMap::new(), scopes: HashMap::new(), root }
    }

    /// A new call; its number and where its result will be.
    pub(super) fn begin(
        &mut self,
        hook: &str,
        version: u32,
        options: &CallOptions,
    ) -> (u32, oneshot::Receiver<Completion>) {
        let (done, result) = oneshot::channel();
        // Numbers may wrap after four thousand million calls; one that is in use is not given again.
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

    /// Ends a call by its result; false if it had ended before.
    pub(super) fn complete(&mut self, id: u32, completion: Completion) -> bool {
        match self.active.remove(&id) {
            Some(call) => {
                // The caller may have gone away: then no one wants the result.
                let _ = call.done.send(completion);
                true
            }
            None => false,
        }
    }

    /// All of a call is over: what it waits for ends, and what it still tries is refused.
    pub(super) fn end(&mut self, id: u32) {
        self.active.remove(&id);
        if let Some(scope) = self.scopes.remove(&id) {
            scope.cancel();
        }
    }

    /// Ends all calls, each with its own error, and all that they have started.
    pub(super) fn fail_all(&mut self, mut error: impl FnMut(u32, &str) -> ScriptError) {
        for (id, call) in self.active.drain() {
            let _ = call.done.send(Err(error(id, &call.hook)));
        }
        for (_, scope) in self.scopes.drain() {
            scope.cancel();
        }
    }

    /// The calls that fail now that nothing is left to wait for.
    pub(super) fn hopeless(&self) -> Vec<(u32, String)> {
        self.active.iter().filter(|(_, call)| call.fails_when_idle).map(|(id, call)| (*id, call.hook.clone())).collect()
    }

    /// The name of the hook of an active call.
    pub(super) fn hook(&self, id: u32) -> Option<String> {
        self.active.get(&id).map(|call| call.hook.clone())
    }

    /// The one call under way, if it is one.
    pub(super) fn only(&self) -> Option<u32> {
        let mut ids = self.active.keys();
        ids.next().copied().filter(|_| ids.next().is_none())
    }

    /// How many are under way.
    pub(super) fn len(&self) -> usize {
        self.active.len()
    }

    /// Whether calls of this version are under way.
    pub(super) fn uses(&self, version: u32) -> bool {
        self.active.values().any(|call| call.version == version)
    }

    /// Cancelled once all of the call is over.
    pub(super) fn ended(&self, id: u32) -> CancellationToken {
        self.scopes.get(&id).cloned().unwrap_or_else(|| {
            let over = CancellationToken::new();
            over.cancel();
            over
        })
    }

    /// The console of a call that has its own.
    pub(super) fn console(&self, id: u32) -> Option<Arc<dyn Console>> {
        self.active.get(&id)?.console.clone()
    }
}
