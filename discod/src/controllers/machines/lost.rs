//! The hook `node_lost`: decides whether a lost node is replaced, if the script exports it.
//!
//! Each leader calls it once for each lost node. Until it returns nothing is done; `false` leaves the node as it
//! is, anything else replaces it. If the hook fails, the node is replaced.

use std::collections::BTreeMap;
use std::future::Future;

use disco_planner::{Member, Policy};
use disco_runtime_js::cluster::NodeInfo;
use disco_runtime_js::{Arg, Json, ScriptErrorKind};
use tokio::task::JoinSet;

use super::leading::Leading;
use crate::node::Leader;
use crate::records::{self, Severity};
use crate::script::{self, Hook, Scripts};

/// Attempts of one call while it is cancelled for external reasons.
const TRIES: usize = 3;

/// The script's hook, as a leader calls it.
pub(super) trait NodeLost<L>: Clone + Send + Sync + 'static {
    /// Whether the script exports it.
    fn is_exported(&self, leader: &L) -> bool;
    /// Whether to replace the node.
    fn call(&self, leader: &L, lost: NodeInfo) -> impl Future<Output = bool> + Send;
}

/// The script's decisions about lost nodes.
pub(super) struct Lost<H> {
    hook: H,
    /// Whether to replace, by node; `None`: the hook has not returned yet.
    verdicts: BTreeMap<u64, Option<bool>>,
    calls: JoinSet<(u64, bool)>,
}

// === impl Lost ===

impl<H> Lost<H> {
    pub(super) fn new(hook: H) -> Self {
        Self { hook, verdicts: BTreeMap::new(), calls: JoinSet::new() }
    }

    /// Spares the members that the script leaves as they are, and those that it has not decided about yet.
    pub(super) fn decide<L: Leading>(&mut self, leader: &L, members: &mut [Member], limits: &Policy)
    where
        H: NodeLost<L>,
    {
        while let Some(answer) = self.calls.try_join_next() {
            // A call that panicked is repeated.
            if let Ok((id, replace)) = answer {
                self.verdicts.insert(id, Some(replace));
            }
        }
        let lost = |id: u64| members.iter().any(|member| member.id == id && member.is_lost(limits));
        // A node that returns and is lost again is decided anew.
        self.verdicts.retain(|id, _| lost(*id));
        if !self.hook.is_exported(leader) {
            self.verdicts.clear();
            return;
        }
        for member in members.iter_mut().filter(|member| member.is_lost(limits)) {
            let verdict = *self.verdicts.entry(member.id).or_insert_with(|| {
                let (leader, hook, info) = (leader.clone(), self.hook.clone(), info(leader, member));
                self.calls.spawn(async move { (info.id, hook.call(&leader, info).await) });
                None
            });
            member.spared = verdict != Some(true);
        }
    }

    /// Returns when the script has decided about a node.
    pub(super) async fn answered(&mut self) {
        match self.calls.join_next().await {
            Some(Ok((id, replace))) => {
                self.verdicts.insert(id, Some(replace));
            }
            Some(Err(_)) => self.verdicts.clear(),
            None => std::future::pending().await,
        }
    }
}

// === impl Scripts ===

impl NodeLost<Leader> for Scripts {
    fn is_exported(&self, leader: &Leader) -> bool {
        leader.scripts().versions().borrow().as_ref().is_some_and(|version| version.has(Hook::NodeLost.name()))
    }

    async fn call(&self, leader: &Leader, lost: NodeInfo) -> bool {
        call(leader, self, lost).await
    }
}

async fn call(leader: &Leader, scripts: &Scripts, lost: NodeInfo) -> bool {
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
    tracing::warn!(target: "script", hook = name, node = lost.id, "the call was cancelled repeatedly; the node is replaced");
    true
}

/// A lost member as the script sees it.
fn info(leader: &impl Leading, member: &Member) -> NodeInfo {
    let record = leader.read(|store| records::node(store, member.id)).unwrap_or_default();
    NodeInfo {
        id: member.id,
        name: record.name,
        address: record.address,
        role: if member.voter { "voter" } else { "learner" }.to_owned(),
        healthy: false,
        labels: record.labels,
    }
}
