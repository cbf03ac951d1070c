//! The provider, as the cluster was told of it, and giving machines back.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use disco_provider::install::{Architecture, Remote};
use disco_provider::ssh::{ConnectOptions, KeyPair, Session};
use disco_provider::{Instance, Provider, ProviderContext, StartRequest};

use crate::node::Node;
use crate::records::{self, InstanceRecord, NodeRecord, ProviderSpec, Severity};

/// Time for the machine of a node that leaves to be cleared of what was installed.
const CLEARING: Duration = Duration::from_secs(20);
/// What a provider that makes machines is taken to have.
const PLENTY: usize = 1000;

/// The provider of `cluster.js`, or else the one that the cluster was bootstrapped with.
pub(super) fn spec(node: &Node) -> Option<ProviderSpec> {
    let kept = || node.raft().store().read(|store| records::get::<ProviderSpec>(store, records::keys::PROVIDER));
    node.scripts().provider_spec().or_else(|| kept().map(|spec| spec.value))
}

/// The provider itself.
pub(super) fn provider(node: &Node) -> Result<Arc<dyn Provider>> {
    let spec = spec(node).context("the cluster was not told where machines come from")?;
    let context = ProviderContext {
        cluster_name: node.cluster_name().to_owned(),
        project_dir: None,
        local_dir: std::env::var_os("DISCO_LOCAL_DIR").map(PathBuf::from),
        machine_executable: std::env::current_exe().context("finding this program's own file")?,
    };
    disco_provider::from_spec(&spec.kind, &spec.options, &context).context("the provider")
}

/// Whether machines have addresses from outside that are to be followed.
pub(super) fn has_addresses(node: &Node) -> bool {
    spec(node).is_some() && provider(node).is_ok_and(|provider| provider.capabilities().can_attach_address)
}

/// How many machines the provider can still start.
pub(super) async fn available(node: &Node) -> Result<usize> {
    let provider = provider(node)?;
    let capabilities = provider.capabilities();
    if !capabilities.can_start {
        // Given machines: those that nobody uses.
        let instances = provider.list().await?;
        let nodes = node.raft().store().read(records::nodes);
        let machines = node.raft().store().read(records::instances);
        let free = instances.iter().filter(|instance| {
            let used = nodes.iter().any(|node| node.instance == instance.id);
            !used && !machines.iter().any(|machine| machine.id == instance.id)
        });
        return Ok(free.count());
    }
    Ok(PLENTY)
}

/// Whether further machines can be had at all.
///
/// # Errors
/// Why not.
pub fn check_can_start(node: &Node) -> Result<(), String> {
    provider(node).map(|_| ()).map_err(|error| format!("{error:#}"))
}

/// The wish for a machine, the same at every try.
pub(super) fn request(node: &Node, record: &InstanceRecord, own_key: &KeyPair) -> StartRequest {
    let store = node.raft().store();
    let (operator, options, machines) = store.read(|store| {
        let operator = records::get::<String>(store, records::keys::OPERATOR_PUBLIC_KEY).map(|key| key.value);
        let options =
            records::get::<serde_json::Value>(store, records::keys::INSTANCE_OPTIONS).map(|options| options.value);
        (operator, options, records::instances(store))
    });
    let nodes = store.read(records::nodes);
    // Machines of the operator's have no record of their own here.
    let mut known: BTreeMap<String, String> =
        nodes.into_iter().filter(|node| !node.instance.is_empty()).map(|node| (node.instance, node.name)).collect();
    known.extend(
        machines.into_iter().filter(|machine| !machine.id.is_empty()).map(|machine| (machine.id, machine.token)),
    );
    StartRequest {
        token: record.token.clone(),
        name: record.name.clone(),
        options: options.unwrap_or_default(),
        authorized_keys: std::iter::once(own_key.public_openssh()).chain(operator).collect(),
        known,
        // What is installed is this very program.
        architecture: Some(Architecture::own()),
        ..StartRequest::default()
    }
}

/// The cluster's own SSH key, which only voters hold.
pub(super) fn ssh_key(node: &Node) -> Result<KeyPair> {
    let secrets = node.secrets().context("this leader does not have the cluster's SSH key yet")?;
    KeyPair::from_openssh(&secrets.ssh_private_key, "the cluster's SSH key").context("the cluster's SSH key")
}

/// A connection to the machine. Its host key is the one that the provider knows, or the one that was seen first.
pub(super) async fn connect(node: &Node, instance: &Instance, limit: Duration) -> Result<Session> {
    let key = ssh_key(node)?;
    let policy = instance.host_key_policy(node.home().path().join("known_hosts"));
    Ok(Session::connect(&instance.ssh, &key, &policy, ConnectOptions::booting(limit)).await?)
}

/// Gives back the machine of a record, and forgets the record.
pub(super) async fn terminate(node: &Node, term: u64, token: &str) -> Result<()> {
    let key = records::keys::instance(token);
    let Some(record) = node.raft().store().read(|store| records::get::<InstanceRecord>(store, &key)) else {
        return Ok(());
    };
    let record = record.value;
    let provider = provider(node)?;
    // A start whose answer was lost has left a machine all the same.
    let instances = provider.list().await.context("looking for the machine")?;
    let instance =
        instances.into_iter().find(|one| one.id == record.id || (record.id.is_empty() && one.token == token));
    if let Some(instance) = instance {
        give_back(node, term, provider.as_ref(), &instance).await?;
    }
    node.write_in_term(term, records::Txn::new().delete(&key).operation()).await?;
    Ok(())
}

/// Gives back the machine of a node that has left, where its provider knows it.
///
/// # Errors
/// The provider did not take it back; asking again is safe.
pub async fn release(node: &Node, term: u64, record: &NodeRecord) -> Result<()> {
    if record.instance.is_empty() || spec(node).is_none() {
        return Ok(());
    }
    let machines = node.raft().store().read(records::instances);
    if let Some(machine) = machines.into_iter().find(|machine| machine.id == record.instance) {
        // Written down first: whoever leads next goes on.
        let leaving = InstanceRecord { state: records::instance_state::TERMINATING.to_owned(), ..machine.clone() };
        let txn = records::Txn::new().put(&records::keys::instance(&machine.token), &leaving);
        node.write_in_term(term, txn.operation()).await?;
        return terminate(node, term, &machine.token).await;
    }
    let provider = provider(node)?;
    let instances = provider.list().await.context("looking for the machine")?;
    match instances.into_iter().find(|instance| instance.id == record.instance) {
        Some(instance) => give_back(node, term, provider.as_ref(), &instance).await,
        None => Ok(()),
    }
}

async fn give_back(node: &Node, term: u64, provider: &dyn Provider, instance: &Instance) -> Result<()> {
    if !provider.capabilities().can_terminate {
        // The machine stays somebody's: what was installed on it goes.
        if let Err(error) = clear(node, instance).await {
            let text = format!("{} was not cleared of what was installed: {error:#}", instance.name);
            records::emit_in_term(node, term, "machine.not_cleared", Severity::Warning, None, text).await;
        }
    }
    provider.terminate(&instance.id).await.with_context(|| format!("giving back the machine {}", instance.id))
}

async fn clear(node: &Node, instance: &Instance) -> Result<()> {
    let cleared = async {
        let session = connect(node, instance, Duration::from_secs(5)).await?;
        Remote::probe(session).await?.uninstall().await?;
        anyhow::Ok(())
    };
    tokio::time::timeout(CLEARING, cleared).await.context("it took too long")?
}
