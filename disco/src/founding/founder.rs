use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use disco_proto::v1::ConfigureRequest;
use disco_provider::{KnownMachine, Provider, ProviderContext, from_spec, ssh::SshConfig};
use disco_runtime_js::cluster::{ClusterSpec, KeyPairPaths, ProviderSpec};
use serde_json::{Value, json};

use super::{
    authority,
    presence::{HEALTH_WITHIN, confirmed},
    push_script, renew_signing_key,
    sessions::Sessions,
    valid_cluster_name,
};
use crate::{
    client::{Client, load_identity},
    context::Context,
    error::{Failure, Outcome},
    exit::ExitStatus,
    project::{Addresses, ClusterRecord, Lock, Project, StateDir},
};

/// The kind of provider for given hosts.
const HOSTS: &str = "hosts";
/// Time for all nodes to become healthy at the end of a bootstrap.
const HEALTHY_WITHIN: Duration = Duration::from_secs(30);
const BETWEEN: Duration = Duration::from_millis(100);

/// The purpose of the script's `Cluster`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Purpose {
    /// `disco bootstrap`.
    Bootstrap,
    /// `disco plan`, `disco bootstrap --dry-run`: changes are recorded, and nothing is done.
    Plan,
    /// `disco do`.
    Work,
}

/// Creates and repairs the one cluster of a project.
pub(crate) struct Founder {
    pub(super) context: Context,
    pub(super) project: Project,
    pub(super) name: String,
    /// `{ "kind": …, "options": … }`, as stored in the cluster.
    pub(super) provider_spec: Value,
    /// In a plan, it records the requests.
    pub(super) provider: Arc<dyn Provider>,
    pub(super) purpose: Purpose,
    /// Number of calls of `start_instance` in this run: the n-th call requests the same machine in each run.
    started: AtomicUsize,
    lock: Mutex<Option<Lock>>,
    /// This run has sent `cluster.js`.
    pushed: AtomicBool,
    /// The argument of `set_key_pair`. Written to the record only when the record is needed: a script that only reads the cluster
    /// changes nothing.
    keys: Mutex<Option<KeyPairPaths>>,
    /// The argument of `attach_ip`: the name of a node, or empty for the leader.
    pub(super) address_node: Mutex<Option<String>>,
    pub(super) sessions: Sessions,
    /// The cluster's key was installed in this run on all given hosts that could be reached.
    pub(super) keys_installed: AtomicBool,
    /// The first daemon that keeps crashing. The other machines are processed all the same.
    failing: Mutex<Option<Failure>>,
}

impl Founder {
    /// Checks the script's `Cluster` against the project; changes nothing.
    pub(crate) fn new(context: &Context, spec: &ClusterSpec, purpose: Purpose, lock: Option<Lock>) -> Outcome<Self> {
        valid_cluster_name(&spec.name).map_err(Failure::usage)?;
        let project = context.project()?;
        let provider_spec = spec
            .provider
            .as_ref()
            .ok_or_else(|| Failure::usage(format!("the cluster `{}` has no `provider`", spec.name)))?;
        let localized = localized(context, provider_spec)?;
        let provider_spec = &localized;
        let provider = make_provider(&project, &spec.name, provider_spec)?;
        spec.repair().map_err(|error| Failure::usage(error.to_string()))?;
        if let Some(record) = ClusterRecord::load(&project.state())?
            && record.name != spec.name
        {
            return Err(Failure::usage(format!(
                "this project holds the cluster `{}`, but `client.js` names it `{}`",
                record.name, spec.name
            ))
            .hint("restore the name in `client.js`, or remove the old cluster with `disco destroy`"));
        }
        Ok(Self {
            context: context.clone(),
            name: spec.name.clone(),
            provider_spec: json!({ "kind": provider_spec.kind, "options": provider_spec.options }),
            provider,
            project,
            purpose,
            started: AtomicUsize::new(0),
            lock: Mutex::new(lock),
            pushed: AtomicBool::new(false),
            keys: Mutex::default(),
            address_node: Mutex::default(),
            sessions: Sessions::default(),
            keys_installed: AtomicBool::new(false),
            failing: Mutex::default(),
        })
    }

    /// Remembers the failure of a daemon that keeps crashing, until the end of the current call.
    pub(super) fn note_failing(&self, failure: Failure) {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
    }

    /// Takes the remembered failure.
    pub(super) fn take_failing(&self) -> Option<Failure> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// A substitute for a missing record, if the provider finds the cluster's machines by tags.
    pub(crate) fn without_state(&self) -> Option<ClusterRecord> {
        let lost =
            ClusterRecord { name: self.name.clone(), provider: self.provider_spec.clone(), ..ClusterRecord::lost() };
        self.provider.capabilities().boots.then_some(lost)
    }

    /// The cluster's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn state(&self) -> StateDir {
        self.project.state()
    }

    pub(super) fn next_start(&self) -> usize {
        self.started.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Takes the project's lock, unless it is already held as in `disco bootstrap`.
    pub(crate) fn locked(&self) -> Outcome<()> {
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if lock.is_none() {
            *lock = Some(Lock::take(&self.state(), "do")?);
        }
        Ok(())
    }

    /// The record, created and written if it does not exist.
    pub(super) fn record(&self) -> Outcome<ClusterRecord> {
        self.locked()?;
        let known = ClusterRecord::load(&self.state())?;
        let mut record = known.clone().unwrap_or_else(|| ClusterRecord {
            id: disco_identity::ClusterId::random().to_string(),
            name: self.name.clone(),
            provider: self.provider_spec.clone(),
            private_key: None,
            public_key: None,
            machines: Vec::new(),
            founded: false,
            complete: false,
            script: None,
        });
        if let Some(keys) = &*self.keys.lock().unwrap_or_else(PoisonError::into_inner) {
            record.private_key = Some(keys.private.clone().into());
            record.public_key = Some(keys.public.clone().into());
        }
        if self.names_other_hosts(&record) {
            record.provider = self.provider_spec.clone();
        }
        if known.as_ref() != Some(&record) {
            record.save(&self.state())?;
        }
        Ok(record)
    }

    /// Whether the script names other given hosts than the record; the script's hosts then replace the record's. Other providers find
    /// machines by the options that the cluster was created with, so their options stay.
    fn names_other_hosts(&self, record: &ClusterRecord) -> bool {
        let hosts = |spec: &Value| spec["kind"] == HOSTS;
        hosts(&record.provider) && hosts(&self.provider_spec) && record.provider != self.provider_spec
    }

    pub(super) fn gives_hosts(&self) -> bool {
        self.provider_spec["kind"] == HOSTS
    }

    /// Writes the script's hosts to the record, so that other commands use them, too.
    pub(crate) fn record_hosts(&self) -> Outcome<()> {
        match ClusterRecord::load(&self.state())? {
            Some(record) if self.names_other_hosts(&record) => self.record().map(|_| ()),
            _ => Ok(()),
        }
    }

    /// Sends the script's hosts to the cluster.
    pub(crate) async fn send_hosts(&self, client: &Client) -> Outcome<()> {
        if !self.gives_hosts() {
            return Ok(());
        }
        let request = ConfigureRequest { provider: self.provider_spec.to_string(), ..ConfigureRequest::default() };
        let configured = client.call(|mut control| {
            let request = request.clone();
            async move { control.configure(request).await }
        });
        configured.await.map(|_| ())
    }

    pub(super) fn remember_keys(&self, keys: &KeyPairPaths) {
        *self.keys.lock().unwrap_or_else(PoisonError::into_inner) = Some(keys.clone());
    }

    pub(super) fn keys_of_script(&self) -> Option<KeyPairPaths> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads, changes and writes the record.
    pub(super) fn update<T>(&self, change: impl FnOnce(&mut ClusterRecord) -> T) -> Outcome<T> {
        let mut record = self.record()?;
        let result = change(&mut record);
        record.save(&self.state())?;
        Ok(result)
    }

    /// A connection to the cluster; `None` before the cluster exists.
    pub(crate) fn client(&self) -> Outcome<Option<Client>> {
        let state = self.state();
        let Some(identity) = load_identity(&state)? else { return Ok(None) };
        let mut addresses = self.context.settings.addresses.clone();
        addresses.extend(Addresses::load(&state)?.all());
        Ok(Some(Client::new(identity, state, addresses, &self.context.printer)))
    }

    /// Renews this operator's certificate if it is due or expired: an expired one cannot connect.
    pub(crate) fn renew_operator(&self) -> Outcome<()> {
        let state = self.state();
        if load_identity(&state)?.is_some()
            && let Some(root) = authority::load_root(&state)?
        {
            authority::ensure_operator(&state, &root)?;
        }
        Ok(())
    }

    /// A connection to the cluster, which must exist.
    pub(crate) fn existing(&self) -> Outcome<Client> {
        self.client()?.ok_or_else(|| {
            Failure::new(ExitStatus::NotFound, format!("the cluster `{}` does not exist yet", self.name))
                .hint("create it with `disco bootstrap`")
        })
    }

    /// Whether a quorum answers and every node is healthy. In a bootstrap, also whether an earlier bootstrap with this very script was
    /// finished, and the cluster is not smaller than that one requested: a half-created cluster is not healthy, even if its first
    /// node is.
    pub(crate) async fn healthy(&self) -> Outcome<bool> {
        let bootstraps = self.purpose != Purpose::Work;
        if bootstraps && !self.finished()? {
            return Ok(false);
        }
        let Some(client) = self.client()? else { return Ok(false) };
        let client = client.with_patience(HEALTH_WITHIN);
        let status = match client.status(false).await {
            // A script ends the bootstrap when this returns true.
            Ok(status) if bootstraps => confirmed(&client, status).await,
            status => status,
        };
        match status {
            Ok(status) => {
                let enough = !bootstraps || status.script_nodes.is_none_or(|asked| asked <= status.desired_nodes);
                Ok(status.healthy && !status.stale && !status.nodes.is_empty() && enough)
            }
            Err(failure) if failure.status() == ExitStatus::Unreachable => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// Whether a bootstrap with this script was finished. Earlier versions of Disco did not record the script: then any one counts.
    fn finished(&self) -> Outcome<bool> {
        let Some(record) = ClusterRecord::load(&self.state())?.filter(|record| record.complete) else {
            return Ok(false);
        };
        match &record.script {
            Some(script) => Ok(*script == self.project.client_script_hash()?),
            None => Ok(true),
        }
    }

    /// Sends `cluster.js`, if it exists, once per run.
    pub(super) async fn push(&self, client: &Client) -> Outcome<()> {
        if self.project.cluster_script().is_some() && !self.pushed.load(Ordering::Relaxed) {
            push_script(client, &self.project, &self.context.printer, false).await?;
            self.pushed.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Finishes a bootstrap after the script's function has returned: sends hosts and script, and records that the cluster is complete,
    /// unless the operator declined. `None` if no cluster was created.
    pub(crate) async fn complete(&self, declined: bool) -> Outcome<Option<disco_proto::v1::StatusResponse>> {
        if !ClusterRecord::load(&self.state())?.is_some_and(|record| record.founded) {
            return Ok(None);
        }
        let client = self.existing()?;
        client.settled().await?;
        self.send_hosts(&client).await?;
        self.push(&client).await?;
        renew_signing_key(&client, &self.context).await?;
        let status = if declined { client.settled().await? } else { self.wait_until_healthy(&client).await? };
        if status.healthy && !declined {
            let script = self.project.client_script_hash()?;
            self.update(|record| {
                record.complete = true;
                record.script = Some(script);
            })?;
        }
        Ok(Some(status))
    }

    /// Waits until the cluster is healthy: a newly started node needs a moment.
    async fn wait_until_healthy(&self, client: &Client) -> Outcome<disco_proto::v1::StatusResponse> {
        let deadline = tokio::time::Instant::now() + HEALTHY_WITHIN;
        loop {
            let status = confirmed(client, client.settled().await?).await?;
            if status.healthy {
                return Ok(status);
            }
            if tokio::time::Instant::now() >= deadline {
                return Err(unhealthy_failure(&status));
            }
            tokio::time::sleep(BETWEEN).await;
        }
    }
}

/// The failure of an unhealthy cluster, with the reason of each node.
fn unhealthy_failure(status: &disco_proto::v1::StatusResponse) -> Failure {
    let failure = Failure::failed(format!("the cluster `{}` exists, but is not healthy", status.cluster));
    let unhealthy = status.nodes.iter().filter(|node| !node.healthy);
    let log =
        unhealthy.clone().next().map_or_else(String::new, |node| format!("; its log: `disco logs {}`", node.name));
    let causes =
        unhealthy.map(|node| format!("`{}`: {}", node.name, node.reason)).chain(status.warnings.iter().cloned());
    causes
        .fold(failure, Failure::cause)
        .hint(format!("fix the causes, then run the command again: it continues from here{log}"))
}

/// Whether the project's cluster uses given hosts.
pub(crate) fn names_hosts(project: &Project) -> Outcome<bool> {
    Ok(ClusterRecord::load(&project.state())?.is_some_and(|record| record.provider["kind"] == HOSTS))
}

/// The cluster's machines that this project knows: those started from here, and those of the last known nodes, which the leader may
/// have taken from another script's hosts.
fn known_machines(state: &StateDir) -> Outcome<Vec<KnownMachine>> {
    let nodes = Addresses::load(state)?.nodes;
    let of_nodes = nodes.into_iter().filter(|node| !node.machine.is_empty()).map(|node| KnownMachine {
        id: node.machine,
        control_address: Some(node.address),
        ssh: node.ssh.parse().ok(),
    });
    let mut known: Vec<KnownMachine> = of_nodes.collect();
    // Commands that need the record report it if it is damaged.
    let record = ClusterRecord::load(state).ok().flatten();
    for machine in record.into_iter().flat_map(|record| record.machines) {
        if let Some(id) = machine.id.filter(|id| known.iter().all(|known| known.id != *id)) {
            known.push(KnownMachine { id, control_address: machine.control, ssh: None });
        }
    }
    Ok(known)
}

/// Given hosts as the operator's SSH configuration resolves them; other providers stay as they are.
fn localized(context: &Context, spec: &ProviderSpec) -> Outcome<ProviderSpec> {
    if json!(spec.kind) != HOSTS {
        return Ok(spec.clone());
    }
    let resolved = disco_provider::hosts::localize(&spec.options, &SshConfig::of_user());
    let (options, notes) = resolved.map_err(|error| provider_failure(&error))?;
    for note in notes {
        context.printer.warn(&note);
    }
    Ok(ProviderSpec { options, ..spec.clone() })
}

/// The provider that a script named.
pub(crate) fn make_provider(project: &Project, cluster: &str, spec: &ProviderSpec) -> Outcome<Arc<dyn Provider>> {
    let kind = json!(spec.kind);
    provider_of(project, cluster, kind.as_str().unwrap_or_default(), &spec.options)
}

/// The provider of a kind, with options as scripts give them.
pub(super) fn provider_of(project: &Project, cluster: &str, kind: &str, options: &Value) -> Outcome<Arc<dyn Provider>> {
    let machine_executable = std::env::current_exe()
        .map_err(|error| Failure::failed("cannot find the path of this program").because(&error))?;
    // If the record cannot be read, all machines in the project's folder count as its cluster's.
    let record = ClusterRecord::load(&project.state()).ok().flatten();
    let known = if kind == HOSTS { known_machines(&project.state())? } else { Vec::new() };
    let context = ProviderContext {
        known,
        cluster_name: cluster.to_owned(),
        cluster_id: record.map(|record| record.id).filter(|id| !id.is_empty()),
        project_dir: Some(project.root().to_owned()),
        local_dir: None,
        machine_executable,
    };
    from_spec(kind, options, &context).map_err(|error| provider_failure(&error))
}

/// Converts a provider's error to a failure with the matching exit code.
pub(crate) fn provider_failure(error: &disco_provider::ProviderError) -> Failure {
    use disco_provider::ProviderError as E;
    let status = match error {
        _ if error.is_usage() => ExitStatus::Usage,
        _ if error.is_denied() => ExitStatus::Denied,
        _ if error.is_limit() => ExitStatus::Guarded,
        E::NoSuchMachine { .. } => ExitStatus::NotFound,
        _ => ExitStatus::Failed,
    };
    if let E::NotBuiltIn { kind } = error {
        return Failure::new(status, format!("this build does not include the provider of {kind} machines"))
            .because(error);
    }
    let text = error.to_string();
    let (text, embedded) = text.split_once("\nhint: ").map_or((text.as_str(), None), |(text, hint)| (text, Some(hint)));
    let failure = Failure::new(status, text);
    let failure = match error.hint().or(embedded) {
        Some(hint) => failure.hint(hint),
        None => failure,
    };
    match std::error::Error::source(error) {
        Some(source) => failure.because(source),
        None => failure,
    }
}
