//! Secrets and configs: how secrets are encrypted, and how a task's node gets what its tasks use.
//!
//! ```text
//! disco secret set ──> leader: seal ──> ValueVersionRecord, on every node, encrypted
//!                                                │
//! the node of a task ──TaskValues──> a voter: open, if that node has such a task
//! ```
//!
//! Invariants:
//! - A key is on a majority of the voters before anything is encrypted by it, so no single death loses it.
//! - A ciphertext is valid for one name and one version alone: put under another one, it cannot be opened.
//! - A node without a vote gets no key, and of the values those of its own tasks.

mod deliver;
mod keys;
mod seal;

pub use deliver::{fetch, values_of};
pub use keys::{complete, current, hand_over, lacking, share};
pub use seal::{Sealer, Value};
