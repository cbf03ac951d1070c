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
use disco_store::{LEASE_TTL_MAX, Scope, Store, View};
use futures_util::{StreamExt, stream};
use tonic::{Request, Response, Status, Streaming};

use super::{EtcdService, errors};
use crate::api::Answers;
use crate::cluster::leases;
use crate::peers::Hops;

/// etcd's time to live of a lease that does not exist.
const NO_LEASE_TTL: i64 = -1;
/// No lease has this id.
const NO_LEASE: i64 = 0;
/// Leases that one confirmation of the quorum renews: one client keeps thousands alive.
const TOGETHER: usize = 2_048;

impl EtcdService {
    /// Shorter leases could expire during an election. As in etcd: one and a half election timeouts, in whole seconds.
    fn least_ttl(&self) -> i64 {
        let least = self.node.raft().pace().election_timeout().mul_f64(1.5);
        i64::try_from(least.as_secs()).unwrap_or(i64::MAX).saturating_add(i64::from(least.subsec_nanos() > 0))
    }

    async fn time(&self, id: i64) -> Result<LeaseTimeResponse, Status> {
        let answer = leases::time(&self.node, Hops::default(), LeaseTimeRequest { id, renew: false }).await;
        answer.map_err(errors::of_operation)
    }

    /// Answers the requests in their order, up to the first error, which ends the stream.
    async fn keep_alive(
        &self,
        requests: Vec<Result<LeaseKeepAliveRequest, Status>>,
    ) -> Vec<Result<LeaseKeepAliveResponse, Status>> {
        let (mut ids, mut end) = (Vec::with_capacity(requests.len()), None);
        for request in requests {
            match request {
                Ok(request) => ids.push(request.id),
                Err(status) => {
                    end = Some(Err(status));
                    break;
                }
            }
        }
        if ids.is_empty() {
            return end.into_iter().collect();
        }
        // Before the renewal: an answer must not claim that a lease lives at a revision at which it was revoked.
        let header = self.header_now();
        let asked = self.node.raft().store().read(|store| {
            let shown = |id: i64| if is_own(store, id) { NO_LEASE } else { id };
            ids.iter().copied().map(shown).collect()
        });
        match leases::renew(&self.node, Hops::default(), asked).await {
            Ok(ttls) => {
                let answer = |(id, ttl)| Ok(LeaseKeepAliveResponse { header, id, ttl });
                ids.into_iter().zip(ttls).map(answer).chain(end).collect()
            }
            Err(error) => vec![Err(errors::of_operation(error))],
        }
    }
}

/// Whether it is a lease of Disco's own records, which does not exist for clients.
fn is_own(store: &Store, id: i64) -> bool {
    store.lease(id).is_some_and(|lease| !lease.is_in(Scope::Users))
}

/// When the lease ends if nothing renews it, in Unix milliseconds. etcd lists leases in the order of their ends; only the
/// leader knows of renewals, but any node answers.
fn granted_until(lease: &disco_store::Lease) -> i64 {
    lease.granted_at_ms().saturating_add(lease.ttl().saturating_mul(1_000))
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
        let place = self.stay(&request)?;
        let (metadata, _, requests) = request.into_parts();
        let service = self.clone();
        // All that have arrived are answered together. The next ones are read once the client has taken the answers.
        let answers = requests.ready_chunks(TOGETHER).then(move |requests| {
            let service = service.clone();
            async move { stream::iter(service.keep_alive(requests).await) }
        });
        let answers = place.hold(answers.flatten().boxed());
        Ok(Response::new(self.leader.guard(&self.node, &metadata, answers)))
    }

    async fn lease_time_to_live(
        &self,
        request: Request<LeaseTimeToLiveRequest>,
    ) -> Result<Response<LeaseTimeToLiveResponse>, Status> {
        self.admit(&request)?;
        let LeaseTimeToLiveRequest { id, keys } = request.into_inner();
        let time = self.time(id).await?;
        if !time.found || self.node.raft().store().read(|store| is_own(store, id)) {
            let header = self.header_now();
            let answer =
                LeaseTimeToLiveResponse { header, id, ttl: NO_LEASE_TTL, ..LeaseTimeToLiveResponse::default() };
            return Ok(Response::new(answer));
        }
        // The leader knows the lease; this node supplies the keys, once it has applied as much.
        self.barrier().await?;
        let attached = |view: View<'_>| {
            let keys =
                view.lease(id).filter(|_| keys).map(|lease| lease.keys().map(<[u8]>::to_vec).collect::<Vec<_>>());
            (view.revision(), keys.unwrap_or_default())
        };
        let (revision, keys) = self.view(attached);
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
        let list = |view: View<'_>| {
            let mut leases: Vec<(i64, i64)> = view.leases().map(|lease| (granted_until(lease), lease.id())).collect();
            leases.sort_unstable();
            (view.revision(), leases.into_iter().map(|(_, id)| LeaseStatus { id }).collect())
        };
        let (revision, leases) = self.view(list);
        Ok(Response::new(LeaseLeasesResponse { header: self.header(revision), leases }))
    }
}
