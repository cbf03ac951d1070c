//! `disco connect`: a cluster that was made elsewhere is taken up here.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use disco_proto::v1::StatusResponse;
use disco_provider::{Instance, InstanceState, ssh::KeyPair};
use serde_json::Value;

use super::{Founder, founder::provider_failure, instances::start_token, kept::Kept, key_pair};
use crate::{
    client::Client,
    context::Context,
    error::{Failure, Outcome},
    exit::ExitStatus,
    project::{ClusterRecord, InstanceRecord, Lock, Project},
};

/// Where nodes listen, unless it is said otherwise.
const PORT: u16 = 5080;
/// In the project, or beside what was kept.
const SSH_KEY: &str = "id_ed25519";
/// Records of the cluster's that are read here.
const PROVIDER: &str = "/disco/config/provider";
const OPTIONS: &str = "/disco/config/instance_options";
const OPERATOR_PUBLIC_KEY: &str = "/disco/config/operator_public_key";

/// What the operator has said.
#[derive(Debug)]
pub(crate) struct Wish {
    /// A node; without it the provider is asked.
    pub(crate) address: Option<String>,
    /// The folder with what was kept; without it the project's own state.
    pub(crate) keys: Option<PathBuf>,
    pub(crate) ssh_key: Option<PathBuf>,
    pub(crate) dry_run: bool,
}

/// Finds the cluster, has a node prove that it is that one, and writes the project's state. `founder` is what `client.js` names,
/// where there is one.
pub(crate) async fn connect(context: &Context, founder: Option<&Founder>, wish: &Wish) -> Outcome<StatusResponse> {
    let project = context.project()?;
    let state = project.state();
    let folder = wish.keys.clone().unwrap_or_else(|| state.path().to_owned());
    let kept = Kept::read(&folder)?;
    let before = ClusterRecord::load(&state)?;
    if let Some(before) = before.as_ref().filter(|before| before.id != kept.cluster_id.as_str()) {
        return Err(Failure::usage(format!("this project holds another cluster, `{}`", before.name))
            .hint("end it with `disco destroy`, or connect from a copy of the project without `.disco/`"));
    }
    let task = context.printer.task("connect");
    task.state("looking for nodes");
    let (addresses, machines) = places(context, founder, wish).await?;
    task.state("asking for proof");
    let client = Client::new(kept.identity.clone(), state.clone(), addresses);
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
    let record = with_ssh_key(context, &client, &project, record, wish, &folder).await?;
    if wish.dry_run {
        task.done(&format!(
            "would write {} and what the cluster is to `{}`",
            kept.names().join(", "),
            state.path().display()
        ));
        return Ok(status);
    }
    let _lock = Lock::take(&state, "connect")?;
    kept.write(&state)?;
    record.save(&state)?;
    let status = client.settled().await?;
    task.done(&format!("`{}` is {}, root and nodes belong together", status.cluster, kept.cluster_id));
    Ok(status)
}

/// Where nodes may answer, and the provider's machines as far as it was asked.
async fn places(
    context: &Context,
    founder: Option<&Founder>,
    wish: &Wish,
) -> Outcome<(Vec<SocketAddr>, Vec<Instance>)> {
    if let Some(address) = &wish.address {
        return Ok((resolve(address).await?, Vec::new()));
    }
    let Some(founder) = founder else {
        return Err(Failure::usage("there is no `client.js` that says where machines are")
            .hint("name a node: `disco connect ADDRESS`"));
    };
    let machines = founder.provider.list().await.map_err(|error| provider_failure(&error))?;
    let running = machines.iter().filter(|machine| machine.state == InstanceState::Running);
    let addresses: Vec<SocketAddr> = running.flat_map(Instance::control_addresses).collect();
    if addresses.is_empty() {
        let kind = founder.provider.kind();
        return Err(Failure::new(
            ExitStatus::NotFound,
            format!("the {kind} provider knows no machine of `{}` that runs", founder.name),
        )
        .hint("is it the right account and region? A node is asked directly by `disco connect ADDRESS`"));
    }
    // The way in may be open only to whoever made the cluster. Who may not open it may be let in all the same.
    if let Err(error) = founder.provider.admit_operator().await {
        context.printer.warn(&format!("this computer's address was not let in: {error}"));
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
            let port = port.parse().map_err(|_| Failure::usage(format!("`{text}` is no address: `{port}` is no port")));
            (name, port?)
        }
        None => (text, PORT),
    };
    let found = tokio::net::lookup_host((name, port)).await;
    let found: Vec<SocketAddr> =
        found.map_err(|error| Failure::usage(format!("cannot find `{name}`")).because(&error))?.collect();
    if found.is_empty() {
        return Err(Failure::usage(format!("`{name}` has no address")));
    }
    Ok(found)
}

/// A node that refuses, or is refused, is one of another cluster most of all.
fn explained(failure: Failure, folder: &Path) -> Failure {
    if failure.status() != ExitStatus::Denied {
        return failure;
    }
    let causes: Vec<String> = failure.causes().to_vec();
    let told = Failure::new(
        ExitStatus::Denied,
        format!("the nodes do not belong to the cluster whose root is in `{}`", folder.display()),
    );
    causes.into_iter().fold(told, Failure::cause).hint("take the `ca.pem` and `ca.key` that this cluster was made with")
}

/// What the project knows of the cluster from now on.
async fn record(
    client: &Client,
    project: &Project,
    status: &StatusResponse,
    machines: &[Instance],
    before: Option<ClusterRecord>,
) -> Outcome<ClusterRecord> {
    if let Some(before) = before {
        return Ok(before);
    }
    let provider: Value = read(client, PROVIDER).await?.unwrap_or_default();
    let options: Value = read(client, OPTIONS).await?.unwrap_or_default();
    let record = ClusterRecord {
        id: status.cluster_id.clone(),
        name: status.cluster.clone(),
        provider,
        founded: true,
        complete: true,
        ..ClusterRecord::lost()
    };
    let entry = |number: usize, id: &str, control: Option<SocketAddr>| InstanceRecord {
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
        // Where it cannot be asked, the nodes are known all the same.
        listed = provider.list().await.unwrap_or_default();
        &listed[..]
    } else {
        machines
    };
    // Those that the operator has started carry the tokens of that.
    let mut instances: Vec<InstanceRecord> = (1..=machines.len())
        .filter_map(|number| {
            let token = start_token(&record, number);
            let machine = machines.iter().find(|machine| machine.token == token)?;
            Some(entry(number, &machine.id, Some(machine.control_address)))
        })
        .collect();
    // Given machines carry none: the founder's was the first.
    if instances.is_empty()
        && let Some(first) = status.nodes.iter().find(|node| node.id == 1 && !node.instance.is_empty())
    {
        instances.push(entry(1, &first.instance, first.address.parse().ok()));
    }
    Ok(ClusterRecord { instances, ..record })
}

/// The operator's SSH key, where it is found: it is not needed to be an operator, but to repair machines.
async fn with_ssh_key(
    context: &Context,
    client: &Client,
    project: &Project,
    record: ClusterRecord,
    wish: &Wish,
    folder: &Path,
) -> Outcome<ClusterRecord> {
    let expected: Option<String> = read(client, OPERATOR_PUBLIC_KEY).await?;
    let fits = |path: &Path| {
        let pair = KeyPair::load(path, None).ok()?;
        let same = expected.as_deref().is_some_and(|expected| words(expected) == words(&pair.public_openssh()));
        same.then(|| path.to_owned())
    };
    let private_key = match &wish.ssh_key {
        Some(given) => {
            let given =
                std::path::absolute(given).map_err(|error| Failure::usage("cannot use the SSH key").because(&error))?;
            key_pair::load(given.clone(), None)?;
            if fits(&given).is_none() {
                let text = format!("`{}` is not the key that the cluster's machines let in", given.display());
                context.printer.warn(&text);
            }
            Some(given)
        }
        None => [project.root().join(SSH_KEY), folder.join(SSH_KEY)].iter().find_map(|path| fits(path)),
    };
    if private_key.is_none() && record.private_key.is_none() {
        context.printer.warn(
            "the operator's SSH key was not found: `disco node ssh` and `disco bootstrap` need it, `--ssh-key FILE` names it",
        );
    }
    let private_key = private_key.map(|path| path.strip_prefix(project.root()).map(Path::to_owned).unwrap_or(path));
    Ok(ClusterRecord { private_key: private_key.or(record.private_key.clone()), ..record })
}

/// Kind and key, without the comment.
fn words(public: &str) -> Vec<&str> {
    public.split_whitespace().take(2).collect()
}

/// A JSON record of the cluster's.
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
    fn comments_do_not_make_another_key() {
        assert_eq!(words("ssh-ed25519 AAAA me@here\n"), words("ssh-ed25519 AAAA"));
    }
}
