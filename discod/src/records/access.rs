//! The replicated records as an operation of the leader uses them. Tests use a store in memory instead of a cluster.

use std::future::Future;
use std::time::Duration;

use disco_proto::v1::CommandResponse;
use disco_proto::v1::command::Operation;
use disco_store::Store;
use disco_store::typed::{Txn, succeeded};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::get;
use crate::node::{Leader, Node, WriteError};

/// Reads of the applied state, and writes that are valid in the leader's term.
pub trait Records: Sync {
    /// Reads the state as this node has applied it.
    fn read<T>(&self, look: impl FnOnce(&Store) -> T) -> T;

    /// Proposes an operation, and returns once it is applied here: what a deposed leader proposes changes nothing.
    fn write(&self, operation: Operation) -> impl Future<Output = Result<CommandResponse, WriteError>> + Send;

    /// How long this node's state may lag behind a write of another node.
    fn lag(&self) -> Duration;
}

impl Records for Leader {
    fn read<T>(&self, look: impl FnOnce(&Store) -> T) -> T {
        self.raft().store().read(look)
    }

    async fn write(&self, operation: Operation) -> Result<CommandResponse, WriteError> {
        self.write_in_term(operation).await
    }

    fn lag(&self) -> Duration {
        lag(self)
    }
}

/// This node's records, written in one term, or in any.
pub(super) struct Written<'a> {
    pub(super) node: &'a Node,
    /// 0: any, also by forwarding to the leader.
    pub(super) term: u64,
}

impl Records for Written<'_> {
    fn read<T>(&self, look: impl FnOnce(&Store) -> T) -> T {
        self.node.raft().store().read(look)
    }

    async fn write(&self, operation: Operation) -> Result<CommandResponse, WriteError> {
        match self.term {
            0 => self.node.write(operation).await,
            term => self.node.write_in(term, operation).await,
        }
    }

    fn lag(&self) -> Duration {
        lag(self.node)
    }
}

fn lag(node: &Node) -> Duration {
    node.raft().pace().heartbeat() / 4
}

/// A change of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed<T> {
    /// The record that was replaced.
    pub before: T,
    /// The written record.
    pub after: T,
}

/// Changes a record as it is when it is written: if another writer changes it meanwhile, `change` sees the result, so that
/// neither change is lost. `None` if the record does not exist, or `change` leaves it as it is.
///
/// # Errors
/// See [`WriteError`].
pub async fn change<T: Serialize + DeserializeOwned + Send + Sync>(
    records: &impl Records,
    key: &str,
    change: impl Fn(&T) -> Option<T> + Send + Sync,
) -> Result<Option<Changed<T>>, WriteError> {
    loop {
        let Some(found) = records.read(|store| get::<T>(store, key)) else { return Ok(None) };
        let Some(after) = change(&found.value) else { return Ok(None) };
        let txn = Txn::new().expect(key, found.revision).put(key, &after);
        if succeeded(&records.write(txn.operation()).await?) {
            return Ok(Some(Changed { before: found.value, after }));
        }
    }
}

#[cfg(test)]
pub mod fake {
    //! Records in memory.

    use disco_proto::v1::Command;
    use disco_store::Limits;
    use parking_lot::Mutex;

    use super::*;

    /// A store without a cluster.
    pub struct FakeRecords {
        store: Mutex<Store>,
        /// Written by another writer just before the next write.
        meanwhile: Mutex<Vec<Operation>>,
    }

    impl Default for FakeRecords {
        fn default() -> Self {
            Self { store: Mutex::new(Store::new(Limits::default())), meanwhile: Mutex::default() }
        }
    }

    impl FakeRecords {
        /// Writes a record.
        pub fn put<T: Serialize>(&self, key: &str, record: &T) {
            self.apply(Txn::new().put(key, record).operation());
        }

        /// The record, if it exists.
        pub fn get<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
            get(&self.store.lock(), key).map(|found| found.value)
        }

        /// Has another writer write this record just before the next write.
        pub fn put_meanwhile<T: Serialize>(&self, key: &str, record: &T) {
            self.meanwhile.lock().push(Txn::new().put(key, record).operation());
        }

        fn apply(&self, operation: Operation) -> CommandResponse {
            let command = Command { operation: Some(operation), ..Command::default() };
            self.store.lock().apply(1, &command).response
        }
    }

    impl Records for FakeRecords {
        fn read<T>(&self, look: impl FnOnce(&Store) -> T) -> T {
            look(&self.store.lock())
        }

        async fn write(&self, operation: Operation) -> Result<CommandResponse, WriteError> {
            for other in std::mem::take(&mut *self.meanwhile.lock()) {
                self.apply(other);
            }
            Ok(self.apply(operation))
        }

        fn lag(&self) -> Duration {
            Duration::ZERO
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fake::FakeRecords;
    use super::*;
    use crate::records::{NodeRecord, keys};

    fn node(name: &str) -> NodeRecord {
        NodeRecord { id: 1, name: name.to_owned(), ..NodeRecord::default() }
    }

    #[tokio::test]
    async fn a_change_by_another_writer_is_not_lost() {
        let (records, key) = (FakeRecords::default(), keys::node(1));
        records.put(&key, &node("a"));
        records.put_meanwhile(&key, &NodeRecord { leaving: true, ..node("a") });
        let moved = |record: &NodeRecord| Some(NodeRecord { address: "10.0.0.1:1".to_owned(), ..record.clone() });
        let changed = change(&records, &key, moved).await.unwrap().unwrap();
        assert!(changed.before.leaving, "the second attempt sees the other change");
        let written: NodeRecord = records.get(&key).unwrap();
        assert_eq!((written.leaving, written.address.as_str()), (true, "10.0.0.1:1"));
        assert_eq!(changed.after, written);
    }

    #[tokio::test]
    async fn a_missing_record_and_one_that_is_right_are_left_alone() {
        let (records, key) = (FakeRecords::default(), keys::node(1));
        assert_eq!(change(&records, &key, |record: &NodeRecord| Some(record.clone())).await.unwrap(), None);
        records.put(&key, &node("a"));
        let revision = records.read(Store::revision);
        assert_eq!(change(&records, &key, |_: &NodeRecord| None).await.unwrap(), None);
        assert_eq!(records.read(Store::revision), revision);
    }
}
