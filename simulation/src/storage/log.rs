//! openraft's log on the disk.

use std::fmt::Debug;
use std::io;
use std::ops::RangeBounds;

use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{OptionalSend, RaftLogReader};

use super::disk::{Change, Disk};
use crate::bug::Bug;
use crate::events::{Event, Observer};
use crate::types::{Entry, LogId, TypeConfig, Vote, leader_of, place};

/// The log of one node.
#[derive(Clone)]
pub struct Log {
    /// The node's id.
    pub node: u64,
    /// The disk.
    pub disk: Disk,
    /// The observer of its changes.
    pub observer: Observer,
    /// The bug to reintroduce.
    pub bug: Option<Bug>,
}

impl RaftLogReader<TypeConfig> for Log {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<Entry>> {
        Ok(self.disk.read(|image| {
            let entries = image.log.iter().filter(|(index, _)| range.contains(index));
            entries.map(|(_, entry)| entry.clone()).collect()
        }))
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.disk.read(|image| image.vote))
    }
}

impl RaftLogStorage<TypeConfig> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        Ok(self.disk.read(|image| LogState { last_purged_log_id: image.purged, last_log_id: image.last() }))
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        if self.bug == Some(Bug::VoteNotDurable) {
            self.disk.submit(Change::Vote(*vote), None);
        } else {
            self.disk.write(Change::Vote(*vote)).await?;
        }
        self.observer.tell(Event::Voted { node: self.node, leader: leader_of(vote) });
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        if let Some(committed) = committed {
            self.disk.submit(Change::Committed(committed), None);
        }
        Ok(())
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.disk.read(|image| image.committed))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let mut before = entries.first().and_then(|first| {
            let before = first.log_id.index.checked_sub(1)?;
            self.disk.read(|image| {
                let entry = image.log.get(&before).map(|entry| entry.log_id);
                entry.or(image.purged.filter(|purged| purged.index == before))
            })
        });
        for entry in &entries {
            self.observer.tell(Event::appended(self.node, entry, before.as_ref()));
            before = Some(entry.log_id);
        }
        if self.bug == Some(Bug::AppendNotDurable) {
            self.disk.submit(Change::Append(entries), None);
            callback.io_completed(Ok(()));
        } else {
            self.disk.submit(Change::Append(entries), Some(Box::new(move |result| callback.io_completed(result))));
        }
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        let first = last.map_or(0, |id| id.index + 1);
        self.observer.tell(Event::Truncated { node: self.node, first });
        self.disk.write(Change::TruncateFrom(first)).await
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        self.observer.tell(Event::Purged { node: self.node, upto: place(&upto) });
        self.disk.write(Change::Purge(upto)).await
    }
}
