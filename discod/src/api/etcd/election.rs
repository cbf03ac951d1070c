//! Elections among clients: the leader is the first client in the queue, and its key has the value that it proclaims.

use bytes::Bytes;
use disco_proto::v1::request_op::Request as Op;
use disco_proto::v1::{KeyValue, PutRequest};
use disco_proto::v3electionpb::election_server::Election;
use disco_proto::v3electionpb::{
    CampaignRequest, CampaignResponse, LeaderKey, LeaderRequest, LeaderResponse, ProclaimRequest, ProclaimResponse,
    ResignRequest, ResignResponse,
};
use disco_store::{ReadError, View};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::queue::{Queue, deletion, only_if};
use super::{EtcdService, errors};
use crate::api::Answers;

/// Answers that may be queued for a slow client.
const UNDER_WAY: usize = 4;
/// Events read at once, so that a stream that lags does not hold a lock for long.
const EVENTS_AT_ONCE: usize = 256;

/// The current leader, if there is one.
type Found = Result<Option<KeyValue>, ReadError>;

/// What one client observes, and what it received last.
struct Observer {
    service: EtcdService,
    queue: Queue,
    answers: mpsc::Sender<Result<LeaderResponse, Status>>,
    /// The key, and the revision of the value.
    last_sent: Option<(Bytes, i64)>,
}

impl EtcdService {
    async fn proclaim_value(&self, key: &Bytes, created: i64, value: Bytes) -> Result<i64, Status> {
        let put = PutRequest { key: key.clone(), value, ignore_lease: true, ..PutRequest::default() };
        let answer = self.write_txn(only_if(key, created, Op::Put(put), None)).await?;
        if answer.succeeded { Ok(answer.revision) } else { Err(errors::election_not_leader()) }
    }

    async fn campaign_for(&self, request: CampaignRequest) -> Result<CampaignResponse, Status> {
        let CampaignRequest { name, lease, value } = request;
        let queue = Queue::new(&name);
        let place = self.take_place(&queue, lease, value.clone()).await?;
        if place.value.as_ref().is_some_and(|before| *before != value) {
            self.proclaim_value(&place.key, place.revision, value).await?;
        }
        let revision = self.wait_until_first(&queue, &place).await?;
        let leader = LeaderKey { name, key: place.key, rev: place.revision, lease: place.lease };
        Ok(CampaignResponse { header: self.header(revision), leader: Some(leader) })
    }
}

/// The leadership that a client presents.
fn brought(leader: Option<LeaderKey>) -> Result<LeaderKey, Status> {
    let leader = leader.ok_or_else(errors::missing_leader_key)?;
    if leader.key.is_empty() { Err(errors::empty_key()) } else { Ok(leader) }
}

#[tonic::async_trait]
impl Election for EtcdService {
    type ObserveStream = Answers<LeaderResponse>;

    async fn campaign(&self, request: Request<CampaignRequest>) -> Result<Response<CampaignResponse>, Status> {
        self.admit(&request)?;
        let _open = self.stay(&request)?;
        Ok(Response::new(self.campaign_for(request.into_inner()).await?))
    }

    async fn proclaim(&self, request: Request<ProclaimRequest>) -> Result<Response<ProclaimResponse>, Status> {
        self.admit(&request)?;
        let ProclaimRequest { leader, value } = request.into_inner();
        let leader = brought(leader)?;
        let revision = self.proclaim_value(&leader.key, leader.rev, value).await?;
        Ok(Response::new(ProclaimResponse { header: self.header(revision) }))
    }

    async fn leader(&self, request: Request<LeaderRequest>) -> Result<Response<LeaderResponse>, Status> {
        self.admit(&request)?;
        self.barrier().await?;
        let queue = Queue::new(&request.into_inner().name);
        let look = |view: View<'_>| (view.revision(), queue.first(view, 0));
        let (revision, first) = self.view(look);
        let kv = first.map_err(errors::of_read)?.ok_or_else(errors::election_no_leader)?;
        Ok(Response::new(LeaderResponse { header: self.header(revision), kv: Some(kv) }))
    }

    async fn observe(&self, request: Request<LeaderRequest>) -> Result<Response<Self::ObserveStream>, Status> {
        self.admit(&request)?;
        let place = self.stay(&request)?;
        self.barrier().await?;
        let (answers, receiver) = mpsc::channel(UNDER_WAY);
        let metadata = request.metadata().clone();
        let queue = Queue::new(&request.into_inner().name);
        // Events after the client has its answer must not be missed.
        let (revision, first) = self.view(|view| (view.revision(), queue.first(view, 0)));
        let observer = Observer { service: self.clone(), queue, answers, last_sent: None };
        tokio::spawn(observer.run(revision, first));
        let answers = place.hold(Box::pin(ReceiverStream::new(receiver)));
        Ok(Response::new(self.leader.guard(&self.node, &metadata, answers)))
    }

    async fn resign(&self, request: Request<ResignRequest>) -> Result<Response<ResignResponse>, Status> {
        self.admit(&request)?;
        let leader = brought(request.into_inner().leader)?;
        // A client that is no longer the leader has resigned, as in etcd.
        let answer = self.write_txn(only_if(&leader.key, leader.rev, deletion(&leader.key), None)).await?;
        Ok(Response::new(ResignResponse { header: self.header(answer.revision) }))
    }
}

// === impl Observer ===

impl Observer {
    /// Sends `first`, the leader at `revision`, and all later ones.
    async fn run(mut self, revision: i64, first: Found) {
        if let Err(Some(status)) = self.observe(revision, first).await {
            // The stream ends in both cases.
            let _ = self.answers.send(Err(status)).await;
        }
    }

    /// Sends leaders until the client disconnects, which is `None`, or there is a reason to end.
    async fn observe(&mut self, revision: i64, first: Found) -> Result<(), Option<Status>> {
        let mut revisions = self.service.node.raft().store().revisions();
        let mut next = revision + 1;
        self.send(revision, first).await?;
        loop {
            let newest = *revisions.borrow_and_update();
            while next <= newest {
                let (prefix, end) = (self.queue.prefix(), self.queue.end());
                let history = self.service.view(|view| view.history(next, prefix, &end, EVENTS_AT_ONCE));
                let history = history.map_err(|_| Some(errors::compacted()))?;
                for revision in history.revisions {
                    let at = revision.revision;
                    let first = self.service.view(|view| self.queue.first(view, at));
                    self.send(at, first).await?;
                }
                next = history.next;
            }
            tokio::select! {
                biased;
                () = self.answers.closed() => return Err(None),
                changed = revisions.changed() => changed.map_err(|_| Some(errors::stopped()))?,
            }
        }
    }

    async fn send(&mut self, revision: i64, first: Found) -> Result<(), Option<Status>> {
        let Some(kv) = first.map_err(|error| Some(errors::of_read(error)))? else { return Ok(()) };
        let now = Some((kv.key.clone(), kv.mod_revision));
        if self.last_sent == now {
            return Ok(());
        }
        self.last_sent = now;
        let answer = LeaderResponse { header: self.service.header(revision), kv: Some(kv) };
        self.answers.send(Ok(answer)).await.map_err(|_| None)
    }
}
