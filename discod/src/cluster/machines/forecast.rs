//! Changes of nodes and machines that the cluster would make, and their cost, for `disco plan`. Read-only.

use anyhow::{Context, Result};
use disco_planner::forecast::forecast;
use disco_planner::repair::{self, View};
use disco_proto::v1::{PlanResponse, PlannedChange};
use disco_provider::plan::{Action, Change, MACHINE};
use disco_provider::{Machine, Provider, Usd};

use super::view::{dead, limits, machine, since_replacement};
use super::{capacity, provider as source, scale};
use crate::cluster::Error;
use crate::cluster::nodes::view::planned;
use crate::node::Leader;
use crate::records::{self, MachineRecord, NodeRecord};

/// The changes that the cluster would make by itself to have this many nodes, or its current target size. Only on the
/// leader.
///
/// # Errors
/// The cluster cannot have this many, or the provider does not answer.
pub async fn plan(leader: &Leader, nodes: Option<u32>) -> crate::cluster::Result<PlanResponse> {
    let desired = match nodes {
        Some(nodes) => {
            scale::check(leader, nodes).await?;
            nodes
        }
        // No target size was set yet: the current number of nodes.
        None => {
            let members = u32::try_from(planned(leader).len()).unwrap_or(u32::MAX);
            leader.raft().store().read(records::desired_nodes).unwrap_or(members)
        }
    };
    foresee(leader, desired).await.map_err(Error::Internal)
}

/// All changes to reach `desired` nodes.
async fn foresee(leader: &Leader, desired: u32) -> Result<PlanResponse> {
    let (members, limits) = (planned(leader), limits(leader));
    let dead = dead(&members, &limits);
    let (records, nodes) = leader.raft().store().read(|store| (records::machines(store), records::nodes(store)));
    let machines: Vec<repair::Machine> = records.iter().map(machine).collect();
    let provider = source::provider(leader)?;
    let (available, limit) = capacity::available(leader, &dead).await?;
    let replaced = since_replacement(&records);
    let limit = limit.as_str();
    let view = View { desired: desired as usize, members: &members, machines: &machines, available, limit, replaced };
    let foreseen = forecast(view, &limits);
    let known = provider.list().await.context("listing the machines")?;
    let affected = Affected { nodes: &nodes, records: &records, known: &known, dead: &dead };

    let options = source::machine_options(leader);
    let price = provider.price(&options).await.context("looking up the price of a machine")?;
    let like = provider.describe(&options);
    let mut changes: Vec<Change> = foreseen.going_on.iter().map(|token| affected.going_on(token, price)).collect();
    for (name, number) in names(leader).zip(0..foreseen.starts) {
        let place = number >= foreseen.starts - foreseen.replacements;
        changes.push(started(name, &like, place, price));
    }
    changes.extend(foreseen.terminated.iter().map(|token| affected.terminated(token)));
    changes.extend(foreseen.removed.iter().map(|id| affected.removed(*id, provider.as_ref())));
    let warnings = foreseen.blocked.iter().map(ToString::to_string).collect();
    Ok(PlanResponse { changes: changes.into_iter().map(planned_change).collect(), warnings })
}

/// Names of the machines that would be started.
fn names(leader: &Leader) -> impl Iterator<Item = String> {
    let (next, _) = leader.raft().store().read(records::next_machine);
    let cluster = leader.cluster_name().to_owned();
    (next..).map(move |number| format!("{cluster}-{number}"))
}

fn started(name: String, like: &str, replaces: bool, price: Option<Usd>) -> Change {
    let why = if replaces { "replaces a lost node" } else { "the leader installs it" };
    let details = [like, why].into_iter().filter(|words| !words.is_empty()).collect::<Vec<_>>().join("; ");
    Change::machine(name, details, price)
}

/// What is known about nodes and machines that would go.
struct Affected<'a> {
    nodes: &'a [NodeRecord],
    records: &'a [MachineRecord],
    known: &'a [Machine],
    dead: &'a [u64],
}

impl Affected<'_> {
    fn record(&self, token: &str) -> Option<&MachineRecord> {
        self.records.iter().find(|record| record.token == token)
    }

    /// The cost that ends with the machine.
    fn saved(&self, id: &str) -> Option<Usd> {
        match self.known.iter().find(|machine| machine.id == id) {
            Some(machine) => machine.price.map(|price| -price.per_month()),
            // The machine is already gone.
            None => Some(Usd::ZERO),
        }
    }

    fn going_on(&self, token: &str, price: Option<Usd>) -> Change {
        let state = self.record(token).map_or("requested", |record| record.state.as_str());
        let there = self.record(token).is_some_and(|record| self.known.iter().any(|one| one.id == record.id));
        let details = format!("in progress: {state}");
        let name = self.record(token).map_or(token, |record| record.name.as_str());
        // A machine that exists is already paid for.
        let (action, price) = if there { (Action::Change, Some(Usd::ZERO)) } else { (Action::Create, price) };
        Change { action, ..Change::machine(name, details, price) }
    }

    fn terminated(&self, token: &str) -> Change {
        let (name, id) = self.record(token).map_or((token, ""), |record| (record.name.as_str(), record.id.as_str()));
        Change { monthly: self.saved(id), ..Change::free(Action::Delete, MACHINE, name, "did not become a node") }
    }

    fn removed(&self, id: u64, provider: &dyn Provider) -> Change {
        let record = self.nodes.iter().find(|node| node.id == id);
        let name = record.map_or_else(|| format!("node {id}"), |record| record.name.clone());
        let why = if self.dead.contains(&id) { "is lost" } else { "exceeds the target size" };
        let machine = record.map_or("", |record| record.machine.as_str());
        let end = match (machine, provider.capabilities().can_terminate) {
            ("", _) => String::new(),
            (machine, true) => format!("; terminates {machine}"),
            (machine, false) => format!("; releases {machine}"),
        };
        let details = format!("node {id} {why}{end}");
        Change { monthly: self.saved(machine), ..Change::free(Action::Delete, MACHINE, name, details) }
    }
}

fn planned_change(change: Change) -> PlannedChange {
    PlannedChange {
        action: change.action.as_str().to_owned(),
        kind: change.kind,
        name: change.name,
        details: change.details,
        monthly_micro_usd: change.monthly.map(Usd::micros),
    }
}
