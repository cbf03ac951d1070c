//! The cluster's provider, and the release of machines.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use disco_proto::v1::Progress;
use disco_provider::install::{Architecture, Other, Owner, Remote};
use disco_provider::ssh::{ConnectOptions, KeyPair, Session};
use disco_provider::{
    Announcements, Budget, KnownMachine, Machine, MachineState, Provider, ProviderContext, SshTarget, StartRequest,
};

use super::view::{dead, limits};
use crate::cluster::nodes::removal::REMOVED;
use crate::cluster::nodes::view::planned;
use crate::node::{Leader, Node};
use crate::records::machine_state::TERMINATING;
use crate::records::{self, MachineRecord, NodeRecord, ProviderRecord, Records, Severity};

/// Time limit for uninstalling Disco from the machine of a node that leaves: the stop of its daemon, then the end of its tasks,
/// see `agent/tasks/process/end_all.rs`, and the connection.
const CLEARING: Duration = Duration::from_secs(90);
/// Time limit for the connection to it: a machine that is gone must not hold up the removal of its node.
const CONNECTS_WITHIN: Duration = Duration::from_secs(20);
/// Time limit for a machine to end before the leader reports a failure and retries. Clouds take a minute or two.
const ENDS_WITHIN: Duration = Duration::from_secs(180);
/// Pause between two checks of a machine that is ending: the first and the longest.
const LOOKS_FIRST: Duration = Duration::from_millis(50);
const LOOKS_LAST: Duration = Duration::from_secs(5);
/// The kind of provider whose machines are given by the operator.
const HOSTS: &str = "hosts";
/// Assumed number of machines of a provider without a limit.
const PLENTY: usize = 1000;

/// The provider of `cluster.js`, or else the one of `client.js`. Given hosts are those that either names: an operator
/// who adds one to the local script has allowed its use.
pub fn spec(node: &Node) -> Option<ProviderRecord> {
    let recorded = node.raft().store().read(|store| records::get::<ProviderRecord>(store, records::keys::PROVIDER));
    match (node.scripts().provider_spec(), recorded.map(|spec| spec.value)) {
        (Some(own), Some(recorded)) if own.kind == HOSTS && recorded.kind == HOSTS => {
            let options = disco_provider::hosts::merge(&own.options, &recorded.options);
            Some(ProviderRecord { options, ..own })
        }
        (own, recorded) => own.or(recorded),
    }
}

/// The machines that are nodes or are becoming one: the provider of given hosts recognises them by these.
fn known(node: &Node) -> Vec<KnownMachine> {
    let (nodes, machines) = node.raft().store().read(|store| (records::nodes(store), records::machines(store)));
    let ssh = |id: &str| machines.iter().find(|machine| machine.id == id).and_then(|machine| machine.ssh.parse().ok());
    let nodes = nodes.iter().map(|node| (&node.machine, &node.address));
    let all = nodes.chain(machines.iter().map(|machine| (&machine.id, &machine.address)));
    let mut known: Vec<KnownMachine> = Vec::new();
    for (id, address) in all.filter(|(id, _)| !id.is_empty()) {
        if known.iter().all(|machine| machine.id != *id) {
            known.push(KnownMachine { id: id.clone(), control_address: address.parse().ok(), ssh: ssh(id) });
        }
    }
    known
}

/// The SSH addresses of the nodes' machines, by the machines' ids, for operators on other computers; empty if the
/// provider supplies them itself.
pub fn ssh_targets(node: &Node) -> BTreeMap<String, SshTarget> {
    if spec(node).is_none_or(|spec| spec.kind != HOSTS) {
        return BTreeMap::new();
    }
    let Ok(provider) = provider(node) else { return BTreeMap::new() };
    known(node)
        .into_iter()
        .filter_map(|machine| Some((provider.ssh_target(&machine.id)?, machine.id)))
        .map(|(ssh, id)| (id, ssh))
        .collect()
}

/// The provider itself.
pub fn provider(node: &Node) -> Result<Arc<dyn Provider>> {
    let spec = spec(node).context("the cluster has no provider of machines")?;
    let context = ProviderContext {
        cluster_name: node.cluster_name().to_owned(),
        cluster_id: Some(node.cluster_id().to_string()),
        project_dir: None,
        local_dir: None,
        machine_executable: std::env::current_exe().context("locating this program's file")?,
        known: if spec.kind == HOSTS { known(node) } else { Vec::new() },
    };
    disco_provider::from_spec(&spec.kind, &spec.options, &context).context("setting up the provider")
}

/// Whether machines have rights at the provider, which only voters may have.
pub fn has_roles(node: &Node) -> bool {
    spec(node).is_some() && provider(node).is_ok_and(|provider| provider.capabilities().has_roles)
}

/// What the provider announces about a machine, on that machine.
pub fn announcements(node: &Node, machine: &str) -> Option<Box<dyn Announcements>> {
    spec(node)?;
    provider(node).ok()?.announcements(machine)
}

/// Whether the provider in use announces anything.
pub fn makes_announcements(node: &Node) -> bool {
    spec(node).is_some_and(|spec| spec.kind == "aws")
}

/// Whether machines have external addresses that must be tracked.
pub fn has_addresses(node: &Node) -> bool {
    spec(node).is_some() && provider(node).is_ok_and(|provider| provider.capabilities().can_attach_address)
}

/// How many machines can still be started, and the reason of that limit or an empty text. `dead` are members whose
/// machines are released in favour of their replacements.
pub async fn available(node: &Node, dead: &[u64]) -> Result<(usize, String)> {
    let provider = provider(node)?;
    let capabilities = provider.capabilities();
    if !capabilities.can_start {
        // Given machines: the unused ones.
        let listed = provider.list().await?;
        let nodes = node.raft().store().read(records::nodes);
        let machines = node.raft().store().read(records::machines);
        let free = listed.iter().filter(|one| {
            let used = nodes.iter().any(|node| node.machine == one.id);
            !used && !machines.iter().any(|machine| machine.id == one.id)
        });
        return Ok((free.count(), String::new()));
    }
    let mut available = (PLENTY, String::new());
    if provider.most_machines().is_none() && provider.hourly_limit().is_none() {
        return Ok(available);
    }
    let present = Present::of(node, provider.as_ref(), dead).await?;
    if let Some(most) = provider.most_machines() {
        available = (most.saturating_sub(present.as_nodes()), most_allowed(most));
    }
    if let Some(budget) = budget(node, provider.as_ref(), &present).await? {
        let (room, over) = budget.room();
        let paid_for = (room.saturating_sub(present.under_way), over.map(|over| over.to_string()).unwrap_or_default());
        if paid_for.0 < available.0 {
            available = paid_for;
        }
    }
    Ok(available)
}

fn most_allowed(most: usize) -> String {
    format!("`max_nodes` allows {most} machines")
}

/// The cluster's machines, as limits count them.
struct Present {
    /// Without those of lost members: they end in favour of their replacements.
    machines: Vec<Machine>,
    /// Number of these that no longer belong to a node and could not be ended yet. They are paid for, but are not
    /// nodes.
    ending: usize,
    /// Number of requested machines that are not among them yet.
    under_way: usize,
}

impl Present {
    async fn of(node: &Node, provider: &dyn Provider, dead: &[u64]) -> Result<Self> {
        let leaving = of_lost_nodes(node, dead);
        let records = node.raft().store().read(records::machines);
        let mut machines = provider.list().await?;
        machines.retain(|machine| !leaving.contains(&machine.id));
        let ending = machines.iter().filter(|machine| is_ending(&records, &machine.id)).count();
        let started =
            |record: &MachineRecord| machines.iter().any(|one| one.id == record.id || one.token == record.token);
        let pending = |record: &MachineRecord| record.node.is_none() && record.state != TERMINATING;
        let under_way = records.iter().filter(|record| pending(record) && !started(record)).count();
        Ok(Self { machines, ending, under_way })
    }

    fn as_nodes(&self) -> usize {
        self.machines.len() - self.ending + self.under_way
    }
}

fn of_lost_nodes(node: &Node, lost: &[u64]) -> BTreeSet<String> {
    let nodes = node.raft().store().read(records::nodes);
    nodes.into_iter().filter(|node| lost.contains(&node.id)).map(|node| node.machine).collect()
}

fn is_ending(records: &[MachineRecord], machine: &str) -> bool {
    records.iter().any(|record| record.id == machine && record.state == TERMINATING)
}

/// Machines that do not count against limits.
fn leaving(leader: &Leader) -> BTreeSet<String> {
    let dead = dead(&planned(leader), &limits(leader));
    let mut leaving = of_lost_nodes(leader, &dead);
    let ending = leader.raft().store().read(records::machines).into_iter();
    leaving.extend(ending.filter(|record| record.state == TERMINATING).map(|record| record.id));
    leaving.remove("");
    leaving
}

/// The cost of the cluster's machines and its limit, if one is set.
async fn budget(node: &Node, provider: &dyn Provider, present: &Present) -> Result<Option<Budget>> {
    let Some(limit) = provider.hourly_limit() else { return Ok(None) };
    let each = provider.price(&machine_options(node)).await.context("looking up the price of a machine")?;
    let present = present.machines.iter().map(|machine| machine.price).collect();
    Ok(Some(Budget { limit, present, each }))
}

/// Whether the cluster can have this many nodes.
///
/// # Errors
/// The reason: the provider has no more machines, or they would cost more than the script allows.
pub async fn check_can_have(node: &Node, wanted: usize, dead: &[u64]) -> Result<(), String> {
    let checked = async {
        let provider = provider(node)?;
        if let Some(most) = provider.most_machines().filter(|most| wanted > *most) {
            anyhow::bail!("{}, not {wanted}", most_allowed(most));
        }
        let present = Present::of(node, provider.as_ref(), dead).await?;
        if let Some(budget) = budget(node, provider.as_ref(), &present).await? {
            budget.check(wanted.saturating_sub(budget.present.len()))?;
        }
        anyhow::Ok(())
    };
    checked.await.map_err(|error| format!("{error:#}"))
}

/// The options of the first machine, which the others share.
pub fn machine_options(node: &Node) -> serde_json::Value {
    let read = |store: &disco_store::Store| records::get::<serde_json::Value>(store, records::keys::MACHINE_OPTIONS);
    node.raft().store().read(read).map(|options| options.value).unwrap_or_default()
}

/// The request for a machine, identical at every attempt.
pub fn request(leader: &Leader, record: &MachineRecord, own_key: &KeyPair) -> StartRequest {
    let store = leader.raft().store();
    let (operator, machines) = store.read(|store| {
        let operator = records::get::<String>(store, records::keys::OPERATOR_PUBLIC_KEY).map(|key| key.value);
        (operator, records::machines(store))
    });
    let nodes = store.read(records::nodes);
    // The operator's own machines have no record here.
    let mut known: BTreeMap<String, String> =
        nodes.into_iter().filter(|node| !node.machine.is_empty()).map(|node| (node.machine, node.name)).collect();
    known.extend(
        machines.into_iter().filter(|machine| !machine.id.is_empty()).map(|machine| (machine.id, machine.token)),
    );
    StartRequest {
        token: record.token.clone(),
        name: record.name.clone(),
        options: machine_options(leader),
        leaving: leaving(leader),
        authorized_keys: std::iter::once(own_key.public_openssh()).chain(operator).collect(),
        known,
        // The installed program is this one.
        architecture: Some(Architecture::own()),
        ..StartRequest::default()
    }
}

/// The cluster's own SSH key, which only voters hold.
pub fn ssh_key(node: &Node) -> Result<KeyPair> {
    let secrets = node.secrets().context("this leader does not have the cluster's SSH key yet")?;
    KeyPair::from_openssh(&secrets.ssh_private_key, "the cluster's SSH key").context("reading the cluster's SSH key")
}

/// Connects to the machine. Its host key must be the one that the provider knows, or the one seen first. `boots` is for
/// a machine that may be starting, which has until `limit`: of others a refusal is final.
pub async fn connect(node: &Node, machine: &Machine, boots: bool, limit: Duration) -> Result<Session> {
    let key = ssh_key(node)?;
    let policy = machine.host_key_policy(node.home().path().join("known_hosts"));
    let options = if boots { ConnectOptions::booting(limit) } else { machine.connect_options() };
    Ok(Session::connect(&machine.ssh, &key, &policy, options).await?)
}

/// This cluster as the owner of the machine of the record `token`, or of the node `of`. The machine must not be one of
/// the cluster's other machines: it may be one of them under another address.
pub fn owner(node: &Node, token: &str, of: Option<u64>, machine: &Machine) -> Owner {
    let (nodes, machines) = node.raft().store().read(|store| (records::nodes(store), records::machines(store)));
    let nodes =
        nodes.into_iter().filter(|record| Some(record.id) != of).map(|record| (record.machine, Some(record.id)));
    let machines =
        machines.into_iter().filter(|machine| machine.token != token).map(|machine| (machine.id, machine.node));
    let others = nodes.chain(machines).filter(|(id, _)| !id.is_empty() && *id != machine.id);
    Owner {
        cluster_id: node.cluster_id().to_string(),
        cluster_name: node.cluster_name().to_owned(),
        machine: Some(machine.id.clone()),
        others: others.map(|(machine, node)| Other { machine, node }).collect(),
        programs: Vec::new(),
    }
}

/// Records that a machine must end; every leader continues until it has ended.
pub async fn mark_ending(records: &impl Records, token: &str) -> Result<()> {
    let mark = |record: &MachineRecord| (record.state != TERMINATING).then(|| ending(record.clone()));
    records::change(records, &records::keys::machine(token), mark).await?;
    Ok(())
}

fn ending(record: MachineRecord) -> MachineRecord {
    let now = Some(crate::clock::unix_ms());
    MachineRecord { state: TERMINATING.to_owned(), error: String::new(), ending_ms: now, ..record }
}

/// Releases the machine of a record, waits until it has ended, and deletes the record.
pub async fn terminate(leader: &Leader, token: &str) -> Result<()> {
    let key = records::keys::machine(token);
    let Some(record) = leader.raft().store().read(|store| records::get::<MachineRecord>(store, &key)) else {
        return Ok(());
    };
    let record = record.value;
    let provider = provider(leader)?;
    let ended = tokio::time::timeout(ENDS_WITHIN, until_ended(leader, provider.as_ref(), &record)).await;
    ended.with_context(|| format!("the machine has not ended within {} s", ENDS_WITHIN.as_secs()))??;
    let txn = records::Txn::new().delete(&key).delete(&records::keys::reserved(token));
    leader.write_in_term(txn.operation()).await?;
    leader.progress(Progress { subject: record.name, state: REMOVED.to_owned(), done: true, ..Progress::default() });
    Ok(())
}

/// Terminates the machine and polls until the provider no longer lists it, or lists it as ended. Given machines keep
/// running for their owner.
async fn until_ended(leader: &Leader, provider: &dyn Provider, record: &MachineRecord) -> Result<()> {
    // A start whose answer was lost may still have created a machine.
    let is_it = |one: &Machine| one.id == record.id || (record.id.is_empty() && one.token == record.token);
    let find = || async {
        let listed = provider.list().await.context("listing the machines")?;
        anyhow::Ok(listed.into_iter().find(is_it))
    };
    let Some(machine) = find().await? else { return Ok(()) };
    give_back(leader, provider, record, &machine).await?;
    let mut pause = LOOKS_FIRST;
    while provider.capabilities().can_terminate
        && let Some(left) = find().await?
        && !matches!(left.state, MachineState::Terminated | MachineState::Gone)
    {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LOOKS_LAST);
    }
    Ok(())
}

/// Marks the machine of a node that has left for release, if its provider knows it; the controller of machines releases
/// it.
///
/// # Errors
/// The mark was not written; a retry is safe.
pub async fn release(leader: &Leader, record: &NodeRecord) -> Result<()> {
    if record.machine.is_empty() || spec(leader).is_none() {
        return Ok(());
    }
    mark_released(leader, record).await?;
    leader.wake_controllers();
    Ok(())
}

async fn mark_released(records: &impl Records, node: &NodeRecord) -> Result<()> {
    // Named after the node, the name that operators know.
    let released = |machine: MachineRecord| MachineRecord {
        name: node.name.clone(),
        dismissed: node.dismissed,
        ..ending(machine)
    };
    loop {
        let machines = records.read(records::machines);
        let by_id = machines.iter().find(|machine| machine.id == node.machine);
        // A record whose key is the id of the node's machine: below, nothing could be written there.
        if let Some(known) = by_id.or_else(|| machines.iter().find(|machine| machine.token == node.machine)) {
            let mark = |record: &MachineRecord| (record.state != TERMINATING).then(|| released(record.clone()));
            records::change(records, &records::keys::machine(&known.token), mark).await?;
            return Ok(());
        }
        // The operator's own machine has no record. It gets one until it has ended.
        let machine = released(MachineRecord {
            token: node.machine.clone(),
            id: node.machine.clone(),
            node: Some(node.id),
            created_at: crate::clock::rfc3339(),
            created_ms: crate::clock::unix_ms(),
            ..MachineRecord::default()
        });
        let key = records::keys::machine(&machine.token);
        let txn = records::Txn::new().absent(&key).put(&key, &machine);
        if records::succeeded(&records.write(txn.operation()).await?) {
            return Ok(());
        }
    }
}

async fn give_back(leader: &Leader, provider: &dyn Provider, record: &MachineRecord, machine: &Machine) -> Result<()> {
    if !provider.capabilities().can_terminate {
        // The machine remains its owner's: what was installed on it is removed.
        if let Err(error) = clear(leader, record, machine).await {
            let text = format!("cannot uninstall Disco from {}: {error:#}", machine.name);
            records::emit_in_term(leader, "machine.not_cleared", Severity::Warning, None, text).await;
        }
    }
    provider.terminate(&machine.id).await.with_context(|| format!("releasing the machine {}", machine.id))
}

async fn clear(leader: &Leader, record: &MachineRecord, machine: &Machine) -> Result<()> {
    let cleared = async {
        let connected = connect(leader, machine, false, CONNECTS_WITHIN);
        let session = tokio::time::timeout(CONNECTS_WITHIN, connected).await.context("connecting: timed out")??;
        let owner = owner(leader, &record.token, record.node, machine);
        let remote = Remote::probe(session).await?.permit(owner).await?;
        let left = remote.uninstall().await?;
        if !left.is_empty() {
            tracing::info!(machine = machine.id, left = left.join(", "), "left files that Disco did not install");
        }
        if record.dismissed {
            remote.forget_key(&ssh_key(leader)?.public_openssh()).await?;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(CLEARING, cleared).await.context("timed out")?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::{FakeRecords, keys};

    fn node() -> NodeRecord {
        let (name, machine) = ("web-2".to_owned(), "i-2".to_owned());
        NodeRecord { id: 2, name, machine, dismissed: true, ..NodeRecord::default() }
    }

    #[tokio::test]
    async fn a_released_machine_keeps_what_is_written_at_the_same_time() {
        let (records, key) = (FakeRecords::default(), keys::machine("web-2"));
        let started = MachineRecord { token: "web-2".to_owned(), id: "i-2".to_owned(), ..MachineRecord::default() };
        records.put(&key, &started);
        records.put_meanwhile(&key, &MachineRecord { node: Some(2), ..started });
        mark_released(&records, &node()).await.unwrap();
        let written: MachineRecord = records.get(&key).unwrap();
        assert_eq!((written.state.as_str(), written.node, written.dismissed), (TERMINATING, Some(2), true));
        assert!(written.ending_ms.is_some());
        // Once ending, it stays as it is: `status` shows since when.
        let since = MachineRecord { ending_ms: Some(7), ..written };
        records.put(&key, &since);
        mark_released(&records, &node()).await.unwrap();
        mark_ending(&records, "web-2").await.unwrap();
        assert_eq!(records.get::<MachineRecord>(&key), Some(since));
    }

    #[tokio::test]
    async fn the_operators_own_machine_gets_a_record_until_it_has_ended() {
        let records = FakeRecords::default();
        mark_released(&records, &node()).await.unwrap();
        let written: MachineRecord = records.get(&keys::machine("i-2")).unwrap();
        assert_eq!((written.name.as_str(), written.id.as_str(), written.node), ("web-2", "i-2", Some(2)));
        assert_eq!(written.state, TERMINATING);
    }
}
