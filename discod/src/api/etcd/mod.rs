//! etcd's v3 API on the daemon's one port, for etcd's clients. `docs/etcd.md` lists the differences from etcd.
//!
//! Any node answers. Writes go to the leader with a request id, so that a retry applies once; linearizable reads wait
//! for a read index and are answered from this node's own store, like serializable ones and watches. The certificate
//! decides who may call: operators and nodes may, but none of them can write Disco's own keys this way.

mod auth;
mod check;
mod cluster;
mod convert;
mod election;
mod errors;
mod gateway;
mod header;
mod kv;
mod leader;
mod lease;
mod lock;
mod maintenance;
mod queue;
mod snapshot;
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
use disco_proto::v1::command::Operation;
use disco_proto::v1::command_response::Result as Answer;
use disco_proto::v3electionpb::election_server::ElectionServer;
use disco_proto::v3lockpb::lock_server::LockServer;
use futures_util::Stream;
use tokio::sync::Semaphore;
use tonic::service::Routes;
use tonic::{Request, Status};

use crate::node::{self, Node};
use watch::Places;

/// Largest request on the wire: the largest command and etcd's allowance of 512 KiB.
const MAX_REQUEST_BYTES: usize = (3 << 19) + (512 << 10);

/// etcd's services of one node. Cheap to clone.
#[derive(Clone)]
pub struct EtcdService {
    node: Node,
    places: Places,
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
            places: Places::default(),
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
        routes
            .add_service(kv)
            .add_service(WatchServer::new(self.clone()))
            .add_service(LeaseServer::new(self.clone()))
            .add_service(MaintenanceServer::new(self.clone()))
            .add_service(ClusterServer::new(self.clone()))
            .add_service(LockServer::new(self.clone()))
            .add_service(ElectionServer::new(self.clone()).max_decoding_message_size(MAX_REQUEST_BYTES))
            .add_service(AuthServer::new(self))
    }

    /// The first line of every handler: checks the sender, and whether the request requires a leader that is missing.
    fn admit<T>(&self, request: &Request<T>) -> Result<(), Status> {
        disco_identity::require_member(request)?;
        leader::check(&self.node, request.metadata())
    }

    /// Returns once this node's store reflects every write acknowledged before the call.
    async fn barrier(&self) -> Result<(), Status> {
        let limit = self.node.raft().pace().request_timeout();
        self.node.raft().read_barrier(limit).await.map_err(errors::of_read_index)
    }

    /// Proposes a write, unless only Disco itself may make it. The answer is never a refusal.
    async fn write(&self, operation: Operation) -> Result<(i64, Answer), Status> {
        let command = node::command(operation, 0);
        self.node.check_own_keys(&command).map_err(|denied| errors::denied(&denied.to_string()))?;
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
