//! The control service: one folder of handlers, each a function of this node and a request.
//!
//! The receiving node forwards to the leader what only the leader can do, so any node is an entry point. A request
//! carries the number of times it was forwarded; the third time it is refused, since then two nodes take each other for
//! the leader.

mod admission;
mod artifacts;
mod backup;
mod blobs;
mod certificates;
mod errors;
pub(crate) mod etcd;
mod exec;
mod forward;
mod jobs;
mod kv;
mod logs;
mod machines;
mod members;
mod metrics;
mod nodes;
mod outgoing;
mod reach;
mod report;
mod report_end;
mod scripts;
mod secrets;
mod task_output;
mod upgrades;
mod workloads;

use std::pin::Pin;

use disco_proto::v1::control_server::Control;
use disco_proto::v1::*;
use futures_util::Stream;
use tonic::{Request, Response, Status, Streaming};

use crate::cluster::tasks::Sessions;
use crate::node::Node;
use crate::script::Scripts;

use self::errors::internal;

/// A stream of answers.
pub type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The service `disco.v1.Control` of one node.
pub struct ControlService {
    node: Node,
    scripts: Scripts,
    sessions: Sessions,
}

// === impl ControlService ===

impl ControlService {
    /// Serves the node.
    #[must_use]
    pub fn new(node: Node, scripts: Scripts, sessions: Sessions) -> Self {
        Self { node, scripts, sessions }
    }
}

#[tonic::async_trait]
impl Control for ControlService {
    type ReportStreamStream = Answers<ReportResponse>;
    type ProposeStreamStream = Answers<ProposeResponse>;
    type WatchStream = Answers<WatchResponse>;
    type ScaleStream = Answers<Progress>;
    type RemoveNodeStream = Answers<Progress>;
    type PutArtifactStream = Answers<ArtifactProgress>;
    type HoldArtifactStream = Answers<ArtifactProgress>;
    type ReadArtifactStream = Answers<ArtifactPart>;
    type DeployStream = Answers<DeployOutput>;
    type TaskOutputStream = Answers<TaskOutputPart>;
    type ExecStream = Answers<ExecOutput>;
    type LogsStream = Answers<LogLine>;
    type BackupStream = Answers<BackupPart>;
    type FetchBackupStream = Answers<BackupPart>;

    async fn join(&self, request: Request<JoinRequest>) -> Result<Response<JoinResponse>, Status> {
        admission::join(&self.node, request).await
    }

    async fn report(&self, request: Request<ReportRequest>) -> Result<Response<ReportResponse>, Status> {
        report::report(&self.node, request).await
    }

    async fn report_stream(
        &self,
        request: Request<Streaming<ReportRequest>>,
    ) -> Result<Response<Self::ReportStreamStream>, Status> {
        let sender = disco_identity::require_node(&request)?;
        Ok(Response::new(report::reports(&self.node, sender, request.into_inner())))
    }

    async fn report_end(&self, request: Request<ReportEndRequest>) -> Result<Response<ReportResponse>, Status> {
        report_end::report_end(&self.node, request).await
    }

    async fn reach(&self, request: Request<ReachRequest>) -> Result<Response<ReachResponse>, Status> {
        reach::reach(&self.node, request).await
    }

    async fn set_voter_secrets(&self, request: Request<VoterSecrets>) -> Result<Response<Empty>, Status> {
        certificates::set_voter_secrets(&self.node, request)
    }

    async fn status(&self, request: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        disco_identity::require_member(&request)?;
        nodes::status(&self.node, request).await
    }

    async fn propose(&self, request: Request<ProposeRequest>) -> Result<Response<ProposeResponse>, Status> {
        disco_identity::require_member(&request)?;
        kv::propose(&self.node, request).await
    }

    async fn propose_stream(
        &self,
        request: Request<Streaming<ProposeRequest>>,
    ) -> Result<Response<Self::ProposeStreamStream>, Status> {
        disco_identity::require_node(&request)?;
        Ok(Response::new(kv::propose_all(&self.node, request.into_inner())))
    }

    async fn range(&self, request: Request<ReadRequest>) -> Result<Response<RangeResponse>, Status> {
        disco_identity::require_member(&request)?;
        kv::range(&self.node, request).await
    }

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        disco_identity::require_member(&request)?;
        Ok(Response::new(kv::watch(&self.node, request.into_inner())?))
    }

    async fn lease_time(&self, request: Request<LeaseTimeRequest>) -> Result<Response<LeaseTimeResponse>, Status> {
        disco_identity::require_member(&request)?;
        kv::lease_time(&self.node, request).await
    }

    async fn renew_leases(
        &self,
        request: Request<RenewLeasesRequest>,
    ) -> Result<Response<RenewLeasesResponse>, Status> {
        disco_identity::require_member(&request)?;
        kv::renew_leases(&self.node, request).await
    }

    async fn configure(&self, request: Request<ConfigureRequest>) -> Result<Response<Empty>, Status> {
        disco_identity::require_member(&request)?;
        machines::configure(&self.node, request.into_inner()).await
    }

    async fn create_join_token(
        &self,
        request: Request<CreateJoinTokenRequest>,
    ) -> Result<Response<CreateJoinTokenResponse>, Status> {
        disco_identity::require_member(&request)?;
        admission::create_token(&self.node, request).await
    }

    async fn scale(&self, request: Request<ScaleRequest>) -> Result<Response<Self::ScaleStream>, Status> {
        disco_identity::require_member(&request)?;
        machines::scale(&self.node, request).await
    }

    async fn plan(&self, request: Request<PlanRequest>) -> Result<Response<PlanResponse>, Status> {
        disco_identity::require_member(&request)?;
        machines::plan(&self.node, request).await
    }

    async fn remove_node(
        &self,
        request: Request<RemoveNodeRequest>,
    ) -> Result<Response<Self::RemoveNodeStream>, Status> {
        disco_identity::require_member(&request)?;
        members::remove(&self.node, request).await
    }

    async fn move_leader(&self, request: Request<MoveLeaderRequest>) -> Result<Response<Empty>, Status> {
        disco_identity::require_member(&request)?;
        members::move_leader(&self.node, request).await
    }

    async fn claim_upgrade(
        &self,
        request: Request<ClaimUpgradeRequest>,
    ) -> Result<Response<ClaimUpgradeResponse>, Status> {
        disco_identity::require_member(&request)?;
        upgrades::claim(&self.node, request).await
    }

    async fn missing_blobs(
        &self,
        request: Request<MissingBlobsRequest>,
    ) -> Result<Response<MissingBlobsResponse>, Status> {
        disco_identity::require_member(&request)?;
        blobs::missing(&self.node, request).await
    }

    async fn put_blob(&self, request: Request<Streaming<BlobPart>>) -> Result<Response<Empty>, Status> {
        disco_identity::require_member(&request)?;
        blobs::put(&self.node, request.into_inner()).await
    }

    async fn missing_artifacts(
        &self,
        request: Request<MissingArtifactsRequest>,
    ) -> Result<Response<MissingArtifactsResponse>, Status> {
        disco_identity::require_member(&request)?;
        artifacts::missing(&self.node, request).await
    }

    async fn put_artifact(
        &self,
        request: Request<Streaming<ArtifactPart>>,
    ) -> Result<Response<Self::PutArtifactStream>, Status> {
        disco_identity::require_member(&request)?;
        Ok(Response::new(artifacts::put(&self.node, request.into_inner())))
    }

    async fn hold_artifact(
        &self,
        request: Request<HoldArtifactRequest>,
    ) -> Result<Response<Self::HoldArtifactStream>, Status> {
        disco_identity::require_node(&request)?;
        artifacts::hold(&self.node, request.into_inner()).map(Response::new)
    }

    async fn read_artifact(
        &self,
        request: Request<ReadArtifactRequest>,
    ) -> Result<Response<Self::ReadArtifactStream>, Status> {
        disco_identity::require_member(&request)?;
        artifacts::read(&self.node, &request.into_inner()).map(Response::new)
    }

    async fn push_script(&self, request: Request<PushScriptRequest>) -> Result<Response<PushScriptResponse>, Status> {
        disco_identity::require_member(&request)?;
        scripts::push(&self.node, request).await
    }

    async fn deploy(&self, request: Request<DeployRequest>) -> Result<Response<Self::DeployStream>, Status> {
        disco_identity::require_member(&request)?;
        scripts::deploy(&self.node, &self.scripts, request).await
    }

    async fn change_workloads(
        &self,
        request: Request<ChangeWorkloadsRequest>,
    ) -> Result<Response<ChangeWorkloadsResponse>, Status> {
        disco_identity::require_member(&request)?;
        workloads::change(&self.node, request).await
    }

    async fn change_jobs(&self, request: Request<ChangeJobsRequest>) -> Result<Response<ChangeJobsResponse>, Status> {
        disco_identity::require_member(&request)?;
        jobs::change(&self.node, request).await
    }

    async fn task_output(
        &self,
        request: Request<TaskOutputRequest>,
    ) -> Result<Response<Self::TaskOutputStream>, Status> {
        disco_identity::require_member(&request)?;
        task_output::task_output(&self.node, request).await
    }

    async fn task_values(&self, request: Request<TaskValuesRequest>) -> Result<Response<TaskValuesResponse>, Status> {
        secrets::task_values(&self.node, request)
    }

    async fn share_secrets_keys(&self, request: Request<SecretsKeys>) -> Result<Response<SecretsKeys>, Status> {
        secrets::share_keys(&self.node, request)
    }

    async fn exec(&self, request: Request<Streaming<ExecInput>>) -> Result<Response<Self::ExecStream>, Status> {
        let caller = disco_identity::require_member(&request)?.clone();
        exec::exec(&self.node, &self.sessions, &caller, request).await
    }

    async fn run_command(&self, request: Request<RunCommandRequest>) -> Result<Response<RunCommandResponse>, Status> {
        disco_identity::require_member(&request)?;
        nodes::command(&self.node, request).await
    }

    async fn copy_file(&self, request: Request<CopyFileRequest>) -> Result<Response<Empty>, Status> {
        disco_identity::require_member(&request)?;
        nodes::copy(&self.node, request).await
    }

    async fn usage(&self, request: Request<UsageRequest>) -> Result<Response<UsageResponse>, Status> {
        disco_identity::require_member(&request)?;
        metrics::usage(&self.node, request).await
    }

    async fn metrics(&self, request: Request<MetricsRequest>) -> Result<Response<MetricsResponse>, Status> {
        disco_identity::require_member(&request)?;
        metrics::metrics(&self.node, request).await
    }

    async fn logs(&self, request: Request<LogsRequest>) -> Result<Response<Self::LogsStream>, Status> {
        disco_identity::require_member(&request)?;
        logs::logs(&self.node, request).await
    }

    async fn signing_key_request(
        &self,
        request: Request<Empty>,
    ) -> Result<Response<SigningKeyRequestResponse>, Status> {
        disco_identity::require_member(&request)?;
        certificates::signing_key_request(&self.node, request).await
    }

    async fn rotate_certificate(
        &self,
        request: Request<RotateCertificateRequest>,
    ) -> Result<Response<RotateCertificateResponse>, Status> {
        disco_identity::require_member(&request)?;
        certificates::rotate(&self.node, request).await
    }

    async fn backup(&self, request: Request<Empty>) -> Result<Response<Self::BackupStream>, Status> {
        disco_identity::require_member(&request)?;
        backup::backup(&self.node, request).await
    }

    async fn list_backups(
        &self,
        request: Request<ListBackupsRequest>,
    ) -> Result<Response<ListBackupsResponse>, Status> {
        disco_identity::require_member(&request)?;
        backup::list(&self.node, request).await
    }

    async fn fetch_backup(
        &self,
        request: Request<FetchBackupRequest>,
    ) -> Result<Response<Self::FetchBackupStream>, Status> {
        disco_identity::require_member(&request)?;
        backup::fetch(&self.node, request).await
    }

    async fn restore(&self, request: Request<Streaming<BackupPart>>) -> Result<Response<Empty>, Status> {
        disco_identity::require_operator(&request)?;
        backup::restore(&self.node, request.into_inner()).await
    }

    async fn recover(&self, request: Request<RecoverRequest>) -> Result<Response<Empty>, Status> {
        disco_identity::require_operator(&request)?;
        nodes::recover(&self.node, request.into_inner()).await
    }

    async fn relocate(&self, request: Request<RelocateRequest>) -> Result<Response<Empty>, Status> {
        disco_identity::require_operator(&request)?;
        nodes::relocate(&self.node, request.into_inner())
    }

    async fn install_signing_key(&self, request: Request<InstallSigningKeyRequest>) -> Result<Response<Empty>, Status> {
        disco_identity::require_member(&request)?;
        certificates::install_signing_key(&self.node, request).await
    }
}
