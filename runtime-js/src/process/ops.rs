//! What `process.js` calls.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use deno_core::{JsBuffer, OpState, op2};
use serde::Deserialize;

use super::{ShellCommand, ShellError};
use crate::engine::{OpError, Shared};
use crate::{ErrorCode, HostError};

/// A command with its options from the script.
#[derive(Deserialize)]
struct Request {
    command: String,
    /// Relative to the project.
    cwd: Option<String>,
    /// Added to the environment; a name without a value is removed from it.
    env: BTreeMap<String, Option<String>>,
    has_stdin: bool,
    pipefail: bool,
    timeout_ms: Option<f64>,
}

/// Runs a command; returns its output as JSON.
#[op2]
#[string]
pub(crate) async fn op_process_run(
    state: Rc<RefCell<OpState>>,
    #[smi] call: u32,
    #[string] request: String,
    #[buffer] stdin: JsBuffer,
    #[smi] abort: u32,
) -> Result<String, OpError> {
    let shared = state.borrow().borrow::<Rc<Shared>>().clone();
    let request: Request = serde_json::from_str(&request).map_err(|error| HostError::invalid(error.to_string()))?;
    let Request { command, cwd, env: changed, has_stdin, pipefail, timeout_ms } = request;
    let options = &shared.options;
    let mut env = options.env.clone();
    for (name, value) in changed {
        match value {
            Some(value) => env.insert(name, value),
            None => env.remove(&name),
        };
    }
    let directory = match (&options.root, cwd) {
        (Some(root), Some(cwd)) => Some(root.join(cwd)),
        (None, Some(cwd)) => Some(cwd.into()),
        (root, None) => root.clone(),
    };
    let shell = ShellCommand {
        text: command.clone(),
        directory: directory.clone(),
        env,
        stdin: has_stdin.then(|| stdin.to_vec()),
        pipefail,
        output_bytes: options.limits.output_bytes,
        limit: timeout_ms.map(|milliseconds| Duration::from_millis(milliseconds as u64)),
    };
    let running = async {
        let output = shell.run().await.map_err(|error| failed(&error, directory.as_deref()))?;
        match timeout_ms.filter(|_| output.timed_out) {
            Some(limit) => {
                let message = format!("`{command}` took longer than {limit} ms");
                Err(HostError::new(message).with_code(ErrorCode::Timeout))
            }
            None => Ok(output),
        }
    };
    let output = shared.until_aborted(call, abort, running).await?;
    let json = serde_json::json!({
        "code": output.code,
        "stdout": String::from_utf8_lossy(&output.stdout),
        "stderr": String::from_utf8_lossy(&output.stderr),
        "truncated": output.truncated,
    });
    Ok(json.to_string())
}

/// Why a command was not run.
fn failed(error: &ShellError, directory: Option<&Path>) -> HostError {
    match (error, directory) {
        (ShellError::NoPipefail, _) => HostError::unsupported(error.to_string()),
        // The system has the same error for a missing folder and a missing program.
        (ShellError::Shell(_), Some(folder)) if !folder.is_dir() => {
            HostError::invalid(format!("cannot run a command in `{}`: it is not a folder", folder.display()))
        }
        _ => HostError::from_error(error),
    }
}
