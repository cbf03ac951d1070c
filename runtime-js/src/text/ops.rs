//! What `text.js` calls.

use deno_core::op2;

use crate::HostError;
use crate::engine::OpError;

/// Bytes as text; what is not UTF-8 is replaced, or an error if `fatal`.
#[op2]
#[string]
pub(crate) fn op_decode_utf8(#[buffer] bytes: &[u8], fatal: bool) -> Result<String, OpError> {
    if fatal {
        return match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(error) => Err(HostError::invalid(format!("not UTF-8: {error}")).into()),
        };
    }
    Ok(String::from_utf8_lossy(bytes).into_owned())
}
