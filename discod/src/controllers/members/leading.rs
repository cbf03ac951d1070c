//! The leader, as the members controller needs it beside its records: what it knows of nodes, and its effects. Tests have a leader in
//! memory, whose term ends between any two effects.

use std::future::Future;

use anyhow::Result;
use disco_consensus::members::Membership;
use disco_planner::members::{Leader as Own, Node, Reason};
use disco_planner::{Member as Planned, Policy};
use disco_proto::v1::ReportRequest;
use tokio::sync::MutexGuard;

use super::{signing_keys, view};
use crate::args::DaemonArgs;
use crate::cluster::nodes::view::{planned, policy};
use crate::cluster::nodes::{removal, voter_secrets};
use crate::cluster::secrets;
use crate::controllers::{format, machines};
use crate::home::VoterSecrets;
use crate::node::{Leader, Node as Replica};
use crate::raft::{Member, RaftNode};
use crate::records::Records;

/// The leader of one term.
///
/// # Errors
/// All methods: what was to be done was not done, or its outcome is unknown; a retry is safe.
pub(super) trait Leading: Records {
    /// Changes the membership.
    type Raft: Membership;

    /// Changes the membership.
    fn raft(&self) -> &Self::Raft;
    /// The leader's own state.
    fn own(&self) -> Own;
    /// The members, and the nodes that report.
    fn nodes(&self, members: &[Member]) -> Vec<Node>;
    /// The members as the choice of voters sees them.
    fn planned(&self) -> Vec<Planned>;
    /// The limits of decisions.
    fn policy(&self) -> Policy;
    /// The last report of a node.
    fn report(&self, id: u64) -> Option<ReportRequest>;
    /// The arguments of the node's daemon, if that is this leader.
    fn args(&self, id: u64) -> Option<&DaemonArgs>;
    /// Gets a key of secrets that the leader lacks from other voters.
    fn complete_keys(&self) -> impl Future<Output = ()> + Send;
    /// Voters that lack a key of secrets.
    fn without_keys(&self) -> Vec<u64>;
    /// The voters' secrets, if this leader has them.
    fn secrets(&self) -> Option<VoterSecrets>;

    /// Logs that leadership will be handed over.
    fn hands_over(&self, to: u64, reason: Reason);
    /// Keeps machines' rights as they are while it is held; `None`: this takes too long.
    fn hold_rights(&self) -> impl Future<Output = Option<MutexGuard<'_, ()>>> + Send;
    /// Gives a node's machine the rights of a voter's.
    fn give_rights(&self, id: u64) -> impl Future<Output = ()> + Send;
    /// Sends a node the voters' secrets.
    fn give_secrets(&self, id: u64, secrets: VoterSecrets) -> impl Future<Output = Result<()>> + Send;
    /// Makes a former voter delete the secrets.
    fn take_back_secrets(&self, id: u64) -> impl Future<Output = ()> + Send;
    /// Retires a signing key that no member needs. True if something was changed.
    fn retire_keys(&self, members: &[Member]) -> impl Future<Output = Result<bool>> + Send;
    /// Raises the format of the data. True if something was changed.
    fn raise_format(&self, members: &[Member]) -> impl Future<Output = Result<bool>> + Send;
    /// Writes an event about a node, by its name.
    fn report_event(&self, kind: &str, id: u64, what: &str) -> impl Future<Output = ()> + Send;
    /// Removes a node.
    fn remove(&self, id: u64) -> impl Future<Output = Result<()>> + Send;
}

// === impl Leader ===

impl Leading for Leader {
    type Raft = RaftNode;

    fn raft(&self) -> &RaftNode {
        Replica::raft(self)
    }

    fn own(&self) -> Own {
        view::leader(self)
    }

    fn nodes(&self, members: &[Member]) -> Vec<Node> {
        view::nodes(self, members)
    }

    fn planned(&self) -> Vec<Planned> {
        planned(self)
    }

    fn policy(&self) -> Policy {
        policy(self)
    }

    fn report(&self, id: u64) -> Option<ReportRequest> {
        self.reports().get(id).map(|heard| heard.report)
    }

    fn args(&self, id: u64) -> Option<&DaemonArgs> {
        (id == self.id()).then(|| Replica::args(self))
    }

    async fn complete_keys(&self) {
        secrets::complete(self).await;
    }

    fn without_keys(&self) -> Vec<u64> {
        secrets::lacking(self)
    }

    fn secrets(&self) -> Option<VoterSecrets> {
        Replica::secrets(self)
    }

    fn hands_over(&self, to: u64, reason: Reason) {
        let free = Replica::raft(self).room().free;
        tracing::warn!(to, free_mib = free >> 20, "hands leadership over, because {reason}");
    }

    async fn hold_rights(&self) -> Option<MutexGuard<'_, ()>> {
        machines::hold_rights(self).await
    }

    async fn give_rights(&self, id: u64) {
        machines::give_before_promotion(self, id).await;
    }

    /// Not again before the node's next report.
    async fn give_secrets(&self, id: u64, secrets: VoterSecrets) -> Result<()> {
        let keys = self.secrets_keys();
        let secrets = disco_proto::v1::VoterSecrets { secrets_keys: Some((&keys).into()), ..secrets.into() };
        voter_secrets::hand_over(self, id, secrets).await?;
        if let Some(heard) = self.reports().get(id) {
            let signing_serial = self.signing_serial();
            // Not of a program that knows no secrets.
            let secrets_keys = heard.report.secrets_keys.as_ref().map(|_| keys.ids());
            self.reports().record(ReportRequest { signing_serial, secrets_keys, ..heard.report });
        }
        Ok(())
    }

    async fn take_back_secrets(&self, id: u64) {
        voter_secrets::take_back(self, id).await;
    }

    async fn retire_keys(&self, members: &[Member]) -> Result<bool> {
        signing_keys::retire(self, members).await
    }

    async fn raise_format(&self, members: &[Member]) -> Result<bool> {
        format::raise(self, members).await
    }

    async fn report_event(&self, kind: &str, id: u64, what: &str) {
        voter_secrets::tell(self, kind, id, what).await;
    }

    async fn remove(&self, id: u64) -> Result<()> {
        removal::remove(self, id, false, false).await
    }
}
