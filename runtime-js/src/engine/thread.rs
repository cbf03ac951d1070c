//! The script thread.

use tokio::sync::mpsc;

use crate::handle::Request;
use crate::{EngineOptions, ScriptError, ScriptErrorKind};

/// Starts the thread; it ends when the senders of `requests` are gone.
pub(crate) fn spawn(options: EngineOptions, mut requests: mpsc::Receiver<Request>) -> Result<(), ScriptError> {
    std::thread::Builder::new()
        .name(options.name.clone())
        .stack_size(options.limits.stack_bytes.max(4 << 20))
        .spawn(move || {
            while let Some(request) = requests.blocking_recv() {
                let error = ScriptError::new(ScriptErrorKind::Load, "this build has no engine yet");
                match request {
                    Request::Load { reply, .. } => drop(reply.send(Err(error))),
                    Request::Call { reply, .. } => drop(reply.send(Err(error))),
                }
            }
        })
        .map(drop)
        .map_err(|error| ScriptError::new(ScriptErrorKind::Load, format!("cannot start the script thread: {error}")))
}
