//! The replicated state of a cluster: an ordered key-value store with revisions, as etcd's v3 API has it.
//!
//! [`Store::apply`] takes the commands of the log one by one. The crate is pure: no clock, no I/O, no threads, no
//! randomness, no map with unspecified order (`clippy.toml` bans them). The result depends on nothing but the commands,
//! their terms and [`Limits`], to the last byte of a snapshot; nodes that applied the same log are identical.
//!
//! # Invariants
//! - A store starts at revision 1. A command that changes anything creates exactly one new revision, whatever it
//!   changes; within it changes have an order, and no key changes twice.
//! - A [refused](Refused) command changes nothing but the remembered answers and, if space is missing, the
//!   [alarm](Store::is_full). A command either runs as a whole or is refused.
//! - Ranges at, and watches from, every revision since the [compaction revision](Store::compact_revision) can be
//!   answered.
//! - A key is attached to a lease exactly if its newest version names it.
//! - A command with [`users_only`](disco_proto::v1::Command::users_only), and a [`View`] of [`Scope::Users`], neither
//!   read nor delete keys below `/disco/`.
//! - A command with a remembered request id changes nothing and returns the first answer; an answer larger than
//!   [`Limits::remembered_answer_bytes`] is returned without key-value pairs.
//!
//! # Differences from etcd
//! - Stricter for transactions that change a key twice: a nested deletion after a put by an earlier sibling is refused
//!   too.
//! - A comparison must name its target; etcd takes an absent target for the version 0.
//! - The first compaction must be at revision 1 or later.
//! - Keys below `/disco/` have a [reserve](Limits::reserve_bytes) beyond the quota, and the alarm does not concern
//!   them.

mod answers;
mod change_log;
mod compaction;
mod hash;
mod history;
mod key_range;
mod keyspace;
mod lease_clock;
mod leases;
mod limits;
mod read;
mod refused;
mod scope;
mod shared;
mod snapshot;
mod store;
mod txn;
pub mod typed;
mod validate;
mod watch;
mod write;

pub use compaction::{Ages, CompactionPolicy};
pub use hash::KvHash;
pub use key_range::{KeyRange, matches, prefix_end, prefix_range};
pub use lease_clock::LeaseClock;
pub use leases::Lease;
pub use limits::{Limits, SYSTEM_END, SYSTEM_PREFIX, SYSTEM_PREFIX_TEXT};
pub use read::ReadError;
pub use refused::Refused;
pub use scope::{Scope, View};
pub use snapshot::SnapshotError;
pub use store::{Applied, Store};
pub use validate::{LEASE_TTL_MAX, validate};
pub use watch::{Compacted, History, RevisionEvents};
