//! Maximum sizes of a command and of the whole store.

/// Prefix of Disco's own records: only Disco writes them, and they may use [`Limits::reserve_bytes`].
pub const SYSTEM_PREFIX: &[u8] = SYSTEM_PREFIX_TEXT.as_bytes();

/// [`SYSTEM_PREFIX`] as text.
pub const SYSTEM_PREFIX_TEXT: &str = "/disco/";

/// The first byte string above all keys below [`SYSTEM_PREFIX`].
pub const SYSTEM_END: &[u8] = b"/disco0";

/// Bounds that [`apply`](crate::Store::apply) enforces.
///
/// They determine the effect of a command, so they are part of the state machine: every node must use the same ones,
/// and a changed default must take effect at the same log entry on all nodes. Nodes use [`Limits::default`]; other
/// values are for tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Maximum size of a key in bytes.
    pub key_bytes: usize,
    /// Maximum size of a value in bytes.
    pub value_bytes: usize,
    /// Maximum number of comparisons, and of operations on any path, of a transaction; nested ones count.
    pub txn_operations: usize,
    /// Maximum nesting depth of transactions; 1 is a transaction without nested ones. Bounded because decoders recurse.
    pub txn_depth: usize,
    /// Maximum size of an encoded command in bytes. As etcd's `max-request-bytes`.
    pub command_bytes: usize,
    /// Maximum size of all keys with their retained history and all leases, in bytes as counted by
    /// [`Store::size_bytes`](crate::Store::size_bytes). A command that would exceed it is refused and raises the
    /// [alarm](crate::Store::is_full).
    pub quota_bytes: u64,
    /// Additional size for keys below [`SYSTEM_PREFIX`], so that a full store does not keep the cluster from managing
    /// itself.
    pub reserve_bytes: u64,
    /// Maximum number of answers remembered for repeated commands.
    pub remembered_answers: usize,
    /// Maximum total size of these answers as encoded, in bytes; the oldest are dropped first.
    pub remembered_bytes: usize,
    /// An answer larger than this as encoded is remembered without key-value pairs.
    pub remembered_answer_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // As in etcd, only the command's size bounds them.
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
