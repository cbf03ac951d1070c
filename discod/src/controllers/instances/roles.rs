//! What machines may do at the provider: those of voters may start and end machines, as any of them may lead; others may not.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::MutexGuard;

use crate::cluster::machines::provider as source;
use crate::node::Leader;
use crate::raft::Role;
use crate::records;

/// How often it is looked who votes, which asks nobody.
const LOOK: Duration = Duration::from_secs(2);
/// How often it is looked whether the provider has such rights at all: a new cluster is told of its provider a moment later.
const IDLE: Duration = Duration::from_secs(5);
/// How long a promotion waits for its machine's rights.
const BEFORE_PROMOTION: Duration = Duration::from_secs(10);

/// Until this node leads no more.
pub(super) async fn run(leader: &Leader) {
    // What this leader has seen to.
    let mut known: BTreeMap<String, bool> = BTreeMap::new();
    loop {
        if !source::has_roles(leader) {
            tokio::time::sleep(IDLE).await;
            continue;
        }
        let wished = wished(leader);
        known.retain(|machine, _| wished.contains_key(machine));
        for (machine, voted) in wished {
            if known.get(&machine) == Some(&voted) {
                continue;
            }
            let _held = leader.rights().await;
            // Whether it votes may have changed while another machine was seen to, or while this one was promoted.
            let Some(votes) = self::wished(leader).remove(&machine) else { continue };
            let given = match source::provider(leader) {
                Ok(provider) => provider.empower(&machine, votes).await.map_err(anyhow::Error::from),
                Err(error) => Err(error),
            };
            match given {
                Ok(()) => drop(known.insert(machine, votes)),
                // Tried again at the next look.
                Err(error) => {
                    tracing::warn!(machine, votes, error = format!("{error:#}"), "its rights were not changed")
                }
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Keeps [`run`] from taking rights away until the promotion that they are given for is done, as it takes them from machines of
/// learners. `None` where it waits for the provider for too long; it looks again afterwards.
pub(in crate::controllers) async fn hold_rights(leader: &Leader) -> Option<MutexGuard<'_, ()>> {
    tokio::time::timeout(BEFORE_PROMOTION, leader.rights()).await.ok()
}

/// Gives a machine its rights before its node votes, as it may lead in the next moment: only a leader that has them can give any.
/// A provider that does not answer keeps no vote back; then [`run`] gives them, on this leader.
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
fn wished(leader: &Leader) -> BTreeMap<String, bool> {
    let nodes = leader.raft().store().read(records::nodes);
    let members = leader.raft().members();
    let machines = nodes.into_iter().filter(|record| !record.instance.is_empty() && !record.leaving);
    let of = |record: records::NodeRecord| {
        let member = members.iter().find(|member| member.id == record.id)?;
        Some((record.instance, member.role == Role::Voter))
    };
    machines.filter_map(of).collect()
}
