//! What `text.js` calls.

use deno_core::convert::Uint8Array;
use deno_core::op2;

use crate::HostError;
use crate::engine::OpError;

/// Decodes bytes to text; invalid UTF-8 is replaced, or an error if `fatal`.
#[op2]
#[string]
pub(crate) fn op_decode_utf8(#[buffer] bytes: &[u8], fatal: bool, #[number] start: usize) -> Result<String, OpError> {
    if fatal {
        return match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(error) => {
                let place = start + error.valid_up_to();
                Err(HostError::invalid(format!("not UTF-8 from byte {place} on")).into())
            }
        };
    }
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

/// The length of the text in UTF-8 bytes.
#[op2(fast)]
#[number]
pub(crate) fn op_utf8_length(#[string] text: &str) -> usize {
    text.len()
}

/// Writes the text as UTF-8 into a buffer of exactly its length.
#[op2(fast)]
pub(crate) fn op_utf8_into(#[string] text: &str, #[buffer] bytes: &mut [u8]) -> Result<(), OpError> {
    if bytes.len() != text.len() {
        return Err(HostError::invalid("the buffer does not have the length of the text").into());
    }
    bytes.copy_from_slice(text.as_bytes());
    Ok(())
}

/// Encodes bytes in hexadecimal: in JavaScript it would take an object for each byte.
#[op2]
#[string]
pub(crate) fn op_to_hex(#[buffer] bytes: &[u8]) -> String {
    hex::encode(bytes)
}

/// Decodes hexadecimal text.
#[op2]
pub(crate) fn op_from_hex(#[string] text: &str) -> Result<Uint8Array, OpError> {
    let bytes = hex::decode(text).map_err(|error| HostError::invalid(format!("not hexadecimal: {error}")))?;
    Ok(bytes.into())
}
