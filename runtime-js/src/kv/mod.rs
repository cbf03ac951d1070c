//! `cluster.kv`: the replicated keys.

mod interface;
pub(crate) mod ops;
mod types;

pub use interface::{Kv, KvWatch};
pub use types::{
    KvCompare, KvDeleted, KvEntry, KvEvent, KvOp, KvOpResult, KvOperator, KvPut, KvSelect, KvTarget, KvTxn, KvTxnResult,
};
