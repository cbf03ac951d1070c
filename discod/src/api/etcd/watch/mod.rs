//! Watches, served from this node's own store.
//!
//! Each stream has one task and any number of watchers, found by the keys that change. A watcher is a position in the
//! store's history: the next events are read once the client has taken the previous ones, so a slow client costs no
//! memory, however far it lags. When the history that it still needs is compacted, its watcher is cancelled with etcd's
//! reason; when it stops reading, its stream ends.

mod client;
mod fragments;
mod watcher;
mod watchers;

use disco_proto::etcdserverpb::watch_server::Watch;
use disco_proto::etcdserverpb::{WatchRequest, WatchResponse};
use futures_util::StreamExt;
use tonic::{Request, Response, Status, Streaming};

use super::EtcdService;
use crate::api::Answers;

#[tonic::async_trait]
impl Watch for EtcdService {
    type WatchStream = Answers<WatchResponse>;

    async fn watch(&self, request: Request<Streaming<WatchRequest>>) -> Result<Response<Self::WatchStream>, Status> {
        self.admit(&request)?;
        let place = self.stay(&request)?;
        let remote = disco_identity::remote_address(&request);
        let (metadata, _, requests) = request.into_parts();
        let answers = place.hold(client::start(self.clone(), remote, requests.boxed()).await);
        Ok(Response::new(self.leader.guard(&self.node, &metadata, answers)))
    }
}
