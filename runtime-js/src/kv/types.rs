//! Values of `cluster.kv`.

/// Which keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvSelect {
    /// The key, or what the keys begin with.
    pub key: Vec<u8>,
    /// Every key that begins with `key`.
    pub prefix: bool,
    /// At most so many; 0: no limit.
    pub limit: u32,
}

/// A key and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvEntry {
    /// The key.
    pub key: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
    /// Revision that created it.
    pub create_revision: i64,
    /// Revision of its last change.
    pub mod_revision: i64,
    /// Puts since its creation, from 1.
    pub version: i64,
    /// Lease that it lives with, or 0.
    pub lease: i64,
}

/// A write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvPut {
    /// The key.
    pub key: Vec<u8>,
    /// Its new value.
    pub value: Vec<u8>,
    /// Lease to live with, or 0.
    pub lease: i64,
}

/// What a delete did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KvDeleted {
    /// The store's revision after it.
    pub revision: i64,
    /// Number of keys.
    pub deleted: i64,
}

/// A change that a watch saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KvEvent {
    /// A key was written.
    Put(KvEntry),
    /// A key was deleted.
    Delete {
        /// The key.
        key: Vec<u8>,
        /// Revision of the delete.
        mod_revision: i64,
    },
}

/// Compare, then one list or the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvTxn {
    /// All must hold.
    pub compare: Vec<KvCompare>,
    /// Done when they do.
    pub success: Vec<KvOp>,
    /// Done when they do not.
    pub failure: Vec<KvOp>,
}

/// One comparison. A key that is absent has version and revisions 0 and no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvCompare {
    /// The key.
    pub key: Vec<u8>,
    /// How what is there must relate to `target`.
    pub operator: KvOperator,
    /// What is compared, and with what.
    pub target: KvTarget,
}

/// Left is what the store holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KvOperator {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `>`
    Greater,
    /// `<`
    Less,
}

/// What is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KvTarget {
    /// The value.
    Value(Vec<u8>),
    /// Puts since creation.
    Version(i64),
    /// Revision that created it.
    CreateRevision(i64),
    /// Revision of its last change.
    ModRevision(i64),
}

/// One step of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KvOp {
    /// Read.
    Get(KvSelect),
    /// Write.
    Put(KvPut),
    /// Delete.
    Delete(KvSelect),
}

/// What a transaction did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvTxnResult {
    /// Whether the comparisons held.
    pub succeeded: bool,
    /// The store's revision after it.
    pub revision: i64,
    /// One for each step done, in order.
    pub responses: Vec<KvOpResult>,
}

/// What one step did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KvOpResult {
    /// What was read.
    Get(Vec<KvEntry>),
    /// Written.
    Put,
    /// Number of keys deleted.
    Delete(i64),
}
