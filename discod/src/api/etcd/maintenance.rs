//! Operators' requests: status, alarms, checksums, snapshots, transfer of leadership.

use disco_proto::etcdserverpb::alarm_request::AlarmAction;
use disco_proto::etcdserverpb::maintenance_server::Maintenance;
use disco_proto::etcdserverpb::{
    AlarmMember, AlarmRequest, AlarmResponse, AlarmType, DefragmentRequest, DefragmentResponse, DowngradeRequest,
    DowngradeResponse, HashKvRequest, HashKvResponse, HashRequest, HashResponse, MoveLeaderRequest, MoveLeaderResponse,
    SnapshotRequest, SnapshotResponse, StatusRequest, StatusResponse,
};
use disco_proto::v1::SetAlarmRequest;
use disco_proto::v1::command::Operation;
use disco_proto::v1::command_response::Result as Answer;
use disco_store::Store;
use tonic::{Request, Response, Status};

use super::header::API_VERSION;
use super::{EtcdService, errors, snapshot};
use crate::api::{Answers, internal};
use crate::raft::{RaftError, Role};

impl EtcdService {
    /// The alarm of the store. It is the whole cluster's, reported as this member's.
    fn no_space_alarm(&self) -> AlarmMember {
        AlarmMember { member_id: self.node.id(), alarm: AlarmType::Nospace.into() }
    }

    async fn set_alarm(&self, no_space: bool) -> Result<(i64, bool), Status> {
        match self.write(Operation::SetAlarm(SetAlarmRequest { no_space })).await? {
            (revision, Answer::SetAlarm(answer)) => Ok((revision, answer.was_raised)),
            _ => Err(errors::unexpected()),
        }
    }
}

/// Runs slow work outside of the async threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Status> {
    tokio::task::spawn_blocking(work).await.map_err(internal)
}

#[tonic::async_trait]
impl Maintenance for EtcdService {
    type SnapshotStream = Answers<SnapshotResponse>;

    async fn status(&self, request: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        disco_identity::require_user(&request)?;
        let raft = self.node.raft();
        let leadership = raft.leadership().borrow().clone();
        let (size, history, quota, full, revision) = raft.store().read(|store| {
            (store.size_bytes(), store.history_bytes(), store.limits().quota_bytes, store.is_full(), store.revision())
        });
        let bytes = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let mut problems = Vec::new();
        if leadership.leader.is_none() {
            problems.push(errors::no_leader().message().to_owned());
        }
        if full {
            problems.push(format!("memberID:{} alarm:NOSPACE", self.node.id()));
        }
        let is_learner =
            raft.members().iter().any(|member| member.id == self.node.id() && member.role == Role::Learner);
        Ok(Response::new(StatusResponse {
            header: self.header(revision),
            version: API_VERSION.to_owned(),
            db_size: bytes(size),
            leader: leadership.leader.unwrap_or(0),
            raft_index: raft.last_index(),
            raft_term: leadership.term,
            raft_applied_index: raft.applied_index(),
            errors: problems,
            db_size_in_use: bytes(size - history),
            is_learner,
            storage_version: API_VERSION.to_owned(),
            db_size_quota: bytes(quota),
        }))
    }

    async fn alarm(&self, request: Request<AlarmRequest>) -> Result<Response<AlarmResponse>, Status> {
        self.admit(&request)?;
        // Clients see the alarm.
        if request.get_ref().action() != AlarmAction::Get {
            disco_identity::require_member(&request)?;
        }
        let alarm = request.into_inner();
        let is_no_space = alarm.alarm() == AlarmType::Nospace;
        let (revision, raised) = match AlarmAction::try_from(alarm.action) {
            Ok(AlarmAction::Get) => {
                self.barrier().await?;
                let (revision, full) = self.node.raft().store().read(|store| (store.revision(), store.is_full()));
                (revision, full && (is_no_space || alarm.alarm() == AlarmType::None))
            }
            Ok(AlarmAction::Activate) if is_no_space => (self.set_alarm(true).await?.0, true),
            Ok(AlarmAction::Deactivate) if is_no_space => self.set_alarm(false).await?,
            Ok(AlarmAction::Deactivate) => (self.node.raft().store().read(Store::revision), false),
            _ => return Err(Status::invalid_argument("etcdserver: only the alarm NOSPACE can be raised")),
        };
        let alarms = if raised { vec![self.no_space_alarm()] } else { Vec::new() };
        Ok(Response::new(AlarmResponse { header: self.header(revision), alarms }))
    }

    async fn defragment(&self, request: Request<DefragmentRequest>) -> Result<Response<DefragmentResponse>, Status> {
        disco_identity::require_user(&request)?;
        // Compaction frees space immediately.
        Ok(Response::new(DefragmentResponse { header: self.header_now() }))
    }

    async fn hash(&self, request: Request<HashRequest>) -> Result<Response<HashResponse>, Status> {
        disco_identity::require_user(&request)?;
        let store = self.node.raft().store().copy();
        let revision = store.revision();
        let hash = blocking(move || store.hash()).await?;
        Ok(Response::new(HashResponse { header: self.header(revision), hash }))
    }

    async fn hash_kv(&self, request: Request<HashKvRequest>) -> Result<Response<HashKvResponse>, Status> {
        disco_identity::require_user(&request)?;
        let revision = request.into_inner().revision;
        // The client compares nodes at a revision that another node reported; this one may not have applied it yet.
        if revision > self.node.raft().store().read(Store::revision) {
            self.barrier().await?;
        }
        let store = self.node.raft().store().copy();
        let now = store.revision();
        let hash = blocking(move || store.hash_kv(revision)).await?.map_err(errors::of_read)?;
        Ok(Response::new(HashKvResponse {
            header: self.header(now),
            hash: hash.hash,
            compact_revision: hash.compact_revision,
            hash_revision: hash.revision,
        }))
    }

    async fn snapshot(&self, request: Request<SnapshotRequest>) -> Result<Response<Self::SnapshotStream>, Status> {
        self.admit(&request)?;
        // It has Disco's own records, too.
        disco_identity::require_member(&request)?;
        let place = self.snapshots.clone().try_acquire_owned().map_err(|_| errors::too_many_requests())?;
        // A client that saves a snapshot expects every acknowledged write in the file.
        self.barrier().await?;
        let store = self.node.raft().store().copy();
        Ok(Response::new(snapshot::send(store, place)))
    }

    async fn move_leader(&self, request: Request<MoveLeaderRequest>) -> Result<Response<MoveLeaderResponse>, Status> {
        self.admit(&request)?;
        disco_identity::require_member(&request)?;
        let target = request.into_inner().target_id;
        let raft = self.node.raft();
        if raft.leads().is_none() {
            return Err(errors::not_leader());
        }
        if !raft.members().iter().any(|member| member.id == target && member.role == Role::Voter) {
            return Err(errors::bad_transferee());
        }
        if target != self.node.id() {
            raft.transfer_leadership(Some(target)).await.map_err(|error| match error {
                RaftError::NotLeader { .. } => errors::not_leader(),
                RaftError::Membership(_) => errors::bad_transferee(),
                RaftError::Unknown(_) => errors::timed_out(),
                RaftError::Stopped(_) => errors::stopped(),
            })?;
        }
        Ok(Response::new(MoveLeaderResponse { header: self.header_now() }))
    }

    async fn downgrade(&self, request: Request<DowngradeRequest>) -> Result<Response<DowngradeResponse>, Status> {
        self.admit(&request)?;
        Err(Status::failed_precondition("etcdserver: the cluster's version is Disco's; change it with `disco upgrade`"))
    }
}
