//! What the script's `Cluster` would do, for `disco plan`: each method looks where the real one looks, and notes what that one
//! would change. Nothing is written, here or elsewhere.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use disco_proto::v1::{PlanRequest, PlannedChange};
use disco_provider::{
    Finding, Instance, StartRequest, Usd,
    plan::{Action, Change, Changes, Recorder},
};
use disco_runtime_js::cluster::{InstanceInfo, NodeInfo};
use serde_json::Value;

use super::{
    Founder, authority,
    founder::provider_failure,
    install::find_binaries,
    instances::{instance_info, known_instances, not_there, start_token},
    key_pair, push_script,
};
use crate::{
    client::Client,
    error::{Failure, Outcome},
    exit::ExitStatus,
    project::ClusterRecord,
};

/// A cluster that does not answer within this is taken for one that does not answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(3);
/// The cluster may ask its provider before it answers.
const FORESEEN_WITHIN: Duration = Duration::from_secs(30);

/// Things of one script that a plan lists. A script that goes round and round until something happens never ends, as nothing does.
const MOST_TOLD: usize = 500;

/// A plan in the making.
pub(super) struct Planning {
    pub(super) recorder: std::sync::Arc<Recorder>,
    noted: Mutex<Noted>,
}

#[derive(Default)]
struct Noted {
    /// Machines that this run of the script has asked for.
    machines: Vec<Machine>,
    /// How the first of them was asked for: what the cluster starts is like it.
    options: Value,
    warnings: Vec<String>,
    /// The cluster has said what it would do.
    foreseen: bool,
    /// Disco would be installed on the first machine: from there on the script finds a cluster.
    installed: bool,
    /// How many nodes it would have then.
    nodes: usize,
    /// The script got an answer that stands in for one that only doing it would give.
    stood_in: bool,
    /// Things that the script would run or write itself.
    told: usize,
}

#[derive(Clone)]
struct Machine {
    id: String,
    name: String,
    /// It is not there yet.
    new: bool,
}

/// What would be done.
#[derive(Debug, Default)]
pub(crate) struct Planned {
    pub(crate) changes: Changes,
    /// What stands in the way of some of it, or could not be found out.
    pub(crate) warnings: Vec<String>,
}

impl Planning {
    pub(super) fn new(recorder: std::sync::Arc<Recorder>) -> Self {
        Self { recorder, noted: Mutex::default() }
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

    pub(super) fn take(&self, foreseen: Planned) {
        foreseen.changes.as_slice().iter().for_each(|change| self.recorder.add(change.clone()));
        foreseen.warnings.into_iter().for_each(|warning| self.warn(warning));
        self.noted(|noted| noted.foreseen = true);
    }
}

impl Founder {
    /// In a plan, notes what would be done, and that it must not be.
    pub(crate) fn only_planned(&self, change: impl FnOnce() -> Change) -> bool {
        let Some(planning) = &self.planning else { return false };
        let told = planning.noted(|noted| {
            noted.stood_in = true;
            noted.told += 1;
            noted.told
        });
        match told {
            ..=MOST_TOLD => planning.recorder.add(change()),
            _ => planning.warn(format!("the script would do more: its first {MOST_TOLD} steps are listed")),
        }
        true
    }

    /// A script's failure where nothing is done: an answer that stood in may be its cause, so that the plan goes as far as it was
    /// known. What it would meet in any case stays a failure.
    pub(crate) fn plan_ends_early(&self, failure: Failure) -> Outcome<()> {
        let of_script = matches!(failure.status(), ExitStatus::Usage | ExitStatus::TimedOut);
        match &self.planning {
            Some(planning) if of_script && planning.noted(|noted| noted.stood_in) => {
                let place = failure.place().map(|place| format!(" ({}:{}:{})", place.file, place.line, place.column));
                planning.warn(format!(
                    "the plan ends here, as nothing is run and the script went by what would come of it: {}{}",
                    failure.message(),
                    place.unwrap_or_default(),
                ));
                Ok(())
            }
            _ => Err(failure),
        }
    }

    /// Whether this is a plan, in which no change will come; notes that the script would wait for one.
    pub(crate) fn waits_for_nothing(&self) -> bool {
        if let Some(planning) = &self.planning {
            planning.noted(|noted| noted.stood_in = true);
        }
        self.planning.is_some()
    }

    /// In a plan, the nodes of a cluster that would be there by now; `None` where the real ones can be asked.
    pub(crate) fn imagined(&self) -> Outcome<Option<Vec<NodeInfo>>> {
        let Some(planning) = &self.planning else { return Ok(None) };
        let (installed, nodes) = planning.noted(|noted| (noted.installed, noted.nodes.max(noted.machines.len())));
        if !installed || self.client()?.is_some() {
            return Ok(None);
        }
        let node = |number: usize| NodeInfo {
            id: number as u64,
            name: format!("{}-{number}", self.name),
            address: NOWHERE.to_owned(),
            role: if number == 1 { "leader" } else { "voter" }.to_owned(),
            healthy: true,
            labels: std::collections::BTreeMap::new(),
        };
        Ok(Some((1..=nodes).map(node).collect()))
    }

    pub(super) async fn plan_instance(
        &self,
        planning: &Planning,
        number: usize,
        options: Value,
    ) -> Outcome<InstanceInfo> {
        let name = format!("{}-{number}", self.name);
        let record = ClusterRecord::load(&self.state())?;
        // A token that nobody has, where there is no cluster yet.
        let token = record.as_ref().map_or_else(|| format!("planned-{name}"), |record| start_token(record, number));
        if let Some(record) = record.as_ref().filter(|record| record.founded) {
            let known = record.instances.iter().find(|instance| instance.token == token).cloned();
            if self.gone(&known).await?.is_some() {
                return Ok(not_there(name, disco_provider::InstanceState::Terminated));
            }
        }
        let architecture = match self.provider.capabilities().boots {
            true => Some(find_binaries(self.project.root()).await?.discod.architecture()),
            false => None,
        };
        let request = StartRequest {
            token,
            name: name.clone(),
            options: options.clone(),
            authorized_keys: self.known_keys(record.as_ref()),
            known: record.as_ref().map(known_instances).unwrap_or_default(),
            architecture,
            ..StartRequest::default()
        };
        let machine = self.provider.start(request).await.map_err(|error| provider_failure(&error))?;
        let new = is_planned(&machine);
        planning.noted(|noted| {
            if noted.machines.is_empty() {
                noted.options = options;
            }
            noted.machines.push(Machine { id: machine.id.clone(), name: name.clone(), new });
        });
        Ok(if new { not_there(name, machine.state) } else { instance_info(machine) })
    }

    /// The public keys that are there already. Those that would be made first are not known.
    fn known_keys(&self, record: Option<&ClusterRecord>) -> Vec<String> {
        let operator = self.planned_key(record).map(|pair| pair.public_openssh());
        // One that cannot be used is named where it is used.
        let cluster = key_pair::cluster_public_key(&self.state()).ok().flatten();
        // They are told apart by their places: without the first one there is no second.
        operator.into_iter().flat_map(|operator| std::iter::once(operator).chain(cluster.clone())).collect()
    }

    pub(super) async fn plan_address(&self, planning: &Planning, named: Option<&str>) -> Outcome<()> {
        if let Some(named) = named {
            // One that the cluster will start is not there yet.
            let machines = self.provider.list().await.map_err(|error| provider_failure(&error))?;
            let id = machines.into_iter().find(|machine| machine.name == named).map_or(named.to_owned(), |one| one.id);
            self.provider.attach_address(&id).await.map_err(|error| provider_failure(&error))?;
            return Ok(());
        }
        let recorded = ClusterRecord::load(&self.state())?
            .and_then(|record| record.instances.into_iter().find_map(|instance| instance.id));
        let first = recorded.or_else(|| planning.noted(|noted| noted.machines.first().map(|one| one.id.clone())));
        let first = first.ok_or_else(|| Failure::usage("`attach_ip` comes after `start_instance`"))?;
        self.provider.attach_address(&first).await.map_err(|error| provider_failure(&error))?;
        Ok(())
    }

    pub(super) async fn plan_install(&self, planning: &Planning) -> Outcome<()> {
        let machines = planning.noted(|noted| noted.machines.clone());
        let record = ClusterRecord::load(&self.state())?;
        let founded = record.is_some_and(|record| record.founded);
        if machines.is_empty() && !founded {
            return Err(Failure::usage("`ssh_install` comes after `start_instance`"));
        }
        if !founded && authority::load_root(&self.state())?.is_none() {
            let path = self.state().path().display().to_string();
            let made = "the cluster's root key and this operator's certificate";
            planning.recorder.add(Change::free(Action::Create, "keys", path, made));
        }
        planning.noted(|noted| noted.installed = true);
        let answers = self.answering_client().await?.is_some();
        for machine in machines {
            let change = |action, details| Change::free(action, "node", &machine.name, details);
            match (founded && !machine.new, answers) {
                (false, _) => planning.recorder.add(change(Action::Create, "Disco is installed over SSH")),
                (true, false) => planning.recorder.add(change(Action::Change, "is started again where it is down")),
                (true, true) => {}
            }
        }
        Ok(())
    }

    pub(super) async fn plan_scale(&self, planning: &Planning, nodes: u32) -> Outcome<()> {
        if let Some(client) = self.answering_client().await? {
            return self.plan_asked(planning, &client, nodes).await;
        }
        if ClusterRecord::load(&self.state())?.is_some_and(|record| record.founded) {
            planning.warn(NO_ANSWER);
            return self.plan_unanswered(planning, nodes);
        }
        let (machines, options) = planning.noted(|noted| (noted.machines.clone(), noted.options.clone()));
        planning.noted(|noted| noted.nodes = nodes as usize);
        let price = self.provider.price(&options).await.map_err(|error| provider_failure(&error))?;
        let like = self.provider.describe(&options);
        for number in machines.len() + 1..=nodes as usize {
            let words = [like.as_str(), "started, installed and joined by the leader"];
            let details = words.into_iter().filter(|words| !words.is_empty()).collect::<Vec<_>>().join("; ");
            planning.recorder.add(Change::machine(format!("{}-{number}", self.name), details, price));
        }
        self.check_limits(nodes as usize, price)
    }

    /// What the leader would refuse.
    fn check_limits(&self, nodes: usize, each: Option<Usd>) -> Outcome<()> {
        if let Some(most) = self.provider.most_machines().filter(|most| nodes > *most) {
            return Err(Failure::new(ExitStatus::Guarded, format!("`max_nodes` allows {most} machines, not {nodes}"))
                .hint("raise `max_nodes` in the script, or take fewer nodes"));
        }
        let Some(limit) = self.provider.hourly_limit() else { return Ok(()) };
        let budget = disco_provider::Budget { limit, present: Vec::new(), each };
        budget.check(nodes).map_err(|over| {
            Failure::new(ExitStatus::Guarded, over.to_string())
                .hint("raise `max_hourly_usd` in the script, or take fewer or smaller machines")
        })
    }

    /// The plan, once the script has ended: with what `bootstrap` does after it, and what the cluster does by itself.
    pub(crate) async fn planned(&self) -> Outcome<Planned> {
        let Some(planning) = &self.planning else { return Ok(Planned::default()) };
        let founded = ClusterRecord::load(&self.state())?.is_some_and(|record| record.founded);
        let client = self.answering_client().await?;
        let makes_nodes = planning.recorder.changes().as_slice().iter().any(|change| change.kind == "node");
        match (&client, self.project.cluster_script()) {
            (Some(client), Some(_)) => {
                let pushed = push_script(client, &self.project, &self.context.printer, true).await?;
                if pushed.changed {
                    planning.recorder.add(Change::free(Action::Change, "script", "cluster.js", pushed.script));
                }
            }
            (None, Some(_)) if makes_nodes => {
                planning.recorder.add(Change::free(Action::Create, "script", "cluster.js", "loaded on every node"));
            }
            _ => {}
        }
        if let Some(client) = &client {
            if client.settled().await?.signing_key_stale && authority::load_root(&self.state())?.is_some() {
                let why = "a voter that has left knew the present one";
                planning.recorder.add(Change::free(Action::Change, "signing key", &self.name, why));
            }
            if !planning.noted(|noted| noted.foreseen) {
                planning.take(foresee(client, None).await?);
            }
        } else if founded {
            planning.warn(NO_ANSWER);
        }
        let warnings = planning.noted(|noted| std::mem::take(&mut noted.warnings));
        Ok(Planned { changes: planning.recorder.changes(), warnings })
    }

    /// What the provider finds of all that it needs; in a plan also for the machine that the script has asked for.
    pub(crate) async fn examine(&self) -> Vec<Finding> {
        let machine = self.planning.as_ref().and_then(|planning| planning.recorder.first_request());
        self.provider.examine(machine.as_ref()).await
    }

    /// The cluster, where there is one and it answers.
    async fn answering_client(&self) -> Outcome<Option<Client>> {
        let Some(client) = self.client()? else { return Ok(None) };
        match client.with_patience(ANSWERS_WITHIN).settled().await {
            Ok(_) => Ok(Some(client)),
            Err(failure) if failure.status() == ExitStatus::Unreachable => Ok(None),
            Err(failure) => Err(failure),
        }
    }
}

/// Where a node would be that is not there yet.
const NOWHERE: &str = "0.0.0.0:0";
const NO_ANSWER: &str = "the cluster does not answer: what it would do by itself is not known";

/// Only a planned machine has no address.
fn is_planned(machine: &Instance) -> bool {
    machine.control_address.ip().is_unspecified()
}

/// What the cluster would do by itself, for a number of nodes or for the one that is wished.
pub(crate) async fn foresee(client: &Client, nodes: Option<u32>) -> Outcome<Planned> {
    let answer = client
        .call_within(FORESEEN_WITHIN, |mut control| async move { control.plan(PlanRequest { nodes }).await })
        .await?;
    let mut changes = Changes::default();
    for change in answer.changes {
        changes.add(read(change)?);
    }
    Ok(Planned { changes, warnings: answer.warnings })
}

fn read(change: PlannedChange) -> Outcome<Change> {
    let action = Action::parse(&change.action).ok_or_else(|| {
        Failure::failed(format!("the cluster plans to `{}` something, which this version does not know", change.action))
            .hint("the node runs another version of Disco: compare `disco --version` with `disco nodes`")
    })?;
    let monthly = change.monthly_micro_usd.map(Usd::from_micros);
    Ok(Change { action, kind: change.kind, name: change.name, details: change.details, monthly })
}
