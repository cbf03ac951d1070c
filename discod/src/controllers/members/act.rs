//! What a change of the membership requires beside Raft: records, secrets, rights and events.

use anyhow::{Context, Error, Result, bail};
use disco_consensus::members;
use disco_planner::members::{Leader as Own, Node, Reason};
use disco_planner::twins::Life;
use disco_planner::{Member as Planned, Policy, dead};
use tokio::sync::MutexGuard;

use super::leading::Leading;
use crate::args::DaemonArgs;
use crate::raft::{Member, NodeInfo, RaftError};
use crate::records::{self, NodeRecord, Severity};

/// The leader, as the pass sees it.
pub(super) struct Acting<'a, L>(pub(super) &'a L);

// === impl Acting ===

impl<'a, L: Leading> members::Leader for Acting<'a, L> {
    type Raft = L::Raft;
    type Error = Error;
    type Held = Option<MutexGuard<'a, ()>>;

    fn raft(&self) -> &L::Raft {
        self.0.raft()
    }

    fn own(&self) -> Own {
        self.0.own()
    }

    fn nodes(&self, members: &[Member]) -> Vec<Node> {
        self.0.nodes(members)
    }

    fn planned(&self) -> Vec<Planned> {
        self.0.planned()
    }

    fn policy(&self) -> Policy {
        self.0.policy()
    }

    fn name(&self, id: u64) -> Option<String> {
        self.0.read(|store| records::node(store, id)).map(|record| record.name)
    }

    fn address(&self, id: u64) -> Option<String> {
        self.0.report(id).map(|report| report.address)
    }

    fn failed(&self, what: String, error: RaftError) -> Error {
        Error::new(error).context(what)
    }

    fn hands_over(&self, to: u64, reason: Reason) {
        self.0.hands_over(to, reason);
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
        self.0.complete_keys().await;
        let mut lacking = disco_planner::members::without_secrets(own, nodes);
        let also: Vec<u64> = self.0.without_keys().into_iter().filter(|id| !lacking.contains(id)).collect();
        lacking.extend(also);
        Ok(give_secrets_to(self.0, &lacking).await || self.0.retire_keys(members).await?)
    }

    async fn hold(&self) -> Option<MutexGuard<'a, ()>> {
        self.0.hold_rights().await
    }

    /// Gives a node the secrets and rights of a voter, since it may lead.
    async fn prepare(&self, id: u64) -> Result<()> {
        let Some(secrets) = self.0.secrets() else { bail!("this leader does not have the signing key") };
        self.0.give_secrets(id, secrets).await.with_context(|| format!("sending node {id} the signing key"))?;
        self.0.give_rights(id).await;
        Ok(())
    }

    async fn promoted(&self, id: u64, instead_of: Option<u64>) -> Result<()> {
        let what = match instead_of {
            None => "is a voter now".to_owned(),
            Some(old) => format!("is a voter now, in place of node {old}"),
        };
        self.0.report_event("node.promoted", id, &what).await;
        Ok(())
    }

    async fn lost_vote(&self, id: u64) -> Result<()> {
        self.0.take_back_secrets(id).await;
        Ok(())
    }

    /// Raises the format, and removes a member that was silent for days.
    async fn after_voters(&self, members: &[Member]) -> Result<bool> {
        if self.0.raise_format(members).await? {
            return Ok(true);
        }
        let Some(id) = dead::to_remove(&self.0.planned(), &self.0.policy()) else { return Ok(false) };
        self.0.report_event("node.expired", id, "was silent for too long, and is removed").await;
        self.0.remove(id).await.with_context(|| format!("removing node {id}"))?;
        Ok(true)
    }
}

/// Creates the record of a member without one: the founder.
async fn record(leader: &impl Leading, member: &Member) -> Result<()> {
    let id = member.id;
    let Some(report) = leader.report(id) else { return Ok(()) };
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
    leader.write(txn.operation()).await.with_context(|| format!("recording node {id}"))?;
    Ok(())
}

/// The founder's own settings; the records of other nodes come from their join.
fn founders<T: Default>(leader: &impl Leading, id: u64, read: impl Fn(&DaemonArgs) -> T) -> T {
    leader.args(id).map(read).unwrap_or_default()
}

/// Sends these nodes the secrets of voters. A node that does not accept them does not prevent the others. Returns
/// whether any accepted them.
async fn give_secrets_to(leader: &impl Leading, ids: &[u64]) -> bool {
    let Some(secrets) = leader.secrets() else { return false };
    let mut given = false;
    for id in ids {
        match leader.give_secrets(*id, secrets.clone()).await {
            Ok(()) => given = true,
            Err(error) => {
                tracing::warn!(node = id, error = format!("{error:#}"), "the node did not accept the signing key")
            }
        }
    }
    given
}
