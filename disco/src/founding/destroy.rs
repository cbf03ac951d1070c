use std::{sync::Arc, time::Duration};

use disco_provider::{
    Machine, MachineState, Provider,
    install::{InstallError, Left, Permitted, Refusal, Remote},
};
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{
    OperatorKey,
    founder::{provider_failure, provider_of},
    key_pair::{cluster_public_key, operator_key},
    sessions::{Sessions, ssh_failure},
};
use crate::{
    client::Client,
    context::Context,
    error::{Failure, Outcome},
    exit::ExitStatus,
    printer::Task,
    project::{Addresses, ClusterRecord, Project},
};

/// Machines that the leader was just starting may appear while the others are terminated: list them again until none is left.
const ROUNDS: u32 = 20;
const BETWEEN: Duration = Duration::from_millis(50);
/// Time for the cluster to report its nodes before it is destroyed.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);
/// Time to remove the machines' other resources, which a cloud allows only once the machines have ended: a minute or two.
const REST_WITHIN: Duration = Duration::from_secs(300);
const BETWEEN_REST: Duration = Duration::from_secs(2);

/// The provider that the cluster was created with, without running any script.
pub(crate) fn recorded_provider(project: &Project, record: &ClusterRecord) -> Outcome<Arc<dyn Provider>> {
    let kind = record.provider["kind"].as_str().unwrap_or_default();
    provider_of(project, &record.name, kind, &record.provider["options"])
}

/// What `destroy` would remove, in words.
pub(crate) async fn remains(context: &Context, lost: Option<ClusterRecord>) -> Outcome<Vec<String>> {
    let project = context.project()?;
    let Some(record) = record_to_end(context, &project, lost)? else { return Ok(Vec::new()) };
    let provider = recorded_provider(&project, &record)?;
    let machines = alive(provider.as_ref()).await?;
    let rest = provider.rest().await.map_err(|error| provider_failure(&error))?;
    let word = |one: &Machine| match is_mere_folder(&record, one) {
        true => format!("the folder of machine {} ({}), which does not run here", one.id, one.name),
        false => format!("machine {} ({})", one.id, one.name),
    };
    Ok(machines.iter().map(word).chain(rest).collect())
}

/// Terminates every machine of the cluster, whether or not it answers, and removes the project's state. `lost` replaces a missing
/// record. `force` skips given machines that cannot be reached, and returns them.
pub(crate) async fn destroy(context: &Context, lost: Option<ClusterRecord>, force: bool) -> Outcome<Vec<LeftHost>> {
    let project = context.project()?;
    let state = project.state();
    let mut left = Vec::new();
    refresh_nodes(context).await;
    if let Some(record) = record_to_end(context, &project, lost)? {
        let provider = recorded_provider(&project, &record)?;
        if provider.capabilities().can_terminate {
            end_all(context, &record, provider.as_ref()).await?;
        } else {
            left = given_back(context, &project, &record, provider.as_ref(), force).await?;
        }
    }
    let task = context.printer.task("project");
    match fs_err::remove_dir_all(state.path()) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(Failure::failed("cannot remove the project's state").because(&error)),
    }
    task.done("state removed");
    Ok(left)
}

/// A given host that could not be reached, and what is left there.
pub(crate) struct LeftHost {
    pub(crate) host: String,
    pub(crate) left: Left,
    /// Commands that remove it, on that machine.
    pub(crate) removal: String,
    why: Failure,
}

impl LeftHost {
    /// The host in `-o json`.
    pub(crate) fn json(&self) -> Value {
        let Left { user, files, units, authorized_keys } = &self.left;
        json!({
            "host": self.host, "user": user, "files": files, "units": units, "authorized_keys": authorized_keys,
            "removal": self.removal, "error": self.why.message(),
        })
    }
}

/// Refreshes the list of nodes: the cluster may use machines that only `cluster.js` names.
async fn refresh_nodes(context: &Context) {
    let Ok(client) = Client::open(context) else { return };
    // A cluster that does not answer is destroyed all the same.
    if let Err(failure) = client.with_patience(ANSWERS_WITHIN).status(false).await {
        tracing::debug!(%failure, "cannot refresh the list of nodes");
    }
}

/// The cluster's record; if it is lost or damaged, a substitute that finds at least the machines on this computer.
fn record_to_end(context: &Context, project: &Project, lost: Option<ClusterRecord>) -> Outcome<Option<ClusterRecord>> {
    if lost.is_some() {
        return Ok(lost);
    }
    let state = project.state();
    let failure = match ClusterRecord::load(&state) {
        Ok(Some(record)) => return Ok(Some(record)),
        Ok(None) => None,
        Err(failure) => Some(failure),
    };
    match (failure, state.file("local").is_dir()) {
        (None, false) => Ok(None),
        (Some(failure), false) => Err(failure),
        (failure, true) => {
            let why =
                failure.map_or_else(|| "the cluster's record is missing".to_owned(), |failure| failure.to_string());
            context.printer.warn(&format!("{why}: only machines on this computer can be found"));
            Ok(Some(ClusterRecord::of_local_machines()))
        }
    }
}

/// Terminates the machines, then removes their other resources. A live leader may start another machine in between, so this
/// repeats until nothing is left.
async fn end_all(context: &Context, record: &ClusterRecord, provider: &dyn Provider) -> Outcome<()> {
    let deadline = tokio::time::Instant::now() + REST_WITHIN;
    loop {
        end_machines(context, record, provider).await?;
        let rest = provider.rest().await.map_err(|error| provider_failure(&error))?;
        if rest.is_empty() {
            return Ok(());
        }
        let task = context.printer.task(provider.name());
        task.state(&format!("removing {}", rest.join(", ")));
        match provider.remove_rest().await {
            Ok(()) => task.done(&format!("removed {}", rest.join(", "))),
            Err(error) if error.is_busy() && tokio::time::Instant::now() < deadline => {
                task.done("waiting for machines to terminate");
                tokio::time::sleep(BETWEEN_REST).await;
            }
            Err(error) => {
                task.failed("not everything was removed");
                let left = provider.rest().await.unwrap_or(rest);
                return Err(provider_failure(&error)
                    .cause(format!("not removed: {}", left.join(", ")))
                    .hint("run `disco destroy` again"));
            }
        }
    }
}

/// A local machine that does not run, such as in a copy of a project, is only a folder.
fn is_mere_folder(record: &ClusterRecord, machine: &Machine) -> bool {
    record.provider["kind"] == "local" && machine.state == MachineState::Stopped
}

async fn end_machines(context: &Context, record: &ClusterRecord, provider: &dyn Provider) -> Outcome<()> {
    for round in 0..ROUNDS {
        let machines = alive(provider).await?;
        if machines.is_empty() {
            return Ok(());
        }
        if round > 0 {
            tokio::time::sleep(BETWEEN).await;
        }
        let ends = join_all(machines.iter().map(|machine| end(context, record, provider, machine))).await;
        ends.into_iter().collect::<Outcome<()>>()?;
    }
    Err(Failure::failed(format!("new machines still appear after {ROUNDS} rounds of termination"))
        .hint("run `disco destroy` again"))
}

async fn end(context: &Context, record: &ClusterRecord, provider: &dyn Provider, machine: &Machine) -> Outcome<()> {
    let task = context.printer.task(&machine.name);
    let mere_folder = is_mere_folder(record, machine);
    task.state(if mere_folder { "removing its folder" } else { "terminating" });
    match provider.terminate(&machine.id).await {
        Ok(()) => {
            task.done(&match mere_folder {
                true => format!("the folder of machine {}, which did not run here, is removed", machine.id),
                false => format!("machine {} terminated", machine.id),
            });
            Ok(())
        }
        Err(error) => {
            task.failed(if mere_folder { "its folder was not removed" } else { "not terminated" });
            Err(Failure::new(provider_failure(&error).status(), format!("cannot terminate machine `{}`", machine.id))
                .because(&error))
        }
    }
}

/// Given machines are not terminated: uninstalls Disco, and removes the cluster's key.
async fn given_back(
    context: &Context,
    project: &Project,
    record: &ClusterRecord,
    provider: &dyn Provider,
    force: bool,
) -> Outcome<Vec<LeftHost>> {
    let machines = alive(provider).await?;
    if record.machines.is_empty() {
        return Ok(Vec::new());
    }
    let nodes = Addresses::load(&project.state()).unwrap_or_default().nodes;
    let is_node = |machine: &Machine| {
        let started = record.machines.iter().any(|one| one.id.as_ref() == Some(&machine.id));
        started || nodes.iter().any(|node| node.machine == machine.id)
    };
    let (key, sessions) = (operator_key(project, record).await?, Sessions::default());
    let cluster_key = cluster_public_key(&project.state())?;
    let (key, sessions) = (&key, &sessions);
    let visits = machines.iter().map(|machine| async move {
        let task = context.printer.task(&machine.ssh.endpoint());
        task.state("connecting");
        match visit(project, record, machine, key, sessions).await {
            Ok(Some(remote)) => Ok(Some((machine, task, remote))),
            Ok(None) => {
                task.done("belongs to another cluster, left as it is");
                Ok(None)
            }
            Err(failure) => {
                task.failed("left as it is");
                Err((machine, failure))
            }
        }
    });
    let visits: Vec<Result<_, _>> = join_all(visits).await;
    // A machine may have two addresses: uninstall it once.
    let (mut visited, mut failures) = (Vec::<(&Machine, Task, Permitted)>::new(), Vec::new());
    for visit in visits {
        match visit {
            Ok(Some((machine, task, remote))) => {
                match visited.iter().find(|(_, _, other)| other.is_same_place(&remote)) {
                    Some((first, ..)) => task.done(&format!("is the same machine as {}", first.ssh.endpoint())),
                    None => visited.push((machine, task, remote)),
                }
            }
            Ok(None) => {}
            Err(failure) => failures.push(failure),
        }
    }
    let cluster_key = cluster_key.as_deref();
    let removals = visited.into_iter().map(|(machine, task, remote)| async move {
        task.state("removing Disco");
        match give_back(&remote, cluster_key).await {
            Ok(left) => {
                task.done(&left_behind(&left));
                Ok(())
            }
            Err(error) => {
                task.failed("not everything was removed");
                Err((machine, not_removed(machine, &error)))
            }
        }
    });
    failures.extend(join_all(removals).await.into_iter().filter_map(Result::err));
    let (unreached, others): (Vec<_>, Vec<_>) =
        failures.into_iter().partition(|(_, failure)| failure.status() == ExitStatus::Unreachable);
    let unreached: Vec<LeftHost> = unreached
        .into_iter()
        .map(|(machine, why)| {
            let left = Left::of(&machine.ssh.user, is_node(machine));
            let removal = left.removal(cluster_key);
            LeftHost { host: machine.ssh.endpoint(), left, removal, why }
        })
        .collect();
    if force && others.is_empty() {
        for host in &unreached {
            let LeftHost { host, left, removal, why } = host;
            // Between backticks no line is broken: it can be copied.
            let remove = match removal.is_empty() {
                true => String::new(),
                false => format!("\nremove it there with: `{removal}`"),
            };
            context.printer.warn(&format!("given up: {why}\n{host} keeps {}{remove}", left.words()));
        }
        return Ok(unreached);
    }
    let out_of_reach = !unreached.is_empty();
    let unreached = unreached.into_iter().map(|host| {
        let words = format!("{} keeps {}", host.host, host.left.words());
        host.why.cause(words)
    });
    let failures: Vec<Failure> = unreached.chain(others.into_iter().map(|(_, failure)| failure)).collect();
    let Some(first) = failures.first() else { return Ok(Vec::new()) };
    let text = format!("Disco is still installed on {} of {} machines", failures.len(), machines.len());
    let all = failures.iter().fold(Failure::new(first.status(), text), |all, one| {
        let causes = one.causes().iter().map(|cause| format!(": {cause}")).collect::<String>();
        all.cause(format!("{}{causes}", one.message()))
    });
    Err(match out_of_reach {
        true => all.hint(
            "bring them up and run the command again; `disco destroy --force` skips those that cannot be reached",
        ),
        false => all.hint("fix the causes, then run the command again"),
    })
}

/// Connects to a machine with permission to change it; `None` if it belongs to another cluster.
async fn visit(
    project: &Project,
    record: &ClusterRecord,
    machine: &Machine,
    key: &OperatorKey,
    sessions: &Sessions,
) -> Outcome<Option<Permitted>> {
    let session = sessions.connect(project, machine, key, machine.connect_options()).await;
    let session = session.map_err(|error| ssh_failure(&error))?;
    let failed = |error: InstallError| not_removed(machine, &error);
    match Remote::probe(session).await.map_err(failed)?.permit(record.owner()).await {
        Ok(remote) => Ok(Some(remote)),
        Err(InstallError::Refused { refusal: Refusal::AnotherCluster { .. }, .. }) => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

/// Uninstalls Disco and the cluster's key from one machine. Returns the files that were left there.
async fn give_back(remote: &Permitted, cluster_key: Option<&str>) -> Result<Vec<String>, InstallError> {
    let left = remote.uninstall().await?;
    if let Some(cluster_key) = cluster_key {
        remote.forget_key(cluster_key).await?;
    }
    Ok(left)
}

fn not_removed(machine: &Machine, error: &InstallError) -> Failure {
    let failure = Failure::failed(format!("cannot remove Disco from `{}`", machine.ssh.endpoint())).because(error);
    match error.refusal() {
        Some(refusal) => failure.hint(refusal.hint()),
        None => failure,
    }
}

/// The outcome of an uninstall, in words.
fn left_behind(left: &[String]) -> String {
    if left.is_empty() {
        return "Disco removed".to_owned();
    }
    format!("Disco removed; files of others were left: {}", left.join(", "))
}

async fn alive(provider: &dyn Provider) -> Outcome<Vec<Machine>> {
    let mut machines = provider.list().await.map_err(|error| provider_failure(&error))?;
    machines.retain(|machine| !matches!(machine.state, MachineState::Terminated | MachineState::Gone));
    Ok(machines)
}
