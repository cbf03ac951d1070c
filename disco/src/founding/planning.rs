//! The script's `Cluster` in `disco plan`: each method reads what that of [`Founder`] reads, and records what that one would change.
//! Nothing is written anywhere.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use disco_proto::v1::{PlanRequest, PlannedChange};
use disco_provider::{
    Finding, Machine, Provider, StartRequest, Usd,
    plan::{Action, Change, Changes, Recorder},
};
use disco_runtime_js::cluster::{ClusterSpec, MachineInfo, NodeInfo};
use serde_json::Value;

use super::{
    Founder, Purpose, authority,
    founder::provider_failure,
    install::find_binaries,
    key_pair,
    machines::{known_machines, machine_info, not_there, start_token},
    push_script,
    scaling::check_size,
};
use crate::{
    client::Client,
    context::Context,
    error::{Failure, Outcome},
    exit::ExitStatus,
    project::ClusterRecord,
};

/// Time for the cluster to answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(3);
/// Time for the cluster's own plan, for which the leader may call its provider.
const CLUSTER_PLAN_WITHIN: Duration = Duration::from_secs(30);

/// Maximum number of a script's own steps in a plan: a loop that waits for a change never ends, as nothing is changed.
const MOST_STEPS: usize = 500;

/// A plan while the script runs.
pub(crate) struct Planning {
    /// The project and its cluster, with a provider that records the requests.
    founder: Arc<Founder>,
    pub(super) recorder: Arc<Recorder>,
    noted: Mutex<Noted>,
}

#[derive(Default)]
struct Noted {
    /// Machines that this run of the script has requested.
    machines: Vec<PlannedMachine>,
    /// The options of the first of them, which the leader uses for further machines.
    options: Value,
    warnings: Vec<String>,
    /// The cluster's own plan is included.
    has_cluster_plan: bool,
    /// Disco would be installed on the first machine: from then on, the script sees a cluster.
    installed: bool,
    /// The number of nodes that cluster would have.
    nodes: usize,
    /// The script received a placeholder for a result that only a real run would give.
    used_placeholder: bool,
    /// Number of steps that the script would run or write itself.
    steps: usize,
}

#[derive(Clone)]
struct PlannedMachine {
    id: String,
    name: String,
    /// It does not exist yet.
    new: bool,
}

/// The resulting plan.
#[derive(Debug, Default)]
pub(crate) struct Planned {
    pub(crate) changes: Changes,
    /// Obstacles to some of the changes, and unknowns.
    pub(crate) warnings: Vec<String>,
}

impl Planning {
    /// Checks the script's `Cluster` against the project; changes nothing.
    pub(crate) fn new(context: &Context, spec: &ClusterSpec) -> Outcome<Self> {
        let mut founder = Founder::new(context, spec, Purpose::Plan, None)?;
        let recorder = Arc::new(Recorder::new(Arc::clone(&founder.provider)));
        founder.provider = Arc::clone(&recorder) as _;
        Ok(Self { founder: Arc::new(founder), recorder, noted: Mutex::default() })
    }

    /// The project and its cluster, to read from them.
    pub(crate) fn founder(&self) -> &Arc<Founder> {
        &self.founder
    }

    fn noted<T>(&self, f: impl FnOnce(&mut Noted) -> T) -> T {
        f(&mut self.noted.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn warn(&self, text: impl Into<String>) {
        let text = text.into();
        self.noted(|noted| {
            if !noted.warnings.contains(&text) {
                noted.warnings.push(text);
            }
        });
    }

    pub(super) fn take(&self, plan: Planned) {
        plan.changes.as_slice().iter().for_each(|change| self.recorder.add(change.clone()));
        plan.warnings.into_iter().for_each(|warning| self.warn(warning));
        self.noted(|noted| noted.has_cluster_plan = true);
    }

    /// Records a change that the script would make. It gets a placeholder for the result.
    pub(crate) fn record(&self, change: Change) {
        let steps = self.noted(|noted| {
            noted.used_placeholder = true;
            noted.steps += 1;
            noted.steps
        });
        match steps {
            ..=MOST_STEPS => self.recorder.add(change),
            _ => self.warn(format!("the script would do more: only its first {MOST_STEPS} steps are listed")),
        }
    }

    /// Notes that the script waits for a change, which never comes in a plan.
    pub(crate) fn waits(&self) {
        self.noted(|noted| noted.used_placeholder = true);
    }

    /// A script's failure: a placeholder result may be its cause, and then the plan ends here with a warning. Failures that a real run
    /// would meet, too, stay failures.
    pub(crate) fn ends_early(&self, failure: Failure) -> Outcome<()> {
        let of_script = matches!(failure.status(), ExitStatus::Usage | ExitStatus::TimedOut);
        if !of_script || !self.noted(|noted| noted.used_placeholder) {
            return Err(failure);
        }
        let place = failure.place().map(|place| format!(" ({}:{}:{})", place.file, place.line, place.column));
        self.warn(format!(
            "the plan ends here: the script failed on a placeholder result, since nothing is run: {}{}",
            failure.message(),
            place.unwrap_or_default(),
        ));
        Ok(())
    }

    /// The nodes that the planned cluster would have by now; `None` if there is a real cluster, or none yet.
    pub(crate) fn nodes(&self) -> Outcome<Option<Vec<NodeInfo>>> {
        let (installed, nodes) = self.noted(|noted| (noted.installed, noted.nodes.max(noted.machines.len())));
        if !installed || self.founder.client()?.is_some() {
            return Ok(None);
        }
        let node = |number: usize| NodeInfo {
            id: number as u64,
            name: format!("{}-{number}", self.founder.name()),
            address: NOWHERE.to_owned(),
            role: if number == 1 { "leader" } else { "voter" }.to_owned(),
            healthy: true,
            labels: std::collections::BTreeMap::new(),
        };
        Ok(Some((1..=nodes).map(node).collect()))
    }

    /// Whether the cluster is healthy; a planned one is.
    pub(crate) async fn healthy(&self) -> Outcome<bool> {
        if self.nodes()?.is_some() { Ok(true) } else { self.founder.healthy().await }
    }

    /// Plans a machine, or finds the one that the same call of an earlier run started.
    pub(crate) async fn start_instance(&self, options: Value) -> Outcome<MachineInfo> {
        let founder = &self.founder;
        let number = founder.next_start();
        let name = format!("{}-{number}", founder.name());
        let record = ClusterRecord::load(&founder.state())?;
        // Without a cluster, a token that no machine has.
        let token = record.as_ref().map_or_else(|| format!("planned-{name}"), |record| start_token(record, number));
        if let Some(record) = record.as_ref().filter(|record| record.founded) {
            let known = record.machines.iter().find(|machine| machine.token == token).cloned();
            if founder.gone(&known).await?.is_some() {
                return Ok(not_there(name, disco_provider::MachineState::Terminated));
            }
        }
        let architecture = match founder.provider.capabilities().boots {
            true => Some(find_binaries(founder.project.root()).await?.discod.architecture()),
            false => None,
        };
        let request = StartRequest {
            token,
            name: name.clone(),
            options: options.clone(),
            authorized_keys: self.known_keys(record.as_ref()).await,
            known: record.as_ref().map(known_machines).unwrap_or_default(),
            architecture,
            ..StartRequest::default()
        };
        let machine = founder.provider.start(request).await.map_err(|error| provider_failure(&error))?;
        let new = is_planned(&machine);
        self.noted(|noted| {
            if noted.machines.is_empty() {
                noted.options = options;
            }
            noted.machines.push(PlannedMachine { id: machine.id.clone(), name: name.clone(), new });
        });
        Ok(if new { not_there(name, machine.state) } else { machine_info(machine) })
    }

    /// The existing public keys. Keys that would be generated are not known.
    async fn known_keys(&self, record: Option<&ClusterRecord>) -> Vec<String> {
        let founder = &self.founder;
        let operator = founder.planned_key(record).await.and_then(|key| key.public_openssh().map(str::to_owned));
        // An unusable key is reported where it is used.
        let cluster = key_pair::cluster_public_key(&founder.state()).ok().flatten();
        // Their order identifies them: without the operator's key, leave out the cluster's.
        operator.into_iter().flat_map(|operator| std::iter::once(operator).chain(cluster.clone())).collect()
    }

    /// Plans a permanent public address for a machine.
    pub(crate) async fn attach_ip(&self, named: Option<&str>) -> Outcome<()> {
        let founder = &self.founder;
        if !founder.can_attach_address() {
            return Ok(());
        }
        if let Some(named) = named {
            // A machine that the leader would start does not exist yet.
            let machines = founder.provider.list().await.map_err(|error| provider_failure(&error))?;
            let id = machines.into_iter().find(|machine| machine.name == named).map_or(named.to_owned(), |one| one.id);
            founder.provider.attach_address(&id).await.map_err(|error| provider_failure(&error))?;
            return Ok(());
        }
        let recorded = ClusterRecord::load(&founder.state())?
            .and_then(|record| record.machines.into_iter().find_map(|machine| machine.id));
        let first = recorded.or_else(|| self.noted(|noted| noted.machines.first().map(|one| one.id.clone())));
        let first = first.ok_or_else(|| Failure::usage("`attach_ip` needs a machine: call `start_instance` first"))?;
        founder.provider.attach_address(&first).await.map_err(|error| provider_failure(&error))?;
        Ok(())
    }

    /// Plans the installation of the machines requested so far.
    pub(crate) async fn ssh_install(&self) -> Outcome<()> {
        let founder = &self.founder;
        let machines = self.noted(|noted| noted.machines.clone());
        let record = ClusterRecord::load(&founder.state())?;
        let founded = record.is_some_and(|record| record.founded);
        if machines.is_empty() && !founded {
            return Err(Failure::usage("`ssh_install` needs a machine: call `start_instance` first"));
        }
        if !founded && authority::load_root(&founder.state())?.is_none() {
            let state = founder.state();
            let path = state.path().strip_prefix(founder.project.root()).unwrap_or(state.path()).display().to_string();
            let made = "the cluster's root key and this operator's certificate";
            self.recorder.add(Change::free(Action::Create, "keys", path, made));
        }
        self.noted(|noted| noted.installed = true);
        let answers = self.answering_client().await?.is_some();
        for machine in machines {
            let change = |action, details| Change::free(action, "node", &machine.name, details);
            match (founded && !machine.new, answers) {
                (false, _) => self.recorder.add(change(Action::Create, "Disco is installed over SSH")),
                (true, false) => self.recorder.add(change(Action::Change, "is restarted if it is down")),
                (true, true) => {}
            }
        }
        Ok(())
    }

    /// Plans the number of nodes that the script requests.
    pub(crate) async fn scale(&self, nodes: u32) -> Outcome<()> {
        check_size(nodes)?;
        let founder = &self.founder;
        if let Some(client) = self.answering_client().await? {
            return self.scale_asked(&client, nodes).await;
        }
        if ClusterRecord::load(&founder.state())?.is_some_and(|record| record.founded) {
            self.warn(NO_ANSWER);
            return self.scale_unanswered(nodes);
        }
        let (machines, options) = self.noted(|noted| (noted.machines.clone(), noted.options.clone()));
        self.noted(|noted| noted.nodes = nodes as usize);
        let price = founder.provider.price(&options).await.map_err(|error| provider_failure(&error))?;
        let like = founder.provider.describe(&options);
        for number in machines.len() + 1..=nodes as usize {
            let words = [like.as_str(), "the leader installs it"];
            let details = words.into_iter().filter(|words| !words.is_empty()).collect::<Vec<_>>().join("; ");
            self.recorder.add(Change::machine(format!("{}-{number}", founder.name), details, price));
        }
        self.check_limits(nodes as usize, price)
    }

    /// Checks the limits that the leader would enforce.
    fn check_limits(&self, nodes: usize, each: Option<Usd>) -> Outcome<()> {
        let founder = &self.founder;
        if let Some(most) = founder.provider.most_machines().filter(|most| nodes > *most) {
            return Err(Failure::new(ExitStatus::Guarded, format!("`max_nodes` allows {most} machines, not {nodes}"))
                .hint("raise `max_nodes` in the script, or use fewer nodes"));
        }
        let Some(limit) = founder.provider.hourly_limit() else { return Ok(()) };
        let budget = disco_provider::Budget { limit, present: Vec::new(), each };
        budget.check(nodes).map_err(|over| {
            Failure::new(ExitStatus::Guarded, over.to_string())
                .hint("raise `max_hourly_usd` in the script, or use fewer or smaller machines")
        })
    }

    /// The whole plan, after the script has ended: adds what `bootstrap` does after the script, and what the cluster itself would do.
    pub(crate) async fn planned(&self) -> Outcome<Planned> {
        let founder = &self.founder;
        let founded = ClusterRecord::load(&founder.state())?.is_some_and(|record| record.founded);
        let client = self.answering_client().await?;
        let makes_nodes = self.recorder.changes().as_slice().iter().any(|change| change.kind == "node");
        match (&client, founder.project.cluster_script()) {
            (Some(client), Some(_)) => {
                let pushed = push_script(client, &founder.project, &founder.context.printer, true).await?;
                if pushed.changed {
                    self.recorder.add(Change::free(Action::Change, "script", "cluster.js", pushed.script));
                }
            }
            (None, Some(_)) if makes_nodes => {
                self.recorder.add(Change::free(Action::Create, "script", "cluster.js", "loaded on every node"));
            }
            _ => {}
        }
        if let Some(client) = &client {
            if client.settled().await?.signing_key_stale && authority::load_root(&founder.state())?.is_some() {
                let why = "a removed voter had the current one";
                self.recorder.add(Change::free(Action::Change, "signing key", &founder.name, why));
            }
            if !self.noted(|noted| noted.has_cluster_plan) {
                self.take(cluster_plan(client, None).await?);
            }
        } else if founded {
            self.warn(NO_ANSWER);
        }
        let warnings = self.noted(|noted| std::mem::take(&mut noted.warnings));
        Ok(Planned { changes: self.recorder.changes(), warnings })
    }

    /// The provider's checks of its preconditions, also for the machine that the script requested.
    pub(crate) async fn examine(&self) -> Vec<Finding> {
        let machine = self.recorder.first_request();
        self.recorder.examine(machine.as_ref()).await
    }

    /// A connection to the cluster, if it exists and answers.
    async fn answering_client(&self) -> Outcome<Option<Client>> {
        let Some(client) = self.founder.client()? else { return Ok(None) };
        match client.with_patience(ANSWERS_WITHIN).settled().await {
            Ok(_) => Ok(Some(client)),
            Err(failure) if failure.status() == ExitStatus::Unreachable => Ok(None),
            Err(failure) => Err(failure),
        }
    }
}

/// The address of a planned node.
const NOWHERE: &str = "0.0.0.0:0";
const NO_ANSWER: &str = "the cluster does not answer: its own plan is unknown";

/// Only a planned machine has no address.
fn is_planned(machine: &Machine) -> bool {
    machine.control_address.ip().is_unspecified()
}

/// The cluster's own plan, for a number of nodes or, without one, for its current target size.
pub(crate) async fn cluster_plan(client: &Client, nodes: Option<u32>) -> Outcome<Planned> {
    let answer = client
        .call_within(CLUSTER_PLAN_WITHIN, |mut control| async move { control.plan(PlanRequest { nodes }).await })
        .await?;
    let mut changes = Changes::default();
    for change in answer.changes {
        changes.add(read(change)?);
    }
    Ok(Planned { changes, warnings: answer.warnings })
}

fn read(change: PlannedChange) -> Outcome<Change> {
    let action = Action::parse(&change.action).ok_or_else(|| {
        Failure::failed(format!("unknown action `{}` in the cluster's plan", change.action))
            .hint("the node runs another version of Disco: compare `disco --version` with `disco nodes`")
    })?;
    let monthly = change.monthly_micro_usd.map(Usd::from_micros);
    Ok(Change { action, kind: change.kind, name: change.name, details: change.details, monthly })
}
