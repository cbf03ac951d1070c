//! The control service of another node, as called by the daemon's own parts.

use std::time::Duration;

use disco_proto::v1::control_client::ControlClient;
use disco_proto::v1::{
    ChangeWorkloadsRequest, ChangeWorkloadsResponse, CopyFileRequest, JoinRequest, JoinResponse, LeaseTimeRequest,
    LeaseTimeResponse, Progress, ReachRequest, ReachResponse, RenewLeasesRequest, ReportEndRequest, ReportRequest,
    ReportResponse, RunCommandRequest, RunCommandResponse, ScaleRequest, SecretsKeys, StatusRequest, StatusResponse,
    TaskValuesRequest, TaskValuesResponse, VoterSecrets,
};
use futures_util::{Stream, TryStreamExt};
use tonic::Request;
use tonic::transport::Channel;

use super::{Hops, MAX_MESSAGE_BYTES, RemoteError};

/// Name of the metadata with the number of times a request was forwarded.
pub const HOPS: &str = "disco-hops";

/// A client of another node's control service.
#[derive(Clone)]
pub struct MemberClient {
    client: ControlClient<Channel>,
    hops: Hops,
}

// === impl MemberClient ===

impl MemberClient {
    /// Creates a client with this daemon's limits.
    #[must_use]
    pub fn new(channel: Channel) -> Self {
        let client = ControlClient::new(channel)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        Self { client, hops: Hops::default() }
    }

    /// Marks the client's requests as forwarded.
    #[must_use]
    pub fn forwarding(self, hops: Hops) -> Self {
        Self { hops, ..self }
    }

    /// How often this client's requests were forwarded.
    #[must_use]
    pub fn hops(&self) -> Hops {
        self.hops
    }

    /// The client of the transport.
    #[must_use]
    pub fn into_inner(self) -> ControlClient<Channel> {
        self.client
    }

    fn request<T>(&self, message: T, limit: Option<Duration>) -> Request<T> {
        let mut request = Request::new(message);
        if self.hops != Hops::default() {
            request.metadata_mut().insert(HOPS, self.hops.count().into());
        }
        if let Some(limit) = limit {
            request.set_timeout(limit);
        }
        request
    }

    /// Requests admission to the cluster.
    ///
    /// # Errors
    /// See [`RemoteError`], here and below.
    pub async fn join(&mut self, message: JoinRequest) -> Result<JoinResponse, RemoteError> {
        Ok(self.client.join(message).await?.into_inner())
    }

    /// Reports to the leader.
    pub async fn report(&mut self, message: ReportRequest) -> Result<ReportResponse, RemoteError> {
        Ok(self.client.report(message).await?.into_inner())
    }

    /// Reports the end of a daemon on its behalf.
    pub async fn report_end(&mut self, message: ReportEndRequest) -> Result<ReportResponse, RemoteError> {
        Ok(self.client.report_end(message).await?.into_inner())
    }

    /// Requests the members to which the node can connect.
    pub async fn reach(&mut self, message: ReachRequest) -> Result<ReachResponse, RemoteError> {
        Ok(self.client.reach(message).await?.into_inner())
    }

    /// Sends the voters' secrets; empty ones make the node delete them.
    pub async fn set_voter_secrets(&mut self, secrets: VoterSecrets) -> Result<(), RemoteError> {
        self.client.set_voter_secrets(secrets).await?;
        Ok(())
    }

    /// Gives another voter keys of secrets. Returns those that it has.
    pub async fn share_secrets_keys(&mut self, keys: SecretsKeys, limit: Duration) -> Result<SecretsKeys, RemoteError> {
        Ok(self.client.share_secrets_keys(self.request(keys, Some(limit))).await?.into_inner())
    }

    /// Requests the secrets and configs of one of this node's tasks.
    pub async fn task_values(
        &mut self,
        message: TaskValuesRequest,
        limit: Duration,
    ) -> Result<TaskValuesResponse, RemoteError> {
        Ok(self.client.task_values(self.request(message, Some(limit))).await?.into_inner())
    }

    /// Requests the cluster's status.
    pub async fn status(
        &mut self,
        message: StatusRequest,
        limit: Option<Duration>,
    ) -> Result<StatusResponse, RemoteError> {
        Ok(self.client.status(self.request(message, limit)).await?.into_inner())
    }

    /// Changes what stacks and services shall be.
    pub async fn change_workloads(
        &mut self,
        message: ChangeWorkloadsRequest,
        limit: Duration,
    ) -> Result<ChangeWorkloadsResponse, RemoteError> {
        Ok(self.client.change_workloads(self.request(message, Some(limit))).await?.into_inner())
    }

    /// Requests a lease's remaining time.
    pub async fn lease_time(
        &mut self,
        message: LeaseTimeRequest,
        limit: Duration,
    ) -> Result<LeaseTimeResponse, RemoteError> {
        Ok(self.client.lease_time(self.request(message, Some(limit))).await?.into_inner())
    }

    /// Renews leases, and returns the time to live of each, 0 for one that has ended.
    pub async fn renew_leases(&mut self, ids: Vec<i64>, limit: Duration) -> Result<Vec<i64>, RemoteError> {
        let request = self.request(RenewLeasesRequest { ids }, Some(limit));
        Ok(self.client.renew_leases(request).await?.into_inner().ttls)
    }

    /// Sets the target size and follows the progress.
    pub async fn scale(
        &mut self,
        message: ScaleRequest,
    ) -> Result<impl Stream<Item = Result<Progress, RemoteError>> + Send + 'static, RemoteError> {
        let steps = self.client.scale(self.request(message, None)).await?.into_inner();
        Ok(steps.map_err(RemoteError::from))
    }

    /// Runs a command.
    pub async fn run_command(
        &mut self,
        message: RunCommandRequest,
        limit: Duration,
    ) -> Result<RunCommandResponse, RemoteError> {
        Ok(self.client.run_command(self.request(message, Some(limit))).await?.into_inner())
    }

    /// Writes a part of a file.
    pub async fn copy_file(&mut self, message: CopyFileRequest, limit: Duration) -> Result<(), RemoteError> {
        self.client.copy_file(self.request(message, Some(limit))).await?;
        Ok(())
    }
}
