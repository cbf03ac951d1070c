use std::collections::VecDeque;

use async_trait::async_trait;
use disco_proto::v1::{Event, WatchResponse, event};
use disco_runtime_js::{
    HostError,
    kv::{KvEvent, KvSelect, KvWatch},
};
use tonic::Streaming;

use super::{
    failures::Failures,
    keys::{entry, first_key, range_end},
};
use crate::{
    client::{Client, compacted, from_status},
    error::Outcome,
};

/// A watch that continues at another node if its node is lost.
pub(super) struct ClientWatch {
    client: Client,
    select: KvSelect,
    stream: Streaming<WatchResponse>,
    /// First revision that was not received yet.
    next: i64,
    waiting: VecDeque<Event>,
    failures: Failures,
}

impl ClientWatch {
    pub(super) async fn start(client: Client, select: KvSelect, start: i64, failures: Failures) -> Outcome<Self> {
        let stream = client.watch(&first_key(&select), &range_end(&select), start).await?;
        let mut watch = Self { client, select, stream, next: start, waiting: VecDeque::new(), failures };
        // The first response contains the revision of "now". Until then, a lost node is replaced by another one.
        while watch.next == 0 {
            watch.more().await?;
        }
        Ok(watch)
    }

    async fn more(&mut self) -> Outcome<()> {
        match self.stream.message().await {
            Ok(Some(answer)) if answer.compact_revision > 0 => Err(compacted(answer.compact_revision)),
            Ok(Some(answer)) => {
                self.next = self.next.max(answer.revision + 1);
                self.waiting.extend(answer.events);
                Ok(())
            }
            Err(status) if !crate::client::passing(&status) => Err(from_status(&status)),
            Ok(None) | Err(_) => {
                self.client.drop_connection();
                let (key, end) = (first_key(&self.select), range_end(&self.select));
                self.stream = self.client.watch(&key, &end, self.next).await?;
                Ok(())
            }
        }
    }
}

#[async_trait]
impl KvWatch for ClientWatch {
    // Cancel-safe: received events are in `waiting` before the next await.
    async fn next(&mut self) -> Result<Option<KvEvent>, HostError> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                let deleted = event.r#type() == event::Type::Delete;
                let kv = event.kv.unwrap_or_default();
                return Ok(Some(if deleted {
                    KvEvent::Delete { key: kv.key.into(), mod_revision: kv.mod_revision }
                } else {
                    KvEvent::Put(entry(kv))
                }));
            }
            self.more().await.map_err(|failure| self.failures.for_script(failure))?;
        }
    }
}
