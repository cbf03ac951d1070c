//! The hook `node_lost`: what is to become of a node that is lost is the script's to say, where it has the hook.
//!
//! It is asked once for each node that is lost, by each leader. Until it has answered nothing is done; `false` leaves the node as it
//! is, anything else has it replaced. A hook that fails decides nothing: the node is replaced.

use std::collections::BTreeMap;

use disco_planner::{Member, Policy};
use disco_runtime_js::cluster::NodeInfo;
use disco_runtime_js::{Arg, Json, ScriptErrorKind};
use tokio::task::JoinSet;

use crate::node::Leader;
use crate::records::{self, Severity};
use crate::script::{self, Hook, Scripts};

/// Tries of one question while the call ends for reasons of its surroundings.
const TRIES: usize = 3;

/// What the script says of lost nodes.
pub(super) struct Lost {
    scripts: Scripts,
    /// By node; none: it is still asked.
    verdicts: BTreeMap<u64, Option<bool>>,
    asking: JoinSet<(u64, bool)>,
}

// === impl Lost ===

impl Lost {
    pub(super) fn new(scripts: Scripts) -> Self {
        Self { scripts, verdicts: BTreeMap::new(), asking: JoinSet::new() }
    }

    /// Spares those members that the script wants to be left alone, and those of which it has not said anything yet.
    pub(super) fn decide(&mut self, leader: &Leader, members: &mut [Member], limits: &Policy) {
        while let Some(answer) = self.asking.try_join_next() {
            // One that panicked is asked again.
            if let Ok((id, replace)) = answer {
                self.verdicts.insert(id, Some(replace));
            }
        }
        let lost = |id: u64| members.iter().any(|member| member.id == id && member.is_lost(limits));
        // Who comes back and is lost again is asked of again.
        self.verdicts.retain(|id, _| lost(*id));
        let hooked =
            leader.scripts().versions().borrow().as_ref().is_some_and(|version| version.has(Hook::NodeLost.name()));
        if !hooked {
            self.verdicts.clear();
            return;
        }
        for member in members.iter_mut().filter(|member| member.is_lost(limits)) {
            let verdict = *self.verdicts.entry(member.id).or_insert_with(|| {
                let (leader, scripts, info) = (leader.clone(), self.scripts.clone(), info(leader, member));
                self.asking.spawn(async move { (info.id, ask(&leader, &scripts, info).await) });
                None
            });
            member.spared = verdict != Some(true);
        }
    }

    /// Returns when the script has answered something.
    pub(super) async fn answered(&mut self) {
        match self.asking.join_next().await {
            Some(Ok((id, replace))) => {
                self.verdicts.insert(id, Some(replace));
            }
            Some(Err(_)) => self.verdicts.clear(),
            None => std::future::pending().await,
        }
    }
}

/// Whether the node is to be replaced.
async fn ask(leader: &Leader, scripts: &Scripts, lost: NodeInfo) -> bool {
    let name = Hook::NodeLost.name();
    for _ in 0..TRIES {
        let args = vec![Arg::Cluster, Arg::Node(lost.clone())];
        match scripts.call(leader, name, args, Hook::NodeLost.options()).await {
            Ok(answer) => {
                leader.scripts().succeeded(name);
                let replace = answer != Some(Json::Bool(false));
                if !replace {
                    let text = format!("`{name}` of `cluster.js` leaves {} as it is", lost.name);
                    records::emit(leader, "node.left_alone", Severity::Warning, Some(lost.id), text).await;
                }
                return replace;
            }
            Err(error) if error.kind == ScriptErrorKind::Cancelled => {}
            Err(error) => {
                script::report(leader, name, &error).await;
                return true;
            }
        }
    }
    tracing::warn!(target: "script", hook = name, node = lost.id, "was not asked: scripts were ended again and again");
    true
}

/// A lost member as the script sees it.
fn info(leader: &Leader, member: &Member) -> NodeInfo {
    let record = leader.raft().store().read(|store| records::node(store, member.id)).unwrap_or_default();
    NodeInfo {
        id: member.id,
        name: record.name,
        address: record.address,
        role: if member.voter { "voter" } else { "learner" }.to_owned(),
        healthy: false,
        labels: record.labels,
    }
}
