//! The cluster's provider, and connections to its machines.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use disco_provider::install::{Architecture, Other, Owner, Remote};
use disco_provider::ssh::{ConnectOptions, KeyPair, Session};
use disco_provider::{Announcements, KnownMachine, Machine, Provider, ProviderContext, SshTarget, StartRequest};

use super::capacity::leaving;
use crate::node::{Leader, Node};
use crate::records::{self, MachineRecord, ProviderRecord, Records};

/// Time limit for uninstalling Disco from the machine of a node that leaves: the stop of its daemon, then the end of its tasks,
/// see `agent/tasks/process/end_all.rs`, and the connection.
const CLEARING: Duration = Duration::from_secs(90);
/// Time limit for the connection to it: a machine that is gone must not hold up the removal of its node.
const CONNECTS_WITHIN: Duration = Duration::from_secs(20);
/// The kind of provider whose machines are given by the operator.
const HOSTS: &str = "hosts";

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

/// What the provider announces about a machine, on that machine.
pub fn announcements(node: &Node, machine: &str) -> Option<Box<dyn Announcements>> {
    spec(node)?;
    provider(node).ok()?.announcements(machine)
}

/// Whether the provider in use announces anything.
pub fn makes_announcements(node: &Node) -> bool {
    spec(node).is_some_and(|spec| spec.kind == "aws")
}

/// The options of the first machine, which the others share.
pub fn machine_options(records: &impl Records) -> serde_json::Value {
    let read = |store: &disco_store::Store| records::get::<serde_json::Value>(store, records::keys::MACHINE_OPTIONS);
    records.read(read).map(|options| options.value).unwrap_or_default()
}

/// The request for a machine, identical at every attempt. `dead` are members whose machines do not count against limits.
pub fn request(source: &impl Records, record: &MachineRecord, own_key: &KeyPair, dead: &[u64]) -> StartRequest {
    let (operator, machines) = source.read(|store| {
        let operator = records::get::<String>(store, records::keys::OPERATOR_PUBLIC_KEY).map(|key| key.value);
        (operator, records::machines(store))
    });
    let nodes = source.read(records::nodes);
    // The operator's own machines have no record here.
    let mut known: BTreeMap<String, String> =
        nodes.into_iter().filter(|node| !node.machine.is_empty()).map(|node| (node.machine, node.name)).collect();
    known.extend(
        machines.into_iter().filter(|machine| !machine.id.is_empty()).map(|machine| (machine.id, machine.token)),
    );
    StartRequest {
        token: record.token.clone(),
        name: record.name.clone(),
        options: machine_options(source),
        leaving: leaving(source, dead),
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

/// Uninstalls Disco from a given machine.
pub(super) async fn clear(leader: &Leader, record: &MachineRecord, machine: &Machine) -> Result<()> {
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
