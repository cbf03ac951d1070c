//! Helpers for these tests.

use disco_proto::etcdserverpb::kv_client::KvClient;
use disco_proto::etcdserverpb::request_op::Request as Op;
use disco_proto::etcdserverpb::watch_client::WatchClient;
use disco_proto::etcdserverpb::watch_request::RequestUnion;
use disco_proto::etcdserverpb::*;
use disco_tests::{Api, Project, SOON, Shared, Status, Turn, block};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

pub(crate) static CLUSTER: Shared<Project> = Shared::new(|| Project::bootstrapped("etcdapi"));

pub(crate) fn whole() -> (Turn<Project>, Status, Api) {
    let (project, status) = CLUSTER.whole();
    let api = Api::operator(&project);
    (project, status, api)
}

pub(crate) fn kv(api: &Api, address: &str) -> KvClient<tonic::transport::Channel> {
    KvClient::new(api.channel(address)).max_decoding_message_size(64 << 20)
}

pub(crate) fn put_request(key: &str, value: &str) -> PutRequest {
    PutRequest { key: key.to_owned().into(), value: value.to_owned().into(), ..PutRequest::default() }
}

pub(crate) fn put(api: &Api, address: &str, key: &str, value: &str) -> i64 {
    let answer = block(kv(api, address).put(put_request(key, value))).unwrap().into_inner();
    answer.header.unwrap().revision
}

pub(crate) fn range_request(key: &str, end: &str) -> RangeRequest {
    RangeRequest { key: key.to_owned().into(), range_end: end.to_owned().into(), ..RangeRequest::default() }
}

pub(crate) fn range(api: &Api, address: &str, range: RangeRequest) -> RangeResponse {
    block(kv(api, address).range(range)).unwrap().into_inner()
}

pub(crate) fn op(request: Op) -> RequestOp {
    RequestOp { request: Some(request) }
}

/// One stream of watches.
pub(crate) struct Watching {
    requests: mpsc::Sender<WatchRequest>,
    answers: Streaming<WatchResponse>,
}

impl Watching {
    pub(crate) fn open(api: &Api, address: &str) -> Self {
        let (requests, receiver) = mpsc::channel(16);
        let mut client = WatchClient::new(api.channel(address)).max_decoding_message_size(64 << 20);
        let answers = block(client.watch(ReceiverStream::new(receiver))).unwrap().into_inner();
        Self { requests, answers }
    }

    pub(crate) fn ask(&self, union: RequestUnion) {
        block(self.requests.send(WatchRequest { request_union: Some(union) })).unwrap();
    }

    /// Creates a watch.
    pub(crate) fn create(&mut self, request: WatchCreateRequest) -> i64 {
        self.ask(RequestUnion::CreateRequest(request));
        let created = self.next();
        assert!(created.created && !created.canceled, "{created:?}");
        created.watch_id
    }

    pub(crate) fn next(&mut self) -> WatchResponse {
        let answer = block(async { tokio::time::timeout(SOON, self.answers.message()).await });
        answer.expect("an answer in time").unwrap().expect("the stream goes on")
    }
}

pub(crate) fn prefix(key: &str, end: &str) -> WatchCreateRequest {
    WatchCreateRequest { key: key.to_owned().into(), range_end: end.to_owned().into(), ..WatchCreateRequest::default() }
}
