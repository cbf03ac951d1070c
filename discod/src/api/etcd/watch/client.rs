//! One stream of watches: a client's requests in, answers out.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use disco_proto::etcdserverpb::watch_request::RequestUnion;
use disco_proto::etcdserverpb::{WatchCreateRequest, WatchRequest, WatchResponse};
use disco_store::Store;
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::fragments::fragments;
use super::watcher::Watcher;
use super::watchers::Watchers;
use crate::api::Answers;
use crate::api::etcd::{EtcdService, errors};

/// Batches of answers that may be queued for a slow client.
const UNDER_WAY: usize = 4;
/// Requests that are read together, and answered in one batch.
const TOGETHER: usize = 256;
/// A client that reads nothing for this long is disconnected: what is queued for it takes memory.
const SLOW: Duration = Duration::from_secs(60);
/// How often a watcher that requested progress receives it while nothing changes; as etcd's.
const PROGRESS: Duration = Duration::from_secs(10 * 60);
/// The watch id of answers that concern no watcher, or all.
const NO_ID: i64 = -1;

type Batch = Vec<Result<WatchResponse, Status>>;
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
    answers: mpsc::Sender<Batch>,
    watchers: Watchers,
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
    let revision = service.node.raft().store().read(Store::revision);
    let client = Client { service, remote, answers, watchers: Watchers::new(revision), progress_wanted: false };
    tokio::spawn(async move {
        let end = client.run(requests).await;
        if let (Ok(last_word), End::Slow) = (last_word, end) {
            last_word.send(vec![Err(Status::resource_exhausted(format!(
                "etcdserver: watch canceled: the client read nothing for {} s",
                SLOW.as_secs()
            )))]);
        }
    });
    Box::pin(ReceiverStream::new(receiver).flat_map(stream::iter))
}

// === impl Client ===

impl Client {
    async fn run(mut self, requests: Requests) -> End {
        // All that have arrived: a client creates thousands of watches at once, and each unread request counts against
        // its connection's budget.
        let mut requests = requests.ready_chunks(TOGETHER);
        let mut revisions = self.service.node.raft().store().revisions();
        let mut ticks = tokio::time::interval_at(Instant::now() + PROGRESS, PROGRESS);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut asking = true;
        loop {
            let revision = *revisions.borrow_and_update();
            while !self.service.view(|view| self.watchers.catch_up(view)) {}
            let behind = self.watchers.next_behind();
            if behind.is_none()
                && std::mem::take(&mut self.progress_wanted)
                && let Err(end) = self.send_progress(revision).await
            {
                return end;
            }
            let step = tokio::select! {
                together = requests.next(), if asking => match together {
                    Some(together) => self.take_all(together).await,
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

    /// Handles the requests in their order, and sends their answers together.
    async fn take_all(&mut self, requests: Vec<Result<WatchRequest, Status>>) -> Result<(), End> {
        let mut answers = Batch::new();
        for request in requests {
            match request {
                Ok(request) => answers.extend(self.take(request).map(Ok)),
                Err(_) => return Err(End::Gone),
            }
        }
        self.send_all(answers).await
    }

    fn take(&mut self, request: WatchRequest) -> Option<WatchResponse> {
        match request.request_union {
            Some(RequestUnion::CreateRequest(create)) => Some(self.create(create)),
            Some(RequestUnion::CancelRequest(cancel)) => {
                let existed = self.watchers.remove(cancel.watch_id);
                existed.then(|| WatchResponse { canceled: true, ..self.answer(cancel.watch_id) })
            }
            Some(RequestUnion::ProgressRequest(_)) => {
                self.progress_wanted = !self.watchers.is_empty();
                None
            }
            // A request of a newer version of the protocol.
            None => None,
        }
    }

    fn create(&mut self, create: WatchCreateRequest) -> WatchResponse {
        let taken = create.watch_id != 0 && self.watchers.contains(create.watch_id);
        let refused = Watcher::refuse(&create).or(taken.then_some(errors::DUPLICATE_WATCH));
        let place = match refused {
            Some(reason) => Err(reason),
            None => self.service.watches.take(self.remote).ok_or(errors::TOO_MANY_REQUESTS),
        };
        let place = match place {
            Ok(place) => place,
            Err(reason) => {
                return WatchResponse {
                    created: true,
                    canceled: true,
                    cancel_reason: reason.to_owned(),
                    ..self.answer(NO_ID)
                };
            }
        };
        let id = if create.watch_id == 0 { self.watchers.free_id() } else { create.watch_id };
        let revision = self.service.node.raft().store().read(Store::revision);
        self.watchers.insert(id, Watcher::new(create, revision, place));
        WatchResponse { header: self.service.header(revision), created: true, ..self.answer(id) }
    }

    /// Sends a watcher part of what it lacks.
    async fn send_events(&mut self, id: i64) -> Result<(), End> {
        let Some(watcher) = self.watchers.serve(id) else { return Ok(()) };
        match self.service.view(|view| watcher.read(view)) {
            Ok(batch) => {
                let divide = watcher.fragments;
                watcher.was_served |= !batch.events.is_empty();
                self.watchers.served(id);
                if batch.events.is_empty() {
                    return Ok(());
                }
                let header = self.service.header(batch.revision);
                let answer = WatchResponse { header, events: batch.events, ..self.answer(id) };
                let parts = if divide { fragments(answer) } else { vec![answer] };
                for part in parts {
                    self.send(part).await?;
                }
                Ok(())
            }
            Err(compacted) => {
                self.watchers.remove(id);
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
        for id in self.watchers.idle() {
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
        self.send_all(vec![Ok(answer)]).await
    }

    async fn send_all(&self, answers: Batch) -> Result<(), End> {
        if answers.is_empty() {
            return Ok(());
        }
        match tokio::time::timeout(SLOW, self.answers.send(answers)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Gone),
            Err(_) => {
                tracing::info!(remote = ?self.remote, "disconnected a watch client that stopped reading");
                Err(End::Slow)
            }
        }
    }
}
