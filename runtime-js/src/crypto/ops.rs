//! What `crypto.js` calls.

use deno_core::op2;

#[op2]
#[string]
pub(crate) fn op_random_uuid() -> String {
    uuid::Uuid::new_v4().to_string()
}
