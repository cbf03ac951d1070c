//! What `process.js` calls.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use deno_core::{OpState, op2};

use super::run::run;
use crate::HostError;
use crate::engine::{OpError, Shared};

/// Runs a command; its output as JSON. A negative time limit is none.
#[op2]
#[string]
pub(crate) async fn op_process_run(
    state: Rc<RefCell<OpState>>,
    #[smi] call: u32,
    #[string] command: String,
    timeout_ms: f64,
    #[smi] abort: u32,
) -> Result<String, OpError> {
    let shared = state.borrow().borrow::<Rc<Shared>>().clone();
    let options = &shared.options;
    let running = async {
        let running = run(&command, options.root.as_deref(), &options.env, options.limits.output_bytes);
        if timeout_ms < 0.0 {
            return running.await;
        }
        match tokio::time::timeout(Duration::from_millis(timeout_ms as u64), running).await {
            Ok(result) => result,
            Err(_) => Err(HostError::new(format!("`{command}` took longer than {timeout_ms} ms")).with_code("TIMEOUT")),
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
