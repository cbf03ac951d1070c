//! `disco connect`: makes this project the operator of a cluster that was created elsewhere.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use disco_proto::v1::StatusResponse;
use disco_provider::{Machine, MachineState, ssh::KeyPair};
use disco_store::typed::keys;
use serde_json::Value;

use super::{Founder, founder::provider_failure, key_pair, machines::start_token, saved_keys::SavedKeys};
use crate::{
    client::Client,
    context::Context,
    error::{Failure, Outcome},
    exit::ExitStatus,
    project::{ClusterRecord, Lock, Project, RequestedMachine},
};

/// Default port of nodes.
const PORT: u16 = 5080;
/// Name of the SSH key in the project or in the keys' folder.
const SSH_KEY: &str = "id_ed25519";

/// The operator's arguments.
#[derive(Debug)]
pub(crate) struct ConnectRequest {
    /// Address of a node; without it, the provider lists the machines.
    pub(crate) address: Option<String>,
    /// Folder with the saved keys; without it, the project's own state.
    pub(crate) keys: Option<PathBuf>,
    pub(crate) ssh_key: Option<PathBuf>,
    pub(crate) dry_run: bool,
}

/// Finds the cluster, has a node prove that it belongs to it, and writes the project's state. `founder` is the cluster of
/// `client.js`, if there is a script.
pub(crate) async fn connect(
    context: &Context,
    founder: Option<&Founder>,
    request: &ConnectRequest,
) -> Outcome<StatusResponse> {
    let project = context.project()?;
    let state = project.state();
    let folder = request.keys.clone().unwrap_or_else(|| state.path().to_owned());
    let saved = SavedKeys::read(&folder)?;
    let before = ClusterRecord::load(&state)?;
    if let Some(before) = before.as_ref().filter(|before| before.id != saved.cluster_id.as_str()) {
        return Err(Failure::usage(format!("this project holds another cluster, `{}`", before.name))
            .hint("remove it with `disco destroy`, or connect from a copy of the project without `.disco/`"));
    }
    let task = context.printer.task("connect");
    task.state("looking for nodes");
    let (addresses, machines) = places(context, founder, request).await?;
    task.state("verifying the cluster's identity");
    let client = Client::new(saved.identity.clone(), state.clone(), addresses, &context.printer);
    let status = client.settled().await.map_err(|failure| explained(failure, &folder))?;
    if let Some(founder) = founder
        && founder.name != status.cluster
    {
        return Err(Failure::usage(format!(
            "the cluster is `{}`, but `client.js` names it `{}`",
            status.cluster, founder.name
        )));
    }
    let record = record(&client, &project, &status, &machines, before).await?;
    let record = with_ssh_key(context, &client, &project, record, request, &folder).await?;
    if request.dry_run {
        task.done(&format!(
            "would write {} and the cluster's record to `{}`",
            saved.names().join(", "),
            state.path().display()
        ));
        return Ok(status);
    }
    let _lock = Lock::take(&state, "connect")?;
    saved.write(&state)?;
    record.save(&state)?;
    let status = client.settled().await?;
    task.done(&format!("connected to `{}` ({}), verified against the root", status.cluster, saved.cluster_id));
    Ok(status)
}

/// Addresses where nodes may answer, and the provider's machines, if it was asked.
async fn places(
    context: &Context,
    founder: Option<&Founder>,
    request: &ConnectRequest,
) -> Outcome<(Vec<SocketAddr>, Vec<Machine>)> {
    if let Some(address) = &request.address {
        return Ok((resolve(address).await?, Vec::new()));
    }
    let Some(founder) = founder else {
        return Err(Failure::usage("no `client.js` that names a provider")
            .hint("pass the address of a node: `disco connect ADDRESS`"));
    };
    let machines = founder.provider.list().await.map_err(|error| provider_failure(&error))?;
    let running = machines.iter().filter(|machine| machine.state == MachineState::Running);
    let addresses: Vec<SocketAddr> = running.flat_map(Machine::control_addresses).collect();
    if addresses.is_empty() {
        let kind = founder.provider.kind();
        return Err(Failure::new(
            ExitStatus::NotFound,
            format!("the {kind} provider lists no running machine of `{}`", founder.name),
        )
        .hint("check the account and region, or connect to a node directly with `disco connect ADDRESS`"));
    }
    // The firewall may admit only the address that created the cluster. If it cannot be changed, it may admit this one anyway.
    if let Err(error) = founder.provider.admit_operator().await {
        context.printer.warn(&format!("cannot admit this computer's address to the cluster's network: {error}"));
    }
    Ok((addresses, machines))
}

/// `IP:PORT`, `IP`, `NAME:PORT` or `NAME`.
async fn resolve(text: &str) -> Outcome<Vec<SocketAddr>> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(vec![address]);
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, PORT)]);
    }
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) => {
            let port = port.parse().map_err(|_| {
                Failure::usage(format!(
                    "invalid address `{text}`: expected a port number after the colon, not `{port}`"
                ))
            });
            (name, port?)
        }
        None => (text, PORT),
    };
    let found = tokio::net::lookup_host((name, port)).await;
    let found: Vec<SocketAddr> =
        found.map_err(|error| Failure::usage(format!("cannot resolve `{name}`")).because(&error))?.collect();
    if found.is_empty() {
        return Err(Failure::usage(format!("`{name}` has no address")));
    }
    Ok(found)
}

/// If node and client refuse each other, the node most likely belongs to another cluster.
fn explained(failure: Failure, folder: &Path) -> Failure {
    if failure.status() != ExitStatus::Denied {
        return failure;
    }
    let causes: Vec<String> = failure.causes().to_vec();
    let explained = Failure::new(
        ExitStatus::Denied,
        format!("the nodes do not belong to the cluster whose root is in `{}`", folder.display()),
    );
    causes.into_iter().fold(explained, Failure::cause).hint("use the `ca.pem` and `ca.key` of this cluster")
}

/// The project's record of the cluster.
async fn record(
    client: &Client,
    project: &Project,
    status: &StatusResponse,
    machines: &[Machine],
    before: Option<ClusterRecord>,
) -> Outcome<ClusterRecord> {
    if let Some(before) = before {
        return Ok(before);
    }
    let provider: Value = read(client, keys::PROVIDER).await?.unwrap_or_default();
    let options: Value = read(client, keys::MACHINE_OPTIONS).await?.unwrap_or_default();
    let record = ClusterRecord {
        id: status.cluster_id.clone(),
        name: status.cluster.clone(),
        provider,
        founded: true,
        complete: true,
        ..ClusterRecord::lost()
    };
    let entry = |number: usize, id: &str, control: Option<SocketAddr>| RequestedMachine {
        token: start_token(&record, number),
        options: options.clone(),
        id: Some(id.to_owned()),
        control,
    };
    let asked = super::recorded_provider(project, &record);
    let listed;
    let machines = if machines.is_empty()
        && let Ok(provider) = asked
    {
        // Without the provider's answer, the nodes are still known from the status.
        listed = provider.list().await.unwrap_or_default();
        &listed[..]
    } else {
        machines
    };
    // Machines that the operator started carry the operator's tokens.
    let mut started: Vec<RequestedMachine> = (1..=machines.len())
        .filter_map(|number| {
            let token = start_token(&record, number);
            let machine = machines.iter().find(|machine| machine.token == token)?;
            Some(entry(number, &machine.id, Some(machine.control_address)))
        })
        .collect();
    // Given machines carry no token: the first one is that of node 1.
    if started.is_empty()
        && let Some(first) = status.nodes.iter().find(|node| node.id == 1 && !node.instance.is_empty())
    {
        started.push(entry(1, &first.instance, first.address.parse().ok()));
    }
    Ok(ClusterRecord { machines: started, ..record })
}

/// Adds the operator's SSH key, if it is found. Only repairs of machines need it.
async fn with_ssh_key(
    context: &Context,
    client: &Client,
    project: &Project,
    record: ClusterRecord,
    request: &ConnectRequest,
    folder: &Path,
) -> Outcome<ClusterRecord> {
    let expected: Option<String> = read(client, keys::OPERATOR_PUBLIC_KEY).await?;
    let fits = |path: &Path| {
        let pair = KeyPair::load(path, None).ok()?;
        let same = expected.as_deref().is_some_and(|expected| words(expected) == words(&pair.public_openssh()));
        same.then(|| path.to_owned())
    };
    let private_key = match &request.ssh_key {
        Some(given) => {
            let given =
                std::path::absolute(given).map_err(|error| Failure::usage("cannot use the SSH key").because(&error))?;
            key_pair::load(given.clone(), None)?;
            if fits(&given).is_none() {
                let text = format!("`{}` is not the key that the cluster's machines accept", given.display());
                context.printer.warn(&text);
            }
            Some(given)
        }
        None => [project.root().join(SSH_KEY), folder.join(SSH_KEY)].iter().find_map(|path| fits(path)),
    };
    // Of given hosts without a named pair, `ssh`'s own keys are used.
    let as_ssh = record.gives_hosts() && expected.is_none() && request.ssh_key.is_none();
    if private_key.is_none() && record.private_key.is_none() && !as_ssh {
        context.printer.warn(
            "no SSH key of the operator found: `disco node ssh NODE` and `disco bootstrap` need it, pass it with `--ssh-key FILE`",
        );
    }
    let private_key = private_key.map(|path| path.strip_prefix(project.root()).map(Path::to_owned).unwrap_or(path));
    Ok(ClusterRecord { private_key: private_key.or(record.private_key.clone()), ..record })
}

/// Kind and key, without the comment.
fn words(public: &str) -> Vec<&str> {
    public.split_whitespace().take(2).collect()
}

/// Reads a JSON record of the cluster.
async fn read<T: serde::de::DeserializeOwned>(client: &Client, key: &str) -> Outcome<Option<T>> {
    let Some(kv) = client.get(key.as_bytes(), false, 0).await? else { return Ok(None) };
    serde_json::from_slice(&kv.value)
        .map(Some)
        .map_err(|error| Failure::failed(format!("the record `{key}` is damaged")).because(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_may_leave_out_its_port() {
        assert_eq!(resolve("127.0.0.1").await.unwrap(), ["127.0.0.1:5080".parse().unwrap()]);
        assert_eq!(resolve("127.0.0.1:7").await.unwrap(), ["127.0.0.1:7".parse().unwrap()]);
        assert_eq!(resolve("::1").await.unwrap(), ["[::1]:5080".parse().unwrap()]);
        assert!(resolve("localhost:7").await.unwrap().contains(&"127.0.0.1:7".parse().unwrap()));
        assert_eq!(resolve("localhost:seven").await.unwrap_err().status(), ExitStatus::Usage);
    }

    #[test]
    fn keys_are_compared_without_their_comments() {
        assert_eq!(words("ssh-ed25519 AAAA me@here\n"), words("ssh-ed25519 AAAA"));
    }
}
