//! etcd's v3 API on the daemon's one port, for etcd's clients. `docs/etcd.md` lists the differences from etcd.
//!
//! Any node answers. Writes go to the leader with a request id, so that a retry applies once; linearizable reads wait
//! for a read index and are answered from this node's own store, like serializable ones and watches. The certificate
//! decides who may call: clients, operators and nodes may, and what concerns more than keys only the latter two.
//!
//! Disco's own keys do not exist for any of them: reads go through [`EtcdService::view`], writes through
//! [`EtcdService::write`], and nothing else of this module reads the store's keys.

mod auth;
mod check;
mod cluster;
mod convert;
mod election;
mod errors;
mod gateway;
mod header;
mod health;
mod kv;
mod leader;
mod lease;
mod lock;
mod maintenance;
mod places;
mod queue;
mod snapshot;
mod too_large;
mod watch;

use std::io;
use std::sync::Arc;

use disco_identity::ServerStream;
use disco_proto::etcdserverpb::auth_server::AuthServer;
use disco_proto::etcdserverpb::cluster_server::ClusterServer;
use disco_proto::etcdserverpb::kv_server::KvServer;
use disco_proto::etcdserverpb::lease_server::LeaseServer;
use disco_proto::etcdserverpb::maintenance_server::MaintenanceServer;
use disco_proto::etcdserverpb::watch_server::WatchServer;
use disco_proto::health::health_server::HealthServer;
use disco_proto::v1::command::Operation;
use disco_proto::v1::command_response::Result as Answer;
use disco_proto::v3electionpb::election_server::ElectionServer;
use disco_proto::v3lockpb::lock_server::LockServer;
use disco_store::{Scope, View};
use futures_util::Stream;
use tokio::sync::Semaphore;
use tonic::service::Routes;
use tonic::{Request, Status};

use crate::node::{self, Node};
use places::{Place, Places};
use too_large::TooLarge;

/// Largest request on the wire: the largest command and etcd's allowance of 512 KiB.
const MAX_REQUEST_BYTES: usize = (3 << 19) + (512 << 10);

/// Watches of one connection, and of a node: some 300 bytes each.
const WATCHES: (usize, usize) = (16_384, 32_768);
/// Requests that stay open, of one connection and of a node. Fewer than HTTP/2's streams of a connection, so that there
/// are always some for requests that end; a client that has no stream left waits without an error.
const OPEN: (usize, usize) = (1_024, 8_192);

/// Names of the metadata with which etcd's clients present the token of a user.
const TOKENS: [&str; 2] = ["token", "authorization"];

/// etcd's services of one node. Cheap to clone.
#[derive(Clone)]
pub struct EtcdService {
    node: Node,
    watches: Places,
    /// Requests that stay open: streams, and those that wait for a lock or an election.
    open: Places,
    leader: leader::LeaderWatch,
    /// Snapshots are sent one at a time: each holds a copy of the keys.
    snapshots: Arc<Semaphore>,
}

// === impl EtcdService ===

impl EtcdService {
    /// Serves the node.
    #[must_use]
    pub fn new(node: Node) -> Self {
        Self {
            node,
            watches: Places::new(WATCHES.0, WATCHES.1),
            open: Places::new(OPEN.0, OPEN.1),
            leader: leader::LeaderWatch::default(),
            snapshots: Arc::new(Semaphore::new(1)),
        }
    }

    /// Adds all its services, by gRPC and by the JSON gateway.
    #[must_use]
    pub fn add_to(self, mut routes: Routes) -> Routes {
        let router = std::mem::take(routes.axum_router_mut());
        *routes.axum_router_mut() = gateway::add_to(&self, router);
        self.services(routes)
    }

    /// Answers connections of HTTP/1.1, which can only use the JSON gateway, and passes on the others.
    pub fn without_http1<S: Stream<Item = io::Result<ServerStream>>>(
        &self,
        incoming: S,
    ) -> impl Stream<Item = io::Result<ServerStream>> + use<S> {
        gateway::without_http1(self, incoming)
    }

    fn services(self, routes: Routes) -> Routes {
        let kv = KvServer::new(self.clone()).max_decoding_message_size(MAX_REQUEST_BYTES);
        let election = ElectionServer::new(self.clone()).max_decoding_message_size(MAX_REQUEST_BYTES);
        routes
            .add_service(TooLarge(kv))
            .add_service(WatchServer::new(self.clone()))
            .add_service(LeaseServer::new(self.clone()))
            .add_service(MaintenanceServer::new(self.clone()))
            .add_service(ClusterServer::new(self.clone()))
            .add_service(LockServer::new(self.clone()))
            .add_service(TooLarge(election))
            .add_service(HealthServer::new(self.clone()))
            .add_service(AuthServer::new(self))
    }

    /// The first line of every handler: checks the sender, and whether the request requires a leader that is missing.
    fn admit<T>(&self, request: &Request<T>) -> Result<(), Status> {
        disco_identity::require_user(request)?;
        // There are no users, so no token is valid. A client that authenticates is refused before it has one.
        if TOKENS.iter().any(|name| request.metadata().contains_key(*name)) {
            return Err(errors::invalid_auth_token());
        }
        leader::check(&self.node, request.metadata())
    }

    /// A place for a request that stays open.
    fn stay<T>(&self, request: &Request<T>) -> Result<Place, Status> {
        self.open.take(disco_identity::remote_address(request)).ok_or_else(errors::too_many_requests)
    }

    /// Returns once this node's store reflects every write acknowledged before the call.
    async fn barrier(&self) -> Result<(), Status> {
        let limit = self.node.raft().pace().request_timeout();
        self.node.raft().read_barrier(limit).await.map_err(errors::of_read_index)
    }

    /// Reads what this node has applied: the keys of users.
    fn view<T>(&self, look: impl FnOnce(View<'_>) -> T) -> T {
        self.node.raft().store().read(|store| look(store.view(Scope::Users)))
    }

    /// Proposes a write of users' keys. The answer is never a refusal.
    async fn write(&self, operation: Operation) -> Result<(i64, Answer), Status> {
        let mut command = node::command(operation, 0);
        self.node.confine_to_users(&mut command).map_err(|denied| errors::denied(&denied.to_string()))?;
        let limits = self.node.raft().store().read(|store| *store.limits());
        disco_store::validate(&command, &limits)
            .map_err(|refused| errors::of_refusal(refused.refusal, &refused.message))?;
        let response = self.node.submit_raw(command, 0).await.map_err(errors::of_write)?;
        match response.result {
            Some(Answer::Error(error)) => Err(errors::of_refusal(error.refusal(), &error.message)),
            Some(answer) => Ok((response.revision, answer)),
            None => Err(errors::unexpected()),
        }
    }
}
