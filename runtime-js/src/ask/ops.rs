//! What `ask.js` calls.

use std::cell::RefCell;
use std::rc::Rc;

use deno_core::{OpState, op2};

use crate::engine::{OpError, Shared};
use crate::{HostError, Json};

/// Returns the answer as JSON. `default` is JSON, or empty for none.
#[op2]
#[string]
pub(crate) async fn op_ask(
    state: Rc<RefCell<OpState>>,
    #[smi] call: u32,
    #[string] question: String,
    #[string] default: String,
) -> Result<String, OpError> {
    let shared = state.borrow().borrow::<Rc<Shared>>().clone();
    let prompt = shared.options.hosts.prompt.clone();
    let prompt =
        prompt.ok_or_else(|| HostError::unsupported("`ask` works in client.js only: no operator is here to answer"))?;
    let default: Option<Json> = serde_json::from_str(&default).ok();
    let answer = shared.host(call, async move { prompt.ask(&question, default).await }).await?;
    Ok(answer.to_string())
}
