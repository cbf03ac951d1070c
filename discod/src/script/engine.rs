//! The script engine of this node.

use std::sync::Arc;

use disco_runtime_js::{Arg, CallOptions, Json, ScriptEngine, ScriptError};
use parking_lot::Mutex;

use super::host;
use crate::local::NOTED_FOR;
use crate::node::Node;

/// Runs the scripts of this node. Clones share the engine.
#[derive(Clone, Default)]
pub struct Scripts {
    /// Created by the first script that runs.
    engine: Arc<Mutex<Option<ScriptEngine>>>,
}

// === impl Scripts ===

impl Scripts {
    /// Calls an exported function of the version in use, unless it is disabled on this node.
    ///
    /// # Errors
    /// See [`ScriptError`]; its code is `DISABLED` if the function is disabled.
    pub async fn call(
        &self,
        node: &Node,
        hook: &str,
        args: Vec<Arg>,
        options: CallOptions,
    ) -> Result<Option<Json>, ScriptError> {
        let script = node.scripts().current().unwrap_or_default();
        let mut note = node.scripts().guard().enter(&script, hook)?;
        let engine = self.engine(node)?;
        let call = engine.call(hook, args, options);
        tokio::pin!(call);
        let outcome = match tokio::time::timeout(NOTED_FOR, &mut call).await {
            Ok(outcome) => outcome,
            Err(_) => {
                note.strike_out();
                call.await
            }
        };
        node.scripts().call_ended();
        outcome
    }

    /// The engine, started on first use. Must be called on the daemon's runtime.
    pub(super) fn engine(&self, node: &Node) -> Result<ScriptEngine, ScriptError> {
        let mut engine = self.engine.lock();
        if let Some(engine) = &*engine {
            return Ok(engine.clone());
        }
        let started = ScriptEngine::start(host::engine_options(node))?;
        *engine = Some(started.clone());
        Ok(started)
    }
}
