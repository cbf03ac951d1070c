//! What a change of the membership requires beside Raft: records, secrets, rights and events.

use anyhow::{Context, Error, Result, bail};
use disco_consensus::members;
use disco_planner::members::{Leader as Own, Node, Reason};
use disco_planner::twins::Life;
use disco_planner::{Member as Planned, Policy, dead};
use disco_proto::v1::ReportRequest;
use tokio::sync::MutexGuard;

use super::{signing_keys, view};
use crate::cluster::nodes::view::{planned, policy};
use crate::cluster::nodes::{removal, voter_secrets};
use crate::controllers::{format, machines};
use crate::home::VoterSecrets;
use crate::node::Leader;
use crate::raft::{Member, NodeInfo, RaftError, RaftNode};
use crate::records::{self, NodeRecord, Severity};

/// The leader, as the pass sees it.
pub(super) struct Acting<'a>(pub(super) &'a Leader);

// === impl Acting ===

impl<'a> members::Leader for Acting<'a> {
    type Raft = RaftNode;
    type Error = Error;
    type Held = Option<MutexGuard<'a, ()>>;

    fn raft(&self) -> &RaftNode {
        self.0.raft()
    }

    fn own(&self) -> Own {
        view::leader(self.0)
    }

    fn nodes(&self, members: &[Member]) -> Vec<Node> {
        view::nodes(self.0, members)
    }

    fn planned(&self) -> Vec<Planned> {
        planned(self.0)
    }

    fn policy(&self) -> Policy {
        policy(self.0)
    }

    fn name(&self, id: u64) -> Option<String> {
        self.0.raft().store().read(|store| records::node(store, id)).map(|record| record.name)
    }

    fn address(&self, id: u64) -> Option<String> {
        self.0.reports().get(id).map(|heard| heard.report.address)
    }

    fn failed(&self, what: String, error: RaftError) -> Error {
        Error::new(error).context(what)
    }

    fn hands_over(&self, to: u64, reason: Reason) {
        tracing::warn!(to, free_mib = self.0.raft().room().free >> 20, "hands leadership over, because {reason}");
    }

    async fn record(&self, member: &Member) -> Result<()> {
        record(self.0, member).await
    }

    async fn remember(&self, id: u64, life: Life) -> Result<()> {
        let begun = |record: &NodeRecord| {
            Some(NodeRecord { incarnation: life.number, run: format!("{:016x}", life.run), ..record.clone() })
        };
        let changed = records::change(self.0, &records::keys::node(id), begun).await;
        changed.map(drop).with_context(|| format!("recording the start of node {id}"))
    }

    async fn admitted(&self, id: u64, info: &NodeInfo) -> Result<()> {
        let text = format!("{} joined at {}", info.name, info.address);
        records::emit_in_term(self.0, "node.joined", Severity::Info, Some(id), text).await;
        Ok(())
    }

    async fn moved(&self, before: &Member, address: &str) -> Result<()> {
        let NodeInfo { name, address: earlier } = &before.info;
        let moved = |record: &NodeRecord| Some(NodeRecord { address: address.to_owned(), ..record.clone() });
        records::change(self.0, &records::keys::node(before.id), moved).await?;
        let text = format!("{name} moved from {earlier} to {address}");
        records::emit_in_term(self.0, "node.moved", Severity::Info, Some(before.id), text).await;
        Ok(())
    }

    async fn before_voters(&self, own: &Own, nodes: &[Node], members: &[Member]) -> Result<bool> {
        let lacking = disco_planner::members::without_secrets(own, nodes);
        Ok(give_secrets_to(self.0, &lacking).await || signing_keys::retire(self.0, members).await?)
    }

    async fn hold(&self) -> Option<MutexGuard<'a, ()>> {
        machines::hold_rights(self.0).await
    }

    /// Gives a node the secrets and rights of a voter, since it may lead.
    async fn prepare(&self, id: u64) -> Result<()> {
        let Some(secrets) = self.0.secrets() else { bail!("this leader does not have the signing key") };
        give_secrets(self.0, id, secrets).await.with_context(|| format!("sending node {id} the signing key"))?;
        machines::give_before_promotion(self.0, id).await;
        Ok(())
    }

    async fn promoted(&self, id: u64, instead_of: Option<u64>) -> Result<()> {
        let what = match instead_of {
            None => "is a voter now".to_owned(),
            Some(old) => format!("is a voter now, in place of node {old}"),
        };
        voter_secrets::tell(self.0, "node.promoted", id, &what).await;
        Ok(())
    }

    async fn lost_vote(&self, id: u64) -> Result<()> {
        voter_secrets::take_back(self.0, id).await;
        Ok(())
    }

    /// Raises the format, and removes a member that was silent for days.
    async fn after_voters(&self, members: &[Member]) -> Result<bool> {
        if format::raise(self.0, members).await? {
            return Ok(true);
        }
        let Some(id) = dead::to_remove(&planned(self.0), &policy(self.0)) else { return Ok(false) };
        voter_secrets::tell(self.0, "node.expired", id, "was silent for too long, and is removed").await;
        removal::remove(self.0, id, false).await.with_context(|| format!("removing node {id}"))?;
        Ok(true)
    }
}

/// Creates the record of a member without one: the founder.
async fn record(leader: &Leader, member: &Member) -> Result<()> {
    let id = member.id;
    let Some(heard) = leader.reports().get(id) else { return Ok(()) };
    let report = heard.report;
    let record = NodeRecord {
        id,
        name: member.info.name.clone(),
        address: member.info.address.clone(),
        machine: report.instance,
        extra_addresses: founders(leader, id, crate::join::extra_addresses),
        public_address: founders(leader, id, |args| {
            args.public_address.map(|address| address.to_string()).unwrap_or_default()
        }),
        version: report.version,
        joined_at: crate::clock::rfc3339(),
        ..NodeRecord::default()
    };
    let key = records::keys::node(id);
    let txn = records::Txn::new().expect(&key, 0).put(&key, &record);
    leader.write_in_term(txn.operation()).await.with_context(|| format!("recording node {id}"))?;
    Ok(())
}

/// The founder's own settings; the records of other nodes come from their join.
fn founders<T: Default>(leader: &Leader, id: u64, read: impl Fn(&crate::args::DaemonArgs) -> T) -> T {
    if id == leader.id() { read(leader.args()) } else { T::default() }
}

/// Sends these nodes the secrets of voters. A node that does not accept them does not prevent the others. Returns
/// whether any accepted them.
async fn give_secrets_to(leader: &Leader, ids: &[u64]) -> bool {
    let Some(secrets) = leader.secrets() else { return false };
    let mut given = false;
    for id in ids {
        match give_secrets(leader, *id, secrets.clone()).await {
            Ok(()) => given = true,
            Err(error) => {
                tracing::warn!(node = id, error = format!("{error:#}"), "the node did not accept the signing key")
            }
        }
    }
    given
}

/// Sends a node the secrets of voters, and not again before its next report.
async fn give_secrets(leader: &Leader, id: u64, secrets: VoterSecrets) -> Result<()> {
    voter_secrets::hand_over(leader, id, secrets.into()).await?;
    if let Some(heard) = leader.reports().get(id) {
        let signing_serial = leader.signing_serial();
        leader.reports().record(ReportRequest { signing_serial, ..heard.report });
    }
    Ok(())
}
