//! The disk as a node uses it: what [`disco_consensus`] requires of a disk, and reports to the observer.

use std::io;
use std::ops::Bound;
use std::sync::Arc;

use disco_consensus::codec;
use disco_consensus::disk::{Change, Disk as NodesDisk, Done, meta};
use disco_consensus::types::{Entry, LogId, SnapshotMeta, Vote};
use disco_store::{Limits, Store};

use super::disk::{Content, Disk, Write};
use crate::bug::Bug;
use crate::events::{Event, Observer};
use crate::types::{SnapshotBytes, leader_of, place};

/// A machine's disk, used by one node.
#[derive(Clone)]
pub struct NodeDisk {
    /// The node's id.
    pub node: u64,
    /// The disk.
    pub disk: Disk,
    /// The observer of its changes.
    pub observer: Observer,
    /// The bug to reintroduce.
    pub bug: Option<Bug>,
}

/// A snapshot, in memory.
#[derive(Clone)]
pub struct Snapshot {
    /// Empty for one that was received.
    name: String,
    content: Content,
}

// === impl Snapshot ===

impl Snapshot {
    /// One that another node has sent.
    pub fn received(meta: SnapshotMeta, bytes: SnapshotBytes) -> Self {
        Self { name: String::new(), content: Arc::new((meta, bytes)) }
    }

    /// What to send to another node.
    pub fn bytes(&self) -> &SnapshotBytes {
        &self.content.1
    }

    fn new(meta: SnapshotMeta, bytes: SnapshotBytes) -> Self {
        let name = meta.last_log_id.map_or_else(String::new, |id| format!("{:?}", place(&id)));
        Self { name, content: Arc::new((meta, bytes)) }
    }
}

// === impl NodeDisk ===

impl NodeDisk {
    /// Reports the entries, each with the one before it.
    fn tell_appended(&self, entries: &[(u64, Arc<[u8]>)]) -> io::Result<()> {
        let before = entries.first().and_then(|(first, _)| first.checked_sub(1));
        let mut before = before.map(|index| self.disk.seen(|image| image.id(index))).transpose()?.flatten();
        for (_, bytes) in entries {
            let entry: Entry = codec::decode(bytes)?;
            self.observer.tell(Event::appended(self.node, &entry, before.as_ref()));
            before = Some(entry.log_id);
        }
        Ok(())
    }

    /// Makes a snapshot durable.
    async fn save(&self, snapshot: Snapshot) -> io::Result<Snapshot> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        // The caller may be gone.
        let done = Box::new(move |result| drop(sender.send(result)));
        self.disk.submit(Write::Snapshot(snapshot.name.clone(), snapshot.content.clone()), Some(done));
        receiver.await.map_err(io::Error::other)??;
        Ok(snapshot)
    }
}

impl NodesDisk for NodeDisk {
    type Snapshot = Snapshot;

    fn stored(&self) -> u64 {
        self.disk.durable(|image| image.log.last_key_value().map_or(0, |(index, _)| index + 1))
    }

    async fn submit(&self, change: Change, done: Option<Done>) -> io::Result<()> {
        let node = self.node;
        match &change {
            Change::Append(entries) => {
                self.tell_appended(entries)?;
                if self.bug == Some(Bug::AppendNotDurable) {
                    self.disk.submit(Write::Change(change), None);
                    done.into_iter().for_each(|done| done(Ok(())));
                    return Ok(());
                }
            }
            Change::TruncateFrom(first) => self.observer.tell(Event::Truncated { node, first: *first }),
            Change::Purge { last, .. } => {
                let last = codec::decode::<LogId>(last)?;
                self.observer.tell(Event::Purged { node, upto: place(&last) });
            }
            Change::Set(meta::VOTE, vote) => {
                let leader = leader_of(&codec::decode::<Vote>(vote)?);
                let observer = self.observer.clone();
                let voted = move |result: io::Result<()>| {
                    if result.is_ok() {
                        observer.tell(Event::Voted { node, leader });
                    }
                    done.into_iter()
                        .for_each(|done| done(result.as_ref().copied().map_err(|error| error.kind().into())));
                };
                if self.bug == Some(Bug::VoteNotDurable) {
                    self.disk.submit(Write::Change(change), None);
                    voted(Ok(()));
                } else {
                    self.disk.submit(Write::Change(change), Some(Box::new(voted)));
                }
                return Ok(());
            }
            Change::Set(..) | Change::Committed(_) => {}
        }
        self.disk.submit(Write::Change(change), done);
        Ok(())
    }

    fn get(&self, key: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.disk.durable(|image| image.values.get(key).cloned()))
    }

    fn last(&self) -> io::Result<Option<(u64, Vec<u8>)>> {
        Ok(self.disk.durable(|image| image.log.last_key_value().map(|(index, bytes)| (*index, bytes.to_vec()))))
    }

    fn range(&self, start: Bound<u64>, end: Bound<u64>) -> io::Result<Vec<(u64, Vec<u8>)>> {
        let found: Vec<(u64, Vec<u8>)> = self
            .disk
            .durable(|image| image.log.range((start, end)).map(|(index, bytes)| (*index, bytes.to_vec())).collect());
        match found.iter().zip(found.iter().skip(1)).find(|((last, _), (next, _))| last + 1 != *next) {
            Some(((last, _), (next, _))) => Err(io::Error::other(format!("entry {next} follows entry {last}"))),
            None => Ok(found),
        }
    }

    async fn write_snapshot(&self, meta: SnapshotMeta, store: Store) -> io::Result<Snapshot> {
        self.save(Snapshot::new(meta, encode(&store)?)).await
    }

    async fn keep_snapshot(
        &self,
        meta: SnapshotMeta,
        received: Snapshot,
        limits: Limits,
    ) -> io::Result<(Snapshot, Store)> {
        let (_, store) = self.read_snapshot(&received, limits)?;
        let kept = if received.name.is_empty() { Snapshot::new(meta, received.content.1.clone()) } else { received };
        Ok((self.save(kept).await?, store))
    }

    fn read_snapshot(&self, snapshot: &Snapshot, limits: Limits) -> io::Result<(SnapshotMeta, Store)> {
        let (meta, bytes) = &*snapshot.content;
        let read = Store::decode_snapshot(limits, &mut &**bytes);
        let store = read.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
        Ok((meta.clone(), store))
    }

    async fn read_meta(&self, snapshot: &Snapshot) -> io::Result<SnapshotMeta> {
        Ok(snapshot.content.0.clone())
    }

    fn name(&self, snapshot: &Snapshot) -> String {
        snapshot.name.clone()
    }

    /// One without content, which cannot be read, if there is none of that name.
    fn named(&self, name: &str) -> Snapshot {
        let content = self.disk.durable(|image| image.snapshots.get(name).cloned());
        Snapshot { name: name.to_owned(), content: content.unwrap_or_default() }
    }

    fn remove_others(&self, retained: &Snapshot) {
        self.disk.submit(Write::RemoveOthers(retained.name.clone()), None);
    }
}

/// The store's own form of a snapshot: the same bytes on all nodes that applied the same.
pub fn encode(store: &Store) -> io::Result<SnapshotBytes> {
    let mut bytes = Vec::new();
    store.encode_snapshot(&mut bytes)?;
    Ok(bytes.into())
}
