//! Public addresses: the cluster's address moves to the leader's machine, or to that of the node that the script names, and each
//! node's record holds the address at which operators reach it.
//!
//! Only for providers with such addresses. They change when a machine is stopped and started, and when the cluster's
//! address moves; a node whose certificate lacks an address of its record requests a new certificate by itself.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::Instant;

use super::leading::Leading;
use crate::controllers::driver::{Controller, Outcome, Schedule};
use crate::records::{self, NodeRecord, Records, Severity};

/// Duration of leadership before it moves the cluster's address, so that repeated elections do not.
const SETTLED: Duration = Duration::from_secs(5);
/// How often the machines' addresses are requested from the provider.
const INTERVAL: Duration = Duration::from_secs(60);
/// How often the holder of the cluster's address is determined, which needs no request.
const PERIOD: Duration = Duration::from_secs(5);

/// Keeps the cluster's address and the nodes' public addresses up to date.
pub(super) struct Addresses {
    /// When this leader's term began.
    began: Instant,
    /// The machine to which this leader has moved the cluster's address.
    placed: Option<Holder>,
    /// Time of the next request to the provider.
    next: Instant,
}

// === impl Addresses ===

impl Default for Addresses {
    fn default() -> Self {
        let now = Instant::now();
        Self { began: now, placed: None, next: now }
    }
}

impl<L: Leading> Controller<L> for Addresses {
    const NAME: &'static str = "addresses";

    fn schedule(&self, _: &L) -> Schedule {
        Schedule { period: PERIOD, on_wake_up: false, on_revision: None, pause: None }
    }

    async fn pass(&mut self, leader: &L) -> Result<Outcome> {
        let settling = SETTLED.saturating_sub(self.began.elapsed());
        if !settling.is_zero() {
            return Ok(Outcome::Rests(settling));
        }
        if !has_addresses(leader) {
            return Ok(Outcome::Rests(INTERVAL));
        }
        let holder = holder(leader);
        let mut moved = Ok(());
        if holder.is_some() && holder != self.placed {
            moved = move_address(leader, holder.as_ref()).await.context("moving the cluster's address");
            if moved.is_ok() {
                self.placed = holder;
            }
        }
        if Instant::now() >= self.next {
            self.next = Instant::now() + INTERVAL;
            follow(leader).await.context("reading the machines' addresses from the provider")?;
        }
        moved.map(|()| Outcome::Settled)
    }
}

/// A node with its machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::controllers) struct Holder {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) machine: String,
}

/// Whether machines have external addresses that must be tracked.
fn has_addresses(leader: &impl Leading) -> bool {
    leader.has_provider() && leader.provider().is_ok_and(|provider| provider.capabilities().can_attach_address)
}

/// The holder of the cluster's address: the node that the script names, as long as that is a member, otherwise the leader.
fn holder(leader: &impl Leading) -> Option<Holder> {
    let (nodes, named) = leader.read(|store| {
        (records::nodes(store), records::get::<String>(store, records::keys::ADDRESS_NODE).map(|name| name.value))
    });
    let members = leader.members();
    let of = |record: &NodeRecord| Holder { id: record.id, name: record.name.clone(), machine: record.machine.clone() };
    let is_present = |record: &&NodeRecord| {
        !record.machine.is_empty() && !record.leaving && members.iter().any(|member| member.id == record.id)
    };
    let named = named.filter(|name| !name.is_empty());
    let chosen = named.and_then(|name| nodes.iter().filter(is_present).find(|record| record.name == name).map(of));
    chosen.or_else(|| leader.own_machine())
}

/// Moves the cluster's address, if it has one, to this machine.
async fn move_address(leader: &impl Leading, holder: Option<&Holder>) -> Result<()> {
    let holder = holder.context("this node does not know its machine")?;
    let before = public_address(leader, holder.id);
    let Some(address) = leader.provider()?.move_address(&holder.machine).await? else { return Ok(()) };
    if before != address.to_string() {
        let text = format!("{address} now belongs to {}", holder.name);
        records::emit_in_term(leader, "address.moved", Severity::Info, Some(holder.id), text).await;
    }
    Ok(())
}

fn public_address(leader: &impl Leading, id: u64) -> String {
    leader.read(|store| records::node(store, id)).map(|record| record.public_address).unwrap_or_default()
}

/// Records changed public addresses of machines.
async fn follow(leader: &impl Leading) -> Result<()> {
    let machines = leader.provider()?.list().await?;
    let known: BTreeMap<String, Option<IpAddr>> =
        machines.into_iter().map(|machine| (machine.id, machine.public_address)).collect();
    record(leader, &known).await
}

/// Records the public addresses of these machines in their nodes' records.
async fn record(records: &impl Records, known: &BTreeMap<String, Option<IpAddr>>) -> Result<()> {
    for node in records.read(records::nodes) {
        let change = |record: &NodeRecord| moved(record, *known.get(&record.machine)?);
        if let Some(changed) = records::change(records, &records::keys::node(node.id), change).await? {
            let (from, to) = (changed.before.public_address, changed.after.public_address);
            tracing::info!(node = node.id, from, to, "public address changed");
        }
    }
    Ok(())
}

/// The record with the new address; `None` if it already has that.
fn moved(record: &NodeRecord, public: Option<IpAddr>) -> Option<NodeRecord> {
    let public = public.map(|address| address.to_string()).unwrap_or_default();
    if public == record.public_address {
        return None;
    }
    let mut extra_addresses = record.extra_addresses.clone();
    extra_addresses.retain(|address| *address != record.public_address);
    extra_addresses.extend(Some(public.clone()).filter(|address| !address.is_empty()));
    Some(NodeRecord { public_address: public, extra_addresses, ..record.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::{FakeRecords, keys};

    fn record() -> NodeRecord {
        NodeRecord {
            public_address: "198.51.100.1".into(),
            extra_addresses: vec!["10.0.0.9".into(), "198.51.100.1".into()],
            ..NodeRecord::default()
        }
    }

    #[test]
    fn a_new_address_replaces_the_previous_one() {
        assert_eq!(moved(&record(), Some(IpAddr::from([198, 51, 100, 1]))), None);
        let now = moved(&record(), Some(IpAddr::from([198, 51, 100, 2]))).unwrap();
        assert_eq!(now.public_address, "198.51.100.2");
        assert_eq!(now.extra_addresses, ["10.0.0.9", "198.51.100.2"]);
    }

    #[tokio::test]
    async fn a_removal_that_begins_at_the_same_time_is_not_undone() {
        let (records, key) = (FakeRecords::default(), keys::node(1));
        let node = NodeRecord { id: 1, machine: "i-1".into(), ..record() };
        records.put(&key, &node);
        records.put_meanwhile(&key, &NodeRecord { leaving: true, ..node });
        let known = BTreeMap::from([("i-1".to_owned(), Some(IpAddr::from([198, 51, 100, 7])))]);
        super::record(&records, &known).await.unwrap();
        let written: NodeRecord = records.get(&key).unwrap();
        assert!(written.leaving);
        assert_eq!(written.public_address, "198.51.100.7");
    }

    #[tokio::test]
    async fn a_machine_that_the_provider_does_not_list_keeps_its_address() {
        let (records, key) = (FakeRecords::default(), keys::node(1));
        records.put(&key, &NodeRecord { id: 1, machine: "i-1".into(), ..record() });
        super::record(&records, &BTreeMap::new()).await.unwrap();
        assert_eq!(records.get::<NodeRecord>(&key).unwrap().public_address, "198.51.100.1");
    }

    #[test]
    fn a_machine_may_lose_its_address() {
        let now = moved(&record(), None).unwrap();
        assert_eq!((now.public_address.as_str(), now.extra_addresses), ("", vec!["10.0.0.9".to_owned()]));
    }
}
