//! The leader, as the controllers of machines need it beside its records and its provider: what it knows of members, and each of
//! its effects. Tests have a leader in memory, whose term ends between any two effects.

use std::future::Future;
use std::sync::Arc;

use anyhow::Result;
use disco_planner::{Member as Planned, Policy};
use disco_provider::install::Boot;
use disco_provider::ssh::KeyPair;
use disco_provider::{Machine, Provider};
use tokio::sync::{MutexGuard, watch};

use super::addresses::Holder;
use crate::cluster::machines::source::Source;
use crate::cluster::machines::{provider, view};
use crate::cluster::nodes::{moving, removal, view::planned};
use crate::node::{Leader, Node};
use crate::raft::{Member, Pace};
use crate::records::MachineRecord;

/// The leader of one term.
pub(in crate::controllers) trait Leading: Source + Installs + Removes + Clone + 'static {
    /// The cluster's intervals.
    fn pace(&self) -> Pace;
    /// The cluster's name.
    fn cluster_name(&self) -> &str;
    /// The leader's own machine, if it knows that.
    fn own_machine(&self) -> Option<Holder>;
    /// All members, by id.
    fn members(&self) -> Vec<Member>;
    /// The members as the planner sees them.
    fn planned(&self) -> Vec<Planned>;
    /// The limits of decisions about machines.
    fn limits(&self) -> Policy;
    /// The revisions of the records.
    fn revisions(&self) -> watch::Receiver<i64>;
    /// Sets why the cluster is below its target size, for `disco status`.
    fn set_blocked(&self, reason: Option<String>);
    /// Held while machines' permissions at the provider are changed.
    fn rights(&self) -> impl Future<Output = MutexGuard<'_, ()>> + Send;
    /// The cluster's own SSH key.
    fn ssh_key(&self) -> Result<KeyPair>;
}

/// A machine that was started, on which a node is to be installed.
pub(in crate::controllers) struct Site {
    pub(super) provider: Arc<dyn Provider>,
    pub(super) record: MachineRecord,
    pub(super) machine: Machine,
}

/// Installs nodes.
///
/// # Errors
/// All methods: why the machine cannot be reached or changed; a retry is safe.
pub(in crate::controllers) trait Installs: Sync {
    /// The programs to install.
    type Programs: Send + Sync;
    /// A connection to a machine that may be changed.
    type Remote: Send + Sync;

    /// This program and the client, as they are to be installed.
    fn programs(&self) -> impl Future<Output = Result<Self::Programs>> + Send;
    /// Connects to the machine, and obtains the permission to change it.
    fn reach(&self, programs: &Self::Programs, site: &Site) -> impl Future<Output = Result<Self::Remote>> + Send;
    /// Installs and starts a node that joins this cluster.
    fn install(
        &self,
        programs: &Self::Programs,
        site: &Site,
        remote: &Self::Remote,
    ) -> impl Future<Output = Result<Boot>> + Send;
    /// The end of the node's log.
    fn log(&self, remote: &Self::Remote) -> impl Future<Output = String> + Send;
}

/// Removes nodes.
///
/// # Errors
/// All methods: why the node cannot be removed now, or what failed; a retry is safe.
pub(in crate::controllers) trait Removes: Sync {
    /// Whether a node that reports has tasks that are not gone.
    fn has_tasks(&self, id: u64) -> bool;
    /// Checks whether a node may be removed, by new signs of life.
    fn check_removal(&self, id: u64) -> impl Future<Output = Result<(), String>> + Send;
    /// Marks a node that will be removed.
    fn mark_removal(&self, id: u64) -> impl Future<Output = Result<()>> + Send;
    /// Removes a node, and marks its machine for release.
    fn remove(&self, id: u64) -> impl Future<Output = Result<()>> + Send;
}

// === impl Leader ===

impl Leading for Leader {
    fn pace(&self) -> Pace {
        self.raft().pace()
    }

    fn cluster_name(&self) -> &str {
        Node::cluster_name(self)
    }

    fn own_machine(&self) -> Option<Holder> {
        let machine = self.args().machine.clone()?;
        Some(Holder { id: self.id(), name: self.name().to_owned(), machine })
    }

    fn members(&self) -> Vec<Member> {
        self.raft().members()
    }

    fn planned(&self) -> Vec<Planned> {
        planned(self)
    }

    fn limits(&self) -> Policy {
        view::limits(self)
    }

    fn revisions(&self) -> watch::Receiver<i64> {
        self.raft().store().revisions()
    }

    fn set_blocked(&self, reason: Option<String>) {
        Self::set_blocked(self, reason);
    }

    async fn rights(&self) -> MutexGuard<'_, ()> {
        Self::rights(self).await
    }

    fn ssh_key(&self) -> Result<KeyPair> {
        provider::ssh_key(self)
    }
}

impl Removes for Leader {
    fn has_tasks(&self, id: u64) -> bool {
        moving::has_tasks(self, id)
    }

    async fn check_removal(&self, id: u64) -> Result<(), String> {
        removal::check(self, id, false).await
    }

    async fn mark_removal(&self, id: u64) -> Result<()> {
        removal::mark(self, id, false).await
    }

    async fn remove(&self, id: u64) -> Result<()> {
        removal::remove(self, id, false, false).await
    }
}
