//! What machines may do at the provider: those of voters may start and end machines, as any of them may lead; others may not.

use std::collections::BTreeMap;
use std::time::Duration;

use super::source;
use crate::node::Node;
use crate::raft::Role;
use crate::records;

/// How often it is looked who votes, which asks nobody.
const LOOK: Duration = Duration::from_secs(2);
/// How often it is looked whether the provider has such rights at all: a new cluster is told of its provider a moment later.
const IDLE: Duration = Duration::from_secs(5);

/// Until this node leads no more.
pub(super) async fn run(node: &Node) {
    // What this leader has seen to.
    let mut known: BTreeMap<String, bool> = BTreeMap::new();
    loop {
        if !source::has_roles(node) {
            tokio::time::sleep(IDLE).await;
            continue;
        }
        let wished = wished(node);
        known.retain(|machine, _| wished.contains_key(machine));
        for (machine, votes) in wished {
            if known.get(&machine) == Some(&votes) {
                continue;
            }
            let given = match source::provider(node) {
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

/// The members' machines, and whether they vote.
fn wished(node: &Node) -> BTreeMap<String, bool> {
    let nodes = node.raft().store().read(records::nodes);
    let members = node.raft().members();
    let machines = nodes.into_iter().filter(|record| !record.instance.is_empty() && !record.leaving);
    let of = |record: records::NodeRecord| {
        let member = members.iter().find(|member| member.id == record.id)?;
        Some((record.instance, member.role == Role::Voter))
    };
    machines.filter_map(of).collect()
}
