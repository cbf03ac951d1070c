//! One stream of watches: a client's requests in, answers out.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use disco_proto::etcdserverpb::watch_request::RequestUnion;
use disco_proto::etcdserverpb::{WatchCreateRequest, WatchRequest, WatchResponse};
use disco_store::Store;
use futures_util::{Stream, StreamExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::fragments::fragments;
use super::watcher::Watcher;
use crate::api::Answers;
use crate::api::etcd::{EtcdService, errors};

/// Answers that may be queued for a slow client.
const UNDER_WAY: usize = 4;
/// A client that reads nothing for this long is disconnected: what is queued for it takes memory.
const SLOW: Duration = Duration::from_secs(60);
/// How often a watcher that requested progress receives it while nothing changes; as etcd's.
const PROGRESS: Duration = Duration::from_secs(10 * 60);
/// The watch id of answers that concern no watcher, or all.
const NO_ID: i64 = -1;

type Requests = Pin<Box<dyn Stream<Item = Result<WatchRequest, Status>> + Send>>;

/// Why a stream ends.
#[derive(PartialEq)]
enum End {
    /// The client has disconnected, or this node stops.
    Gone,
    /// The client has stopped reading.
    Slow,
}

struct Client {
    service: EtcdService,
    remote: Option<SocketAddr>,
    answers: mpsc::Sender<Result<WatchResponse, Status>>,
    watchers: BTreeMap<i64, Watcher>,
    /// Where to search for the next free id.
    next_id: i64,
    /// The watcher that was served last: the next one that lags is served next.
    last_served: i64,
    /// The client requested progress.
    progress_wanted: bool,
}

/// Serves the requests until the client disconnects.
pub(super) async fn start(
    service: EtcdService,
    remote: Option<SocketAddr>,
    requests: Requests,
) -> Answers<WatchResponse> {
    let (answers, receiver) = mpsc::channel(UNDER_WAY + 1);
    // One place is reserved for the final answer, which a client that is disconnected must get.
    let last_word = answers.clone().reserve_owned().await;
    let client = Client {
        service,
        remote,
        answers,
        watchers: BTreeMap::new(),
        next_id: 0,
        last_served: NO_ID,
        progress_wanted: false,
    };
    tokio::spawn(async move {
        let end = client.run(requests).await;
        if let (Ok(last_word), End::Slow) = (last_word, end) {
            last_word.send(Err(Status::resource_exhausted(format!(
                "etcdserver: watch canceled: the client read nothing for {} s",
                SLOW.as_secs()
            ))));
        }
    });
    Box::pin(ReceiverStream::new(receiver))
}

// === impl Client ===

impl Client {
    async fn run(mut self, mut requests: Requests) -> End {
        let mut revisions = self.service.node.raft().store().revisions();
        let mut ticks = tokio::time::interval_at(Instant::now() + PROGRESS, PROGRESS);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut asking = true;
        loop {
            let revision = *revisions.borrow_and_update();
            let behind = self.next_behind(revision);
            if behind.is_none()
                && std::mem::take(&mut self.progress_wanted)
                && let Err(end) = self.send_progress(revision).await
            {
                return end;
            }
            let step = tokio::select! {
                request = requests.next(), if asking => match request {
                    Some(Ok(request)) => self.take(request).await,
                    Some(Err(_)) => Err(End::Gone),
                    // The client sends no more requests but still reads.
                    None => {
                        asking = false;
                        Ok(())
                    }
                },
                () = std::future::ready(()), if behind.is_some() => self.send_events(behind.unwrap_or(NO_ID)).await,
                changed = revisions.changed(), if behind.is_none() => changed.map_err(|_| End::Gone),
                _ = ticks.tick() => self.send_idle_progress(revision).await,
                () = self.answers.closed() => Err(End::Gone),
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    /// The next watcher that lags, in round-robin order.
    fn next_behind(&self, revision: i64) -> Option<i64> {
        let after = self.watchers.range(self.last_served.saturating_add(1)..);
        let before = self.watchers.range(..=self.last_served);
        after.chain(before).find(|(_, watcher)| watcher.next <= revision).map(|(id, _)| *id)
    }

    async fn take(&mut self, request: WatchRequest) -> Result<(), End> {
        match request.request_union {
            Some(RequestUnion::CreateRequest(create)) => self.create(create).await,
            Some(RequestUnion::CancelRequest(cancel)) => {
                if self.watchers.remove(&cancel.watch_id).is_none() {
                    return Ok(());
                }
                let answer = WatchResponse { canceled: true, ..self.answer(cancel.watch_id) };
                self.send(answer).await
            }
            Some(RequestUnion::ProgressRequest(_)) => {
                self.progress_wanted = !self.watchers.is_empty();
                Ok(())
            }
            // A request of a newer version of the protocol.
            None => Ok(()),
        }
    }

    async fn create(&mut self, create: WatchCreateRequest) -> Result<(), End> {
        let taken = create.watch_id != 0 && self.watchers.contains_key(&create.watch_id);
        let refused = Watcher::refuse(&create).or(taken.then_some(errors::DUPLICATE_WATCH));
        let place = match refused {
            Some(reason) => Err(reason),
            None => self.service.places.take(self.remote).ok_or(errors::TOO_MANY_REQUESTS),
        };
        let place = match place {
            Ok(place) => place,
            Err(reason) => {
                let answer = WatchResponse {
                    created: true,
                    canceled: true,
                    cancel_reason: reason.to_owned(),
                    ..self.answer(NO_ID)
                };
                return self.send(answer).await;
            }
        };
        let id = if create.watch_id == 0 { self.free_id() } else { create.watch_id };
        let revision = self.service.node.raft().store().read(Store::revision);
        self.watchers.insert(id, Watcher::new(create, revision, place));
        let answer = WatchResponse { header: self.service.header(revision), created: true, ..self.answer(id) };
        self.send(answer).await
    }

    fn free_id(&mut self) -> i64 {
        while self.watchers.contains_key(&self.next_id) {
            self.next_id += 1;
        }
        self.next_id += 1;
        self.next_id - 1
    }

    /// Sends a watcher part of what it lacks.
    async fn send_events(&mut self, id: i64) -> Result<(), End> {
        self.last_served = id;
        let Some(watcher) = self.watchers.get_mut(&id) else { return Ok(()) };
        match self.service.node.raft().store().read(|store| watcher.read(store)) {
            Ok(batch) if batch.events.is_empty() => Ok(()),
            Ok(batch) => {
                watcher.was_served = true;
                let divide = watcher.fragments;
                let header = self.service.header(batch.revision);
                let answer = WatchResponse { header, events: batch.events, ..self.answer(id) };
                let parts = if divide { fragments(answer) } else { vec![answer] };
                for part in parts {
                    self.send(part).await?;
                }
                Ok(())
            }
            Err(compacted) => {
                self.watchers.remove(&id);
                let answer = WatchResponse {
                    canceled: true,
                    compact_revision: compacted.compact_revision,
                    cancel_reason: errors::COMPACTED.to_owned(),
                    ..self.answer(id)
                };
                self.send(answer).await
            }
        }
    }

    /// All watchers have received everything up to this revision.
    async fn send_progress(&mut self, revision: i64) -> Result<(), End> {
        let answer = WatchResponse { header: self.service.header(revision), ..self.answer(NO_ID) };
        self.send(answer).await
    }

    /// Sends progress to idle watchers that requested it.
    async fn send_idle_progress(&mut self, revision: i64) -> Result<(), End> {
        let mut idle = Vec::new();
        for (id, watcher) in &mut self.watchers {
            let served = std::mem::take(&mut watcher.was_served);
            if watcher.wants_progress && !served && watcher.next > revision {
                idle.push(*id);
            }
        }
        for id in idle {
            let answer = WatchResponse { header: self.service.header(revision), ..self.answer(id) };
            self.send(answer).await?;
        }
        Ok(())
    }

    /// An empty answer to a watcher.
    fn answer(&self, watch_id: i64) -> WatchResponse {
        WatchResponse { header: self.service.header_now(), watch_id, ..WatchResponse::default() }
    }

    async fn send(&self, answer: WatchResponse) -> Result<(), End> {
        match tokio::time::timeout(SLOW, self.answers.send(Ok(answer))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Gone),
            Err(_) => {
                tracing::info!(remote = ?self.remote, "disconnected a watch client that stopped reading");
                Err(End::Slow)
            }
        }
    }
}
