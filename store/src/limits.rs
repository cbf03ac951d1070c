//! What a command and the store as a whole may measure.

/// Keys below it may use [`Limits::reserve_bytes`].
pub const SYSTEM_PREFIX: &[u8] = b"/disco/";

/// Bounds that [`apply`](crate::Store::apply) enforces.
///
/// They decide what a command does, so they are part of the state machine: every node must use the same ones, and a change
/// of a default is a change that all nodes have to make at the same log entry. Nodes use [`Limits::default`]; other
/// values are for tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest key, in bytes.
    pub key_bytes: usize,
    /// Largest value, in bytes.
    pub value_bytes: usize,
    /// Most comparisons, and most operations on any path, of a transaction; nested ones count.
    pub txn_operations: usize,
    /// How deep transactions may be nested; 1 is a transaction without nested ones. Bounded because decoders recurse.
    pub txn_depth: usize,
    /// Largest command as encoded, in bytes. As etcd's `max-request-bytes`.
    pub command_bytes: usize,
    /// What all keys with their kept history and all leases may take, in bytes as
    /// [`Store::size_bytes`](crate::Store::size_bytes) counts them. A command that would go beyond it is refused and raises
    /// the [alarm](crate::Store::is_full).
    pub quota_bytes: u64,
    /// What keys below [`SYSTEM_PREFIX`] may take on top, so that a full store does not stop the cluster from caring for
    /// itself.
    pub reserve_bytes: u64,
    /// How many answers are remembered for repeated commands, at most.
    pub remembered_answers: usize,
    /// What these may take together as encoded, in bytes; the oldest go first.
    pub remembered_bytes: usize,
    /// An answer that is larger than this as encoded is remembered without key-value pairs.
    pub remembered_answer_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // As in etcd, the command alone bounds them.
            key_bytes: 3 << 19,
            value_bytes: 3 << 19,
            txn_operations: 128,
            txn_depth: 32,
            command_bytes: 3 << 19,
            quota_bytes: 256 << 20,
            reserve_bytes: 16 << 20,
            remembered_answers: 8_192,
            remembered_bytes: 2 << 20,
            remembered_answer_bytes: 512,
        }
    }
}
