use std::sync::LazyLock;
use std::time::{Duration, Instant};

use disco_identity::{ChannelOptions, Credentials, Expect, Identity};
use disco_proto::v1::control_client::ControlClient;
use disco_proto::v1::raft_client::RaftClient;
use disco_proto::v1::{
    Command, CommandResponse, KeyValue, ProposeRequest, PutRequest, RangeRequest, RangeResponse, ReadRequest,
    StatusRequest, StatusResponse, command, command_response,
};
use tokio::runtime::Runtime;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::{Project, wait_for};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime can be made")
});

/// Runs a future to its end, on a runtime that all tests of a process share.
pub fn block<F: Future>(future: F) -> F::Output {
    RUNTIME.block_on(future)
}

/// The cluster by gRPC.
#[derive(Clone)]
pub struct Api {
    identity: Identity,
}

impl Api {
    /// As the holder of these credentials.
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        Self { identity }
    }

    /// As the project's operator.
    #[must_use]
    pub fn operator(project: &Project) -> Self {
        let file = |name| project.path(".disco").join(name);
        let credentials = Credentials::load(&file("ca.pem"), &file("operator.pem"), &file("operator.key")).unwrap();
        Self::new(Identity::new(credentials).unwrap())
    }

    /// As a node, with the files in its data folder.
    #[must_use]
    pub fn node(data: &std::path::Path) -> Self {
        let file = |name| data.join("identity").join(name);
        let credentials = Credentials::load(&file("ca.pem"), &file("node.pem"), &file("node.key")).unwrap();
        Self::new(Identity::new(credentials).unwrap())
    }

    /// Its identity.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// A connection to a node, made at the first use.
    #[must_use]
    pub fn channel(&self, address: &str) -> Channel {
        let _entered = RUNTIME.enter();
        let options = ChannelOptions { request_timeout: None, ..ChannelOptions::default() };
        disco_identity::channel(address, &self.identity, Expect::AnyNode, &options)
    }

    /// The service for operators and nodes.
    #[must_use]
    pub fn control(&self, address: &str) -> ControlClient<Channel> {
        ControlClient::new(self.channel(address)).max_decoding_message_size(64 << 20)
    }

    /// The service for nodes among themselves.
    #[must_use]
    pub fn raft(&self, address: &str) -> RaftClient<Channel> {
        RaftClient::new(self.channel(address))
    }

    /// The node's status.
    pub fn status(&self, address: &str) -> Result<StatusResponse, Status> {
        let mut control = self.control(address);
        block(timed(control.status(StatusRequest { stale: false }))).map(tonic::Response::into_inner)
    }

    /// This node's own view of the cluster.
    ///
    /// # Errors
    /// It did not answer.
    pub fn own_status(&self, address: &str) -> Result<StatusResponse, Status> {
        let mut control = self.control(address);
        block(timed(control.status(StatusRequest { stale: true }))).map(tonic::Response::into_inner)
    }

    /// Sends a request to one node, once.
    pub fn propose(&self, address: &str, command: Command) -> Result<CommandResponse, Status> {
        block(self.propose_async(address, command))
    }

    async fn propose_async(&self, address: &str, command: Command) -> Result<CommandResponse, Status> {
        let mut control = self.control(address);
        let request = ProposeRequest { command: Some(command), ..ProposeRequest::default() };
        let answer = timed(control.propose(request)).await?.into_inner();
        answer.response.ok_or_else(|| Status::internal("no response in the answer"))
    }

    /// A command with a new request id.
    #[must_use]
    pub fn command(operation: command::Operation) -> Command {
        let request_id = uuid::Uuid::new_v4().into_bytes().to_vec().into();
        Command { request_id, operation: Some(operation), ..Command::default() }
    }

    /// The command of a put.
    #[must_use]
    pub fn put_command(key: &str, value: &str) -> Command {
        let (key, value) = (key.to_owned().into(), value.to_owned().into());
        Self::command(command::Operation::Put(PutRequest { key, value, ..PutRequest::default() }))
    }

    /// Writes a key: tries one node after the other with the same request id until it is done. Returns the revision.
    ///
    /// # Errors
    /// The last answer, if it was not done in time.
    pub fn put(&self, addresses: &[String], key: &str, value: &str, limit: Duration) -> Result<i64, String> {
        block(self.put_async(addresses, key, value, limit))
    }

    /// The same for several keys in one transaction.
    pub async fn put_async(
        &self,
        addresses: &[String],
        key: &str,
        value: &str,
        limit: Duration,
    ) -> Result<i64, String> {
        let controls: Vec<_> = addresses.iter().map(|address| self.control(address)).collect();
        self.put_with(controls, key, value, limit).await
    }

    /// The same over existing connections.
    pub async fn put_with(
        &self,
        controls: Vec<ControlClient<Channel>>,
        key: &str,
        value: &str,
        limit: Duration,
    ) -> Result<i64, String> {
        // A stopped node does not answer at all.
        const ATTEMPT: Duration = Duration::from_millis(500);
        let command = Self::put_command(key, value);
        let start = Instant::now();
        loop {
            for control in &controls {
                let mut control = control.clone();
                let request = ProposeRequest { command: Some(command.clone()), ..ProposeRequest::default() };
                let last = match tokio::time::timeout(ATTEMPT, control.propose(request)).await {
                    Ok(Ok(answer)) => match answer.into_inner().response.and_then(|response| response.result) {
                        Some(command_response::Result::Put(put)) => return Ok(put.revision),
                        other => return Err(format!("refused: {other:?}")),
                    },
                    Ok(Err(status)) => describe(&status),
                    Err(_) => format!("no answer in {ATTEMPT:?}"),
                };
                if start.elapsed() > limit {
                    return Err(format!("not done after {:?}: {last}", start.elapsed()));
                }
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Reads a range at one node.
    pub fn range(&self, address: &str, range: RangeRequest, stale: bool) -> Result<RangeResponse, Status> {
        let mut control = self.control(address);
        block(timed(control.range(ReadRequest { range: Some(range), stale }))).map(tonic::Response::into_inner)
    }

    /// Reads a key at one node.
    pub fn get(&self, address: &str, key: &str, stale: bool) -> Result<Option<KeyValue>, Status> {
        let range = RangeRequest { key: key.to_owned().into(), ..RangeRequest::default() };
        Ok(self.range(address, range, stale)?.kvs.into_iter().next())
    }

    /// All keys with this prefix, at one node.
    pub fn list(&self, address: &str, prefix: &str, stale: bool) -> Result<Vec<KeyValue>, Status> {
        let mut end = prefix.as_bytes().to_vec();
        *end.last_mut().expect("the prefix is not empty") += 1;
        let range = RangeRequest { key: prefix.to_owned().into(), range_end: end.into(), ..RangeRequest::default() };
        Ok(self.range(address, range, stale)?.kvs)
    }

    /// Waits until a node has applied this revision.
    #[track_caller]
    pub fn wait_for_revision(&self, limit: Duration, address: &str, revision: i64) {
        wait_for(limit, &format!("revision {revision} at {address}"), || {
            let range = RangeRequest { key: "-".into(), ..RangeRequest::default() };
            match self.range(address, range, true) {
                Ok(answer) if answer.revision >= revision => Ok(()),
                Ok(answer) => Err(format!("revision {}", answer.revision)),
                Err(status) => Err(describe(&status)),
            }
        });
    }
}

/// Every wait has a time limit.
async fn timed<T>(work: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    const LIMIT: Duration = Duration::from_secs(20);
    tokio::time::timeout(LIMIT, work)
        .await
        .unwrap_or_else(|_| Err(Status::new(Code::DeadlineExceeded, "no answer in 20 s")))
}

fn describe(status: &Status) -> String {
    format!("{:?}: {}", status.code(), causes(status))
}

/// The message of an error, with all its causes.
#[must_use]
pub fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
