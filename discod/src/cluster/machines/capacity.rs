//! How many machines the cluster may still have: what the provider has, and what the script allows.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use disco_provider::{Budget, Machine, Provider};

use super::provider::machine_options;
use super::source::Source;
use crate::records::machine_state::TERMINATING;
use crate::records::{self, MachineRecord, Records};

/// Assumed number of machines of a provider without a limit.
const PLENTY: usize = 1000;

/// How many machines can still be started, and the reason of that limit or an empty text. `dead` are members whose
/// machines are released in favour of their replacements.
///
/// # Errors
/// The provider does not answer.
pub async fn available(source: &impl Source, dead: &[u64]) -> Result<(usize, String)> {
    let provider = source.provider()?;
    let capabilities = provider.capabilities();
    if !capabilities.can_start {
        // Given machines: the unused ones.
        let listed = provider.list().await?;
        let (nodes, machines) = source.read(|store| (records::nodes(store), records::machines(store)));
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
    let present = Present::of(source, provider.as_ref(), dead).await?;
    if let Some(most) = provider.most_machines() {
        available = (most.saturating_sub(present.as_nodes()), most_allowed(most));
    }
    if let Some(budget) = budget(source, provider.as_ref(), &present).await? {
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
    async fn of(source: &impl Records, provider: &dyn Provider, dead: &[u64]) -> Result<Self> {
        let leaving = of_lost_nodes(source, dead);
        let records = source.read(records::machines);
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

fn of_lost_nodes(source: &impl Records, lost: &[u64]) -> BTreeSet<String> {
    let nodes = source.read(records::nodes);
    nodes.into_iter().filter(|node| lost.contains(&node.id)).map(|node| node.machine).collect()
}

fn is_ending(records: &[MachineRecord], machine: &str) -> bool {
    records.iter().any(|record| record.id == machine && record.state == TERMINATING)
}

/// Machines that do not count against limits: those of dead members, and those that are ending.
pub fn leaving(source: &impl Records, dead: &[u64]) -> BTreeSet<String> {
    let mut leaving = of_lost_nodes(source, dead);
    let ending = source.read(records::machines).into_iter();
    leaving.extend(ending.filter(|record| record.state == TERMINATING).map(|record| record.id));
    leaving.remove("");
    leaving
}

/// The cost of the cluster's machines and its limit, if one is set.
async fn budget(source: &impl Records, provider: &dyn Provider, present: &Present) -> Result<Option<Budget>> {
    let Some(limit) = provider.hourly_limit() else { return Ok(None) };
    let each = provider.price(&machine_options(source)).await.context("looking up the price of a machine")?;
    let present = present.machines.iter().map(|machine| machine.price).collect();
    Ok(Some(Budget { limit, present, each }))
}

/// Whether the cluster can have this many nodes.
///
/// # Errors
/// The reason: the provider has no more machines, or they would cost more than the script allows.
pub async fn check_can_have(source: &impl Source, wanted: usize, dead: &[u64]) -> Result<(), String> {
    let checked = async {
        let provider = source.provider()?;
        if let Some(most) = provider.most_machines().filter(|most| wanted > *most) {
            anyhow::bail!("{}, not {wanted}", most_allowed(most));
        }
        let present = Present::of(source, provider.as_ref(), dead).await?;
        if let Some(budget) = budget(source, provider.as_ref(), &present).await? {
            budget.check(wanted.saturating_sub(budget.present.len()))?;
        }
        anyhow::Ok(())
    };
    checked.await.map_err(|error| format!("{error:#}"))
}
