//! Values of `cluster.kv`.

/// A selection of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvSelect {
    /// The key, or the keys' prefix.
    pub key: Vec<u8>,
    /// Every key that begins with `key`.
    pub prefix: bool,
    /// The most entries; 0: no limit.
    pub limit: u32,
}

/// A key with its value and metadata.
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
    /// The lease that it is attached to, or 0.
    pub lease: i64,
}

/// A write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvPut {
    /// The key.
    pub key: Vec<u8>,
    /// Its new value.
    pub value: Vec<u8>,
    /// The lease to attach it to, or 0.
    pub lease: i64,
}

/// The result of a delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KvDeleted {
    /// The store's revision after it.
    pub revision: i64,
    /// Number of keys.
    pub deleted: i64,
}

/// A change, delivered by a watch.
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

/// A transaction: comparisons, then one list of steps or the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvTxn {
    /// The comparisons, which must all hold.
    pub compare: Vec<KvCompare>,
    /// The steps if they hold.
    pub success: Vec<KvOp>,
    /// The steps if they do not.
    pub failure: Vec<KvOp>,
}

/// A comparison. A missing key has version and revisions 0 and no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvCompare {
    /// The key.
    pub key: Vec<u8>,
    /// How the stored value must relate to `target`.
    pub operator: KvOperator,
    /// What is compared, and with what.
    pub target: KvTarget,
}

/// A comparison operator, with the stored value on the left.
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

/// The field and the value to compare with.
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

/// The result of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvTxnResult {
    /// Whether the comparisons held.
    pub succeeded: bool,
    /// The store's revision after it.
    pub revision: i64,
    /// The result of each step, in order.
    pub responses: Vec<KvOpResult>,
}

/// The result of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KvOpResult {
    /// What was read.
    Get(Vec<KvEntry>),
    /// Written.
    Put,
    /// Number of keys deleted.
    Delete(i64),
}
