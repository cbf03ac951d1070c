//! Leases. The leader counts their time; any node grants, renews and reports.

use disco_proto::etcdserverpb::lease_server::Lease;
use disco_proto::etcdserverpb::{
    LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveRequest, LeaseKeepAliveResponse, LeaseLeasesRequest,
    LeaseLeasesResponse, LeaseRevokeRequest, LeaseRevokeResponse, LeaseStatus, LeaseTimeToLiveRequest,
    LeaseTimeToLiveResponse,
};
use disco_proto::v1;
use disco_proto::v1::command::Operation;
use disco_proto::v1::command_response::Result as Answer;
use disco_proto::v1::{LeaseTimeRequest, LeaseTimeResponse};
use disco_store::{LEASE_TTL_MAX, Store};
use futures_util::StreamExt;
use tonic::{Request, Response, Status, Streaming};

use super::{EtcdService, errors};
use crate::api::Answers;
use crate::cluster::leases;
use crate::peers::Hops;

/// etcd's time to live of a lease that does not exist.
const NO_LEASE_TTL: i64 = -1;

impl EtcdService {
    /// Shorter leases could expire during an election. As in etcd: one and a half election timeouts, in whole seconds.
    fn least_ttl(&self) -> i64 {
        let least = self.node.raft().pace().election_timeout().mul_f64(1.5);
        i64::try_from(least.as_secs()).unwrap_or(i64::MAX).saturating_add(i64::from(least.subsec_nanos() > 0))
    }

    async fn time(&self, id: i64, renew: bool) -> Result<LeaseTimeResponse, Status> {
        let answer = leases::time(&self.node, Hops::default(), LeaseTimeRequest { id, renew }).await;
        answer.map_err(errors::of_operation)
    }

    async fn keep_alive(&self, id: i64) -> Result<LeaseKeepAliveResponse, Status> {
        // Before the renewal: an answer must not claim that a lease lives at a revision at which it was revoked.
        let header = self.header_now();
        let time = self.time(id, true).await?;
        Ok(LeaseKeepAliveResponse { header, id, ttl: if time.found { time.ttl } else { 0 } })
    }
}

#[tonic::async_trait]
impl Lease for EtcdService {
    type LeaseKeepAliveStream = Answers<LeaseKeepAliveResponse>;

    async fn lease_grant(&self, request: Request<LeaseGrantRequest>) -> Result<Response<LeaseGrantResponse>, Status> {
        self.admit(&request)?;
        let LeaseGrantRequest { id, ttl } = request.into_inner();
        if ttl > LEASE_TTL_MAX {
            return Err(errors::lease_ttl_too_large());
        }
        // Clients read the id as a signed number.
        let id = if id == 0 { rand::random_range(1..=i64::MAX) } else { id };
        let grant = v1::LeaseGrantRequest { id, ttl: ttl.max(self.least_ttl()) };
        match self.write(Operation::LeaseGrant(grant)).await? {
            (revision, Answer::LeaseGrant(v1::LeaseResponse { id, ttl, .. })) => {
                Ok(Response::new(LeaseGrantResponse { header: self.header(revision), id, ttl, error: String::new() }))
            }
            _ => Err(errors::unexpected()),
        }
    }

    async fn lease_revoke(
        &self,
        request: Request<LeaseRevokeRequest>,
    ) -> Result<Response<LeaseRevokeResponse>, Status> {
        self.admit(&request)?;
        let id = request.into_inner().id;
        match self.write(Operation::LeaseRevoke(v1::LeaseRevokeRequest { id })).await? {
            (revision, Answer::LeaseRevoke(_)) => {
                Ok(Response::new(LeaseRevokeResponse { header: self.header(revision) }))
            }
            _ => Err(errors::unexpected()),
        }
    }

    async fn lease_keep_alive(
        &self,
        request: Request<Streaming<LeaseKeepAliveRequest>>,
    ) -> Result<Response<Self::LeaseKeepAliveStream>, Status> {
        self.admit(&request)?;
        let (metadata, _, requests) = request.into_parts();
        let service = self.clone();
        // Sequentially: the next request is read once the client has taken the previous answer.
        let answers = requests.then(move |request| {
            let service = service.clone();
            async move { service.keep_alive(request?.id).await }
        });
        Ok(Response::new(self.leader.guard(&self.node, &metadata, answers.boxed())))
    }

    async fn lease_time_to_live(
        &self,
        request: Request<LeaseTimeToLiveRequest>,
    ) -> Result<Response<LeaseTimeToLiveResponse>, Status> {
        self.admit(&request)?;
        let LeaseTimeToLiveRequest { id, keys } = request.into_inner();
        let time = self.time(id, false).await?;
        if !time.found {
            let header = self.header_now();
            let answer =
                LeaseTimeToLiveResponse { header, id, ttl: NO_LEASE_TTL, ..LeaseTimeToLiveResponse::default() };
            return Ok(Response::new(answer));
        }
        // The leader knows the lease; this node supplies the keys, once it has applied as much.
        self.barrier().await?;
        let attached = |store: &Store| {
            let keys =
                store.lease(id).filter(|_| keys).map(|lease| lease.keys().map(<[u8]>::to_vec).collect::<Vec<_>>());
            (store.revision(), keys.unwrap_or_default())
        };
        let (revision, keys) = self.node.raft().store().read(attached);
        Ok(Response::new(LeaseTimeToLiveResponse {
            header: self.header(revision),
            id,
            ttl: i64::try_from(time.remaining_ms / 1_000).unwrap_or(i64::MAX),
            granted_ttl: time.ttl,
            keys: keys.into_iter().map(Into::into).collect(),
        }))
    }

    async fn lease_leases(
        &self,
        request: Request<LeaseLeasesRequest>,
    ) -> Result<Response<LeaseLeasesResponse>, Status> {
        self.admit(&request)?;
        self.barrier().await?;
        let (revision, leases) = self
            .node
            .raft()
            .store()
            .read(|store| (store.revision(), store.leases().map(|lease| LeaseStatus { id: lease.id() }).collect()));
        Ok(Response::new(LeaseLeasesResponse { header: self.header(revision), leases }))
    }
}
