//! What `net.js` calls.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use deno_core::convert::Uint8Array;
use deno_core::{JsBuffer, OpState, op2};

use super::connect;
use super::fetch::{FetchRequest, fetch, without_credentials};
use crate::engine::{OpError, Shared};
use crate::{ErrorCode, HostError};

/// The time limit of a `fetch` without one.
const DEFAULT_TIMEOUT_MS: f64 = 60_000.0;

/// `request` is JSON. Returns four bytes with the length of the head (big-endian), the head as JSON, the body.
#[op2]
pub(crate) async fn op_fetch(
    state: Rc<RefCell<OpState>>,
    #[smi] call: u32,
    #[string] request: String,
    #[buffer] body: JsBuffer,
    #[smi] abort: u32,
) -> Result<Uint8Array, OpError> {
    let shared = state.borrow().borrow::<Rc<Shared>>().clone();
    let request: FetchRequest =
        serde_json::from_str(&request).map_err(|error| HostError::invalid(error.to_string()))?;
    let (url, milliseconds) = (without_credentials(&request.url), request.timeout_ms.unwrap_or(DEFAULT_TIMEOUT_MS));
    let fetching = fetch(request, Bytes::copy_from_slice(&body), shared.options.limits.output_bytes);
    let (head, body) = shared.until_aborted(call, abort, limited(&url, milliseconds, fetching)).await?;
    let head = serde_json::json!(head).to_string();
    let mut answer = Vec::with_capacity(4 + head.len() + body.len());
    answer.extend_from_slice(&(head.len() as u32).to_be_bytes());
    answer.extend_from_slice(head.as_bytes());
    answer.extend_from_slice(&body);
    Ok(answer.into())
}

/// Connects and disconnects; returns the peer's address.
#[op2]
#[string]
pub(crate) async fn op_tcp_connect(
    state: Rc<RefCell<OpState>>,
    #[smi] call: u32,
    #[string] address: String,
    timeout_ms: f64,
) -> Result<String, OpError> {
    let shared = state.borrow().borrow::<Rc<Shared>>().clone();
    let connecting = async {
        let stream = connect::tcp(&address).await?;
        stream.peer_addr().map_err(|error| connect::io_error(&format!("connect to {address}"), &error))
    };
    let peer = shared.until_ended(call, limited(&address, timeout_ms, connecting)).await?;
    Ok(peer.to_string())
}

async fn limited<T>(
    what: &str,
    milliseconds: f64,
    future: impl Future<Output = Result<T, HostError>>,
) -> Result<T, HostError> {
    match tokio::time::timeout(Duration::from_millis(milliseconds as u64), future).await {
        Ok(result) => result,
        Err(_) => {
            Err(HostError::new(format!("{what} took longer than {milliseconds} ms")).with_code(ErrorCode::Timeout))
        }
    }
}
