//! A backup becomes the state of a new cluster's first node.
//!
//! All keys are restored with their revisions, except what belongs to the machines of the old cluster: nodes, machines,
//! tokens, certificates and the provider stay as the new cluster has them. Done before Raft opens the files, as one log
//! entry could not hold it.

use std::io;
use std::path::{Path, PathBuf};

use disco_proto::v1::{Command, DeleteRangeRequest, KeyValue, PutRequest, RangeRequest, command::Operation};
use disco_store::typed::keys;
use disco_store::{Limits, SYSTEM_PREFIX, Store, prefix_end};

use super::offline::Offline;

/// The file in the data folder that requests it for the next start: a store's snapshot.
const FILE: &str = "restore.snapshot";

/// Disco's own records that are content, and are restored.
const CONTENT: [&str; 14] = [
    keys::SCRIPT,
    keys::SCRIPTS,
    keys::DEPLOYMENTS,
    keys::BLOBS,
    keys::EVENTS,
    keys::NEXT_EVENT,
    keys::EVENT_CURSOR,
    keys::STACKS,
    keys::SERVICES,
    keys::GROUPS,
    keys::NEXT_GROUP,
    keys::VALUES,
    keys::VALUE_VERSIONS,
    keys::NEXT_VALUE,
];

/// Records that neither cluster keeps: tasks run on the machines of one, and are of versions of the other. The leader starts
/// new ones, and nodes end those without a record. Ids go on from those of the machines' cluster, whose folders have them.
const NEITHER: [&str; 2] = [keys::TASKS, keys::TASK_STATES];

/// Path of a backup for the node's next start.
#[must_use]
pub fn place(data_dir: &Path) -> PathBuf {
    data_dir.join(FILE)
}

/// Checks that a file is a store's snapshot that can be restored, and returns its revision.
///
/// # Errors
/// Why it cannot be restored.
pub fn check(path: &Path, limits: Limits) -> io::Result<i64> {
    let store = read(path, limits)?;
    let (format, own) = (super::records::format(&store), disco_proto::format::own());
    if format > own {
        let why = format!("the backup has format {format}; this `discod` reads formats up to {own}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    Ok(store.revision())
}

fn read(path: &Path, limits: Limits) -> io::Result<Store> {
    let file = io::BufReader::new(fs_err::File::open(path)?);
    Store::decode_snapshot(limits, file).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))
}

/// Whether it was requested.
pub(super) fn is_requested(data_dir: &Path) -> io::Result<bool> {
    place(data_dir).try_exists()
}

/// Performs the restore. Interrupted, it is repeated at the next start.
pub(super) async fn run(data_dir: &Path, limits: Limits, mut node: Offline) -> io::Result<()> {
    let mut restored = read(&place(data_dir), limits)?;
    merge(&mut restored, &node.store, node.last.committed_leader_id().term)?;
    let revision = restored.revision();
    node.store = restored;
    node.persist().await?;
    fs_err::remove_file(place(data_dir))?;
    tracing::info!(revision, "restored a backup");
    Ok(())
}

/// Copies the present store's records about machines into the restored store.
fn merge(restored: &mut Store, present: &Store, term: u64) -> io::Result<()> {
    for kv in machines(restored)? {
        let delete = DeleteRangeRequest { key: kv.key, ..DeleteRangeRequest::default() };
        restored.apply(term, &command(Operation::DeleteRange(delete)));
    }
    let is_kept = |kv: &KeyValue| !NEITHER.iter().any(|prefix| kv.key.starts_with(prefix.as_bytes()));
    for kv in machines(present)?.into_iter().filter(is_kept) {
        let put = PutRequest { key: kv.key, value: kv.value, ..PutRequest::default() };
        restored.apply(term, &command(Operation::Put(put)));
    }
    Ok(())
}

fn command(operation: Operation) -> Command {
    Command { operation: Some(operation), ..Command::default() }
}

/// Disco's own records that belong to machines.
fn machines(store: &Store) -> io::Result<Vec<KeyValue>> {
    let (key, range_end) = (SYSTEM_PREFIX.into(), prefix_end(SYSTEM_PREFIX).into());
    let request = RangeRequest { key, range_end, ..RangeRequest::default() };
    let answer = store.range(&request).map_err(|error| io::Error::other(error.to_string()))?;
    let is_content = |kv: &KeyValue| CONTENT.iter().any(|content| kv.key.starts_with(content.as_bytes()));
    Ok(answer.kvs.into_iter().filter(|kv| !is_content(kv)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(store: &mut Store, key: &str, value: &str) {
        let put = PutRequest { key: key.to_owned().into(), value: value.to_owned().into(), ..PutRequest::default() };
        store.apply(1, &command(Operation::Put(put)));
    }

    fn value(store: &Store, key: &str) -> Option<(i64, String)> {
        let request = RangeRequest { key: key.to_owned().into(), ..RangeRequest::default() };
        let kv = store.range(&request).unwrap().kvs.pop()?;
        Some((kv.mod_revision, String::from_utf8_lossy(&kv.value).into_owned()))
    }

    #[test]
    fn keys_and_scripts_are_restored_and_machines_remain() {
        let (mut old, mut new) = (Store::new(Limits::default()), Store::new(Limits::default()));
        for (key, text) in
            [("a", "1"), ("a", "2"), ("/disco/nodes/1", "old"), ("/disco/nodes/9", "old"), (keys::SCRIPT, "s")]
        {
            put(&mut old, key, text);
        }
        let (group, task) = (keys::group(1), keys::task(7));
        put(&mut old, &group, "g");
        put(&mut old, &keys::task(6), "old");
        put(&mut old, keys::NEXT_TASK, "7");
        put(&mut new, &task, "of a group of the new cluster");
        put(&mut new, keys::NEXT_TASK, "8");
        put(&mut new, "/disco/nodes/1", "new");
        put(&mut new, "a", "not wanted");
        let before = value(&old, "a");
        merge(&mut old, &new, 1).unwrap();
        assert_eq!(value(&old, "a"), before);
        assert_eq!(value(&old, "/disco/nodes/1").map(|found| found.1).as_deref(), Some("new"));
        assert_eq!(value(&old, "/disco/nodes/9"), None);
        assert_eq!(value(&old, keys::SCRIPT).map(|found| found.1).as_deref(), Some("s"));
        assert_eq!(value(&old, &group).map(|found| found.1).as_deref(), Some("g"));
        assert_eq!((value(&old, &keys::task(6)), value(&old, &task)), (None, None));
        assert_eq!(value(&old, keys::NEXT_TASK).map(|found| found.1).as_deref(), Some("8"));
    }
}
