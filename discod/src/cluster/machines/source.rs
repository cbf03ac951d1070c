//! The cluster's provider, as operations of the leader use it. Tests use a provider in memory instead of a cluster's.

use std::future::Future;
use std::sync::Arc;

use anyhow::Result;
use disco_proto::v1::Progress;
use disco_provider::{Machine, Provider};

use super::provider;
use crate::node::Leader;
use crate::records::{MachineRecord, Records};

/// A leader whose cluster may have a provider of machines.
pub trait Source: Records + Send {
    /// The provider.
    ///
    /// # Errors
    /// There is none, or its options are invalid.
    fn provider(&self) -> Result<Arc<dyn Provider>>;

    /// Whether there is one.
    fn has_provider(&self) -> bool;

    /// Removes what was installed on a machine that keeps running for its owner.
    ///
    /// # Errors
    /// What remains there, or why the machine cannot be reached.
    fn clear(&self, record: &MachineRecord, machine: &Machine) -> impl Future<Output = Result<()>> + Send;

    /// Logs a step of the controllers, and sends it to all clients that follow them.
    fn progress(&self, step: Progress);
}

impl Source for Leader {
    fn provider(&self) -> Result<Arc<dyn Provider>> {
        provider::provider(self)
    }

    fn has_provider(&self) -> bool {
        provider::spec(self).is_some()
    }

    async fn clear(&self, record: &MachineRecord, machine: &Machine) -> Result<()> {
        provider::clear(self, record, machine).await
    }

    fn progress(&self, step: Progress) {
        Self::progress(self, step);
    }
}
