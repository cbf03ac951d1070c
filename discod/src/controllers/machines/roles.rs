//! What machines may do at the provider: those of voters may start and end machines, as any of them may lead; others may not.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::sync::MutexGuard;

use crate::cluster::machines::provider as source;
use crate::controllers::driver::{Controller, Outcome, Schedule};
use crate::node::Leader;
use crate::raft::Role;
use crate::records;

/// How often it is looked who votes, which asks nobody.
const PERIOD: Duration = Duration::from_secs(2);
/// How often it is looked whether the provider has such rights at all: a new cluster is told of its provider a moment later.
const IDLE: Duration = Duration::from_secs(5);
/// How long a promotion waits for its machine's rights.
const BEFORE_PROMOTION: Duration = Duration::from_secs(10);

/// Gives and takes machines' rights at the provider.
#[derive(Default)]
pub(super) struct Roles {
    /// The rights that this leader has set: machine, and whether its node votes.
    known: BTreeMap<String, bool>,
}

// === impl Roles ===

impl Controller for Roles {
    const NAME: &'static str = "roles";

    fn schedule(&self, _: &Leader) -> Schedule {
        Schedule { period: PERIOD, on_wake_up: false, on_revision: None, pause: None }
    }

    async fn pass(&mut self, leader: &Leader) -> Result<Outcome> {
        if !source::has_roles(leader) {
            return Ok(Outcome::Rests(IDLE));
        }
        let machines = machines(leader);
        self.known.retain(|machine, _| machines.contains_key(machine));
        let mut failed = None;
        for (machine, voted) in machines {
            if self.known.get(&machine) == Some(&voted) {
                continue;
            }
            let _held = leader.rights().await;
            // Whether it votes may have changed while another machine was seen to, or while this one was promoted.
            let Some(votes) = self::machines(leader).remove(&machine) else { continue };
            let given = match source::provider(leader) {
                Ok(provider) => provider.empower(&machine, votes).await.map_err(anyhow::Error::from),
                Err(error) => Err(error),
            };
            match given.with_context(|| format!("changing the rights of machine {machine}")) {
                Ok(()) => drop(self.known.insert(machine, votes)),
                // Tried again in the next pass.
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(Outcome::Settled), Err)
    }
}

/// Keeps [`Roles`] from taking rights away until the promotion that they are given for is done, as it takes them from machines of
/// learners. `None` where it waits for the provider for too long; it looks again afterwards.
pub(in crate::controllers) async fn hold_rights(leader: &Leader) -> Option<MutexGuard<'_, ()>> {
    tokio::time::timeout(BEFORE_PROMOTION, leader.rights()).await.ok()
}

/// Gives a machine its rights before its node votes, as it may lead in the next moment: only a leader that has them can give any.
/// A provider that does not answer keeps no vote back; then [`Roles`] gives them, on this leader.
pub(in crate::controllers) async fn give_before_promotion(leader: &Leader, id: u64) {
    let record = leader.raft().store().read(|store| records::node(store, id));
    let Some(record) = record.filter(|record| !record.instance.is_empty() && source::has_roles(leader)) else { return };
    let give = async { anyhow::Ok(source::provider(leader)?.empower(&record.instance, true).await?) };
    let error = match tokio::time::timeout(BEFORE_PROMOTION, give).await {
        Ok(Ok(())) => return,
        Ok(Err(error)) => format!("{error:#}"),
        Err(_) => "no answer".to_owned(),
    };
    tracing::warn!(node = id, machine = record.instance, error, "votes without its rights at the provider, for now");
}

/// The members' machines, and whether they vote.
fn machines(leader: &Leader) -> BTreeMap<String, bool> {
    let nodes = leader.raft().store().read(records::nodes);
    let members = leader.raft().members();
    let with_machine = nodes.into_iter().filter(|record| !record.instance.is_empty() && !record.leaving);
    let of = |record: records::NodeRecord| {
        let member = members.iter().find(|member| member.id == record.id)?;
        Some((record.instance, member.role == Role::Voter))
    };
    with_machine.filter_map(of).collect()
}
