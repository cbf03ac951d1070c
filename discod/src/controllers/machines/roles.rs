//! Machines' permissions at the provider: those of voters may start and end machines, as any of them may lead; others may not.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::sync::MutexGuard;

use super::leading::Leading;
use crate::controllers::driver::{Controller, Outcome, Schedule};
use crate::raft::Role;
use crate::records;

/// How often the voters are checked, which needs no request.
const PERIOD: Duration = Duration::from_secs(2);
/// How often is checked whether the provider has permissions at all: a new cluster gets its provider a moment later.
const IDLE: Duration = Duration::from_secs(5);
/// How long a promotion waits for its machine's permissions.
const BEFORE_PROMOTION: Duration = Duration::from_secs(10);

/// Grants and revokes machines' permissions at the provider.
#[derive(Default)]
pub(super) struct Roles {
    /// The permissions that this leader has set: machine, and whether its node votes.
    known: BTreeMap<String, bool>,
}

// === impl Roles ===

impl<L: Leading> Controller<L> for Roles {
    const NAME: &'static str = "roles";

    fn schedule(&self, _: &L) -> Schedule {
        Schedule { period: PERIOD, on_wake_up: false, on_revision: None, pause: None }
    }

    async fn pass(&mut self, leader: &L) -> Result<Outcome> {
        if !has_roles(leader) {
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
            // The vote may have changed during the request for another machine, or during a promotion.
            let Some(votes) = self::machines(leader).remove(&machine) else { continue };
            let given = match leader.provider() {
                Ok(provider) => provider.empower(&machine, votes).await.map_err(anyhow::Error::from),
                Err(error) => Err(error),
            };
            match given.with_context(|| format!("changing the permissions of machine {machine}")) {
                Ok(()) => drop(self.known.insert(machine, votes)),
                // Tried again in the next pass.
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(Outcome::Settled), Err)
    }
}

/// Keeps [`Roles`] from revoking permissions until the promotion that they were granted for is done, as it revokes those of
/// learners' machines. `None` if the provider takes too long; [`Roles`] checks the vote again afterwards.
pub(in crate::controllers) async fn hold_rights<L: Leading>(leader: &L) -> Option<MutexGuard<'_, ()>> {
    tokio::time::timeout(BEFORE_PROMOTION, leader.rights()).await.ok()
}

/// Grants a machine its permissions before its node votes, as that node may lead in the next moment: only a leader that has them can
/// grant any. A provider that does not answer does not prevent the promotion; then [`Roles`] grants them, on this leader.
pub(in crate::controllers) async fn give_before_promotion<L: Leading>(leader: &L, id: u64) {
    let record = leader.read(|store| records::node(store, id));
    let Some(record) = record.filter(|record| !record.machine.is_empty() && has_roles(leader)) else { return };
    let give = async { anyhow::Ok(leader.provider()?.empower(&record.machine, true).await?) };
    let error = match tokio::time::timeout(BEFORE_PROMOTION, give).await {
        Ok(Ok(())) => return,
        Ok(Err(error)) => format!("{error:#}"),
        Err(_) => "no answer".to_owned(),
    };
    tracing::warn!(
        node = id,
        machine = record.machine,
        error,
        "the node votes without permissions at the provider until the next attempt"
    );
}

/// Whether machines have rights at the provider, which only voters may have.
fn has_roles(leader: &impl Leading) -> bool {
    leader.has_provider() && leader.provider().is_ok_and(|provider| provider.capabilities().has_roles)
}

/// The members' machines, and whether they vote.
fn machines(leader: &impl Leading) -> BTreeMap<String, bool> {
    let nodes = leader.read(records::nodes);
    let members = leader.members();
    let with_machine = nodes.into_iter().filter(|record| !record.machine.is_empty() && !record.leaving);
    let of = |record: records::NodeRecord| {
        let member = members.iter().find(|member| member.id == record.id)?;
        Some((record.machine, member.role == Role::Voter))
    };
    with_machine.filter_map(of).collect()
}
