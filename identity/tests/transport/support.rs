//! A cluster's authorities, a server that reports its peers, and polling.

use std::error::Error;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use disco_identity::{
    Authority, ChannelOptions, ClusterId, Credentials, Expect, Identity, ListenLimits, PrivateKey, Validity, channel,
    incoming, peer, require_join, require_member, require_node, require_operator, require_sender,
};
use disco_proto::v1::raft_client::RaftClient;
use disco_proto::v1::raft_server::{Raft, RaftServer};
use disco_proto::v1::{RaftMessage, SnapshotPart};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Server};
use tonic::{Request, Response, Status, Streaming};

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// A cluster's root and signing key.
pub(crate) struct World {
    pub(crate) root: Authority,
    pub(crate) signer: Authority,
}

impl World {
    pub(crate) fn new() -> Self {
        let root = Authority::new_root(&ClusterId::random(), "test").unwrap();
        let signer = root.new_intermediate().unwrap();
        Self { root, signer }
    }

    pub(crate) fn node(&self, id: u64) -> Identity {
        Identity::new(self.node_credentials(id, Validity::lasting(HOUR))).unwrap()
    }

    pub(crate) fn node_credentials(&self, id: u64, validity: Validity) -> Credentials {
        let addresses = ["127.0.0.1".parse().unwrap()];
        self.credentials(|request| self.signer.issue_node(request, id, &addresses, validity).unwrap())
    }

    pub(crate) fn operator(&self, name: &str) -> Identity {
        let validity = Validity::lasting(HOUR);
        Identity::new(self.credentials(|request| self.root.issue_operator(request, name, validity).unwrap())).unwrap()
    }

    pub(crate) fn join(&self, token: &str) -> Identity {
        let validity = Validity::lasting(HOUR);
        Identity::new(self.credentials(|request| self.signer.issue_join(request, token, validity).unwrap())).unwrap()
    }

    pub(crate) fn credentials(&self, issue: impl FnOnce(&str) -> String) -> Credentials {
        let key = PrivateKey::generate().unwrap();
        let chain = issue(&key.signing_request().unwrap());
        Credentials::from_pem(self.root.certificate_pem(), &chain, &key.to_pem()).unwrap()
    }
}

/// A running server on a port of its own. Dropping it closes the port, and leaves open connections to end by themselves.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Running {
    /// Stops it, connections included.
    pub(crate) async fn stop(mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        (&mut self.task).await.unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) async fn serve(identity: &Identity) -> Running {
    serve_with(identity, ListenLimits::default()).await
}

pub(crate) async fn serve_with(identity: &Identity, limits: ListenLimits) -> Running {
    serve_on(TcpListener::bind("127.0.0.1:0").await.unwrap(), identity, limits)
}

pub(crate) fn serve_on(listener: TcpListener, identity: &Identity, limits: ListenLimits) -> Running {
    let address = listener.local_addr().unwrap();
    let incoming = incoming(listener, identity, limits);
    let server = Server::builder().add_service(RaftServer::new(Mirror));
    let (stop, stopped) = oneshot::channel::<()>();
    let signal = async { drop(stopped.await) };
    let task = tokio::spawn(async move { server.serve_with_incoming_shutdown(incoming, signal).await.unwrap() });
    Running { address, stop: Some(stop), task }
}

pub(crate) fn client(running: &Running, identity: &Identity, expect: Expect) -> RaftClient<Channel> {
    RaftClient::new(channel(running.address, identity, expect, &ChannelOptions::default()))
}

/// Whom the server sees, as `role serial`.
pub(crate) async fn ask(client: &mut RaftClient<Channel>) -> Result<String, Status> {
    let answer = client.vote(RaftMessage::default()).await?;
    Ok(String::from_utf8(answer.into_inner().payload.to_vec()).unwrap())
}

/// The message of an error with all its causes.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text = format!("{text}: {error}");
        next = error.source();
    }
    text
}

/// Retries until `attempt` succeeds, and reports the last failure if it never does.
pub(crate) async fn eventually<T, F: Future<Output = Result<T, String>>>(mut attempt: impl FnMut() -> F) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match attempt().await {
            Ok(value) => return value,
            Err(last) if Instant::now() > deadline => panic!("gave up waiting; last seen: {last}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Each method is guarded by another guard.
struct Mirror;

#[tonic::async_trait]
impl Raft for Mirror {
    type AppendStreamStream = tokio_stream::Empty<Result<RaftMessage, Status>>;

    async fn append_stream(
        &self,
        _request: Request<Streaming<RaftMessage>>,
    ) -> Result<Response<Self::AppendStreamStream>, Status> {
        Err(Status::unimplemented("nobody here asks"))
    }

    async fn vote(&self, request: Request<RaftMessage>) -> Result<Response<RaftMessage>, Status> {
        let peer = peer(&request)?;
        let payload = format!("{} {}", peer.role, peer.serial).into();
        Ok(Response::new(RaftMessage { payload, ..RaftMessage::default() }))
    }

    async fn append_entries(&self, request: Request<RaftMessage>) -> Result<Response<RaftMessage>, Status> {
        require_node(&request)?;
        require_sender(&request, request.get_ref().from)?;
        Ok(Response::new(RaftMessage::default()))
    }

    async fn pre_vote(&self, request: Request<RaftMessage>) -> Result<Response<RaftMessage>, Status> {
        require_member(&request)?;
        Ok(Response::new(RaftMessage::default()))
    }

    async fn transfer_leader(&self, request: Request<RaftMessage>) -> Result<Response<RaftMessage>, Status> {
        require_join(&request)?;
        Ok(Response::new(RaftMessage::default()))
    }

    async fn read_index(&self, _request: Request<RaftMessage>) -> Result<Response<RaftMessage>, Status> {
        Err(Status::unimplemented("nobody here asks"))
    }

    async fn identify(&self, _request: Request<RaftMessage>) -> Result<Response<RaftMessage>, Status> {
        Err(Status::unimplemented("nobody here asks"))
    }

    async fn install_snapshot(
        &self,
        request: Request<Streaming<SnapshotPart>>,
    ) -> Result<Response<RaftMessage>, Status> {
        require_operator(&request)?;
        Ok(Response::new(RaftMessage::default()))
    }
}
