//! Byte strings as stored.
//!
//! `Arc<[u8]>` rather than [`Bytes`]: half the size, which matters for a hundred thousand of them, no second allocation
//! once shared, and never a slice that keeps a whole received message alive.

use std::sync::Arc;

use bytes::Bytes;

/// From this size on, sharing is cheaper than copying: a shared [`Bytes`] costs an allocation too.
const SHARE_FROM_BYTES: usize = 512;

/// The same bytes for an answer.
pub(crate) fn to_bytes(shared: &Arc<[u8]>) -> Bytes {
    if shared.len() < SHARE_FROM_BYTES { Bytes::copy_from_slice(shared) } else { Bytes::from_owner(Arc::clone(shared)) }
}
