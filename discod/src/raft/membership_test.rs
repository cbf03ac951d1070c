//! Changes of the membership beside a voter that answers when it may, over a real connection.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use disco_consensus::codec;
use disco_consensus::types::TypeConfig;
use disco_identity::{Authority, ChannelOptions, ClusterId, Credentials, Identity, ListenLimits, PrivateKey, Validity};
use disco_planner::twins::Start;
use disco_proto::v1::raft_server::{Raft, RaftServer};
use disco_proto::v1::{RaftMessage, SnapshotPart};
use disco_store::Limits;
use openraft::ChangeMembers;
use openraft::raft::AppendEntriesResponse;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

use super::{NodeInfo, Pace, RaftNode, RaftSettings, Role};
use crate::peers::Peers;

const HOUR: Duration = Duration::from_secs(3600);
/// For what comes at once.
const SOON: Duration = Duration::from_secs(60);

/// Holds every entry, and answers while it may.
struct Voter {
    answers: watch::Receiver<bool>,
}

#[tonic::async_trait]
impl Raft for Voter {
    type AppendStreamStream = super::service::Answers;

    async fn append_entries(&self, request: Request<RaftMessage>) -> Result<Response<RaftMessage>, Status> {
        let RaftMessage { from, to, .. } = request.into_inner();
        self.answers.clone().wait_for(|answers| *answers).await.unwrap();
        let payload = codec::encode(&AppendEntriesResponse::<TypeConfig>::Success).unwrap().into();
        Ok(Response::new(RaftMessage { from: to, to: from, payload, ..RaftMessage::default() }))
    }

    async fn append_stream(
        &self,
        _: Request<Streaming<RaftMessage>>,
    ) -> Result<Response<Self::AppendStreamStream>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn identify(&self, _: Request<RaftMessage>) -> Result<Response<RaftMessage>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn vote(&self, _: Request<RaftMessage>) -> Result<Response<RaftMessage>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn pre_vote(&self, _: Request<RaftMessage>) -> Result<Response<RaftMessage>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn transfer_leader(&self, _: Request<RaftMessage>) -> Result<Response<RaftMessage>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn read_index(&self, _: Request<RaftMessage>) -> Result<Response<RaftMessage>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn install_snapshot(&self, _: Request<Streaming<SnapshotPart>>) -> Result<Response<RaftMessage>, Status> {
        Err(Status::unimplemented("not here"))
    }
}

/// Certificates of one cluster.
fn identities() -> impl Fn(u64) -> Identity {
    let root = Authority::new_root(&ClusterId::random(), "test").unwrap();
    let signer = root.new_intermediate().unwrap();
    move |id| {
        let key = PrivateKey::generate().unwrap();
        let request = key.signing_request().unwrap();
        let chain = signer.issue_node(&request, id, &[Ipv4Addr::LOCALHOST.into()], Validity::lasting(HOUR)).unwrap();
        Identity::new(Credentials::from_pem(root.certificate_pem(), &chain, &key.to_pem()).unwrap()).unwrap()
    }
}

/// Returns when it is so.
async fn until(node: &RaftNode, is_so: impl Fn(&RaftNode) -> bool) {
    let wait = async {
        let mut metrics = node.raft().metrics();
        while !is_so(node) {
            openraft::async_runtime::watch::WatchReceiver::changed(&mut metrics).await.unwrap();
        }
    };
    tokio::time::timeout(SOON, wait).await.unwrap();
}

/// The leader that began to take a vote is lost between the two steps of that; the next one removes another node first.
#[tokio::test]
async fn a_removal_keeps_the_node_that_lost_its_vote_in_a_change_that_was_not_ended() {
    let (folder, identity) = (tempfile::tempdir().unwrap(), identities());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let incoming = disco_identity::incoming(listener, &identity(2), ListenLimits::default());
    let (answers, may_answer) = watch::channel(true);
    let service = RaftServer::new(Voter { answers: may_answer });
    tokio::spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
    let peers = Peers::new(identity(1), ChannelOptions::default());
    let settings = RaftSettings::new(1, Pace::Fast, Start::default());
    let node = super::open(folder.path(), Limits::default(), settings, peers).await.unwrap();
    let info = |address: &str| NodeInfo { address: address.to_owned(), name: String::new() };
    node.initialize(info("127.0.0.1:1")).await.unwrap();
    node.leadership().wait_for(|now| now.is_self).await.unwrap();
    node.add_learner(2, info(&address)).await.unwrap();
    node.add_learner(3, info("127.0.0.1:1")).await.unwrap();
    node.promote(&[2]).await.unwrap();

    answers.send_replace(false);
    let raft = node.raft().clone();
    let demotion = ChangeMembers::RemoveVoters(BTreeSet::from([2]));
    let change = tokio::spawn(async move { raft.change_membership(demotion, true).await });
    until(&node, RaftNode::is_joint).await;
    change.abort();
    answers.send_replace(true);
    until(&node, |node| {
        let metrics = node.raft().metrics();
        let metrics = openraft::async_runtime::watch::WatchReceiver::borrow_watched(&metrics);
        *metrics.membership_config.log_id() <= metrics.last_applied
    })
    .await;
    assert!(node.is_joint(), "the second step was not to come");

    node.remove(3).await.unwrap();
    let members: Vec<_> = node.members().into_iter().map(|member| (member.id, member.role)).collect();
    assert_eq!(members, [(1, Role::Voter), (2, Role::Learner)]);
    node.shutdown().await;
}
