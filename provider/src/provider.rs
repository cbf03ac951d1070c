//! The trait that every source of machines implements.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::IpAddr;

use async_trait::async_trait;
use serde_json::Value;

use crate::local::RunningMachine;
use crate::plan::{self, Change};
use crate::{Announcements, Capabilities, Machine, ProviderError, SshTarget, StartRequest, Usd};

/// A source of machines for one cluster.
///
/// Every method has its own time limits and may be called again after any failure.
#[async_trait]
pub trait Provider: Send + Sync + Debug {
    /// The name of this kind in specs and messages: `local`, `hosts`, `aws`.
    fn kind(&self) -> &'static str;

    /// The name that the script gave to this provider.
    fn name(&self) -> &str;

    /// Its capabilities.
    fn capabilities(&self) -> Capabilities;

    /// Starts a machine, or finds the one that was started with the same token before and makes sure that it runs. Returns
    /// when the machine runs; its SSH server may need a moment more.
    async fn start(&self, request: StartRequest) -> Result<Machine, ProviderError>;

    /// The machines of this cluster, each with its state at this moment, ordered by age.
    async fn list(&self) -> Result<Vec<Machine>, ProviderError>;

    /// Machines with the same records that run on this computer, but for another folder: this folder is a copy of theirs, or
    /// theirs was removed. No machine is started while they run.
    async fn elsewhere(&self) -> Result<Vec<RunningMachine>, ProviderError> {
        Ok(Vec::new())
    }

    /// The SSH server of a machine according to the current script, without a request; `None` if only [`Self::list`] knows
    /// it.
    fn ssh_target(&self, _id: &str) -> Option<SshTarget> {
        None
    }

    /// Stops a machine. Its disk and its address stay. It is no error if it is already stopped.
    async fn stop(&self, id: &str) -> Result<(), ProviderError>;

    /// Terminates a machine, see [`Capabilities::can_terminate`]. It is no error if it does not exist.
    async fn terminate(&self, id: &str) -> Result<(), ProviderError>;

    /// Attaches the cluster's public address to a machine. `None` if the provider does not support it.
    async fn attach_address(&self, id: &str) -> Result<Option<IpAddr>, ProviderError>;

    /// Moves the cluster's public address to a machine, if the cluster has one by [`Self::attach_address`].
    async fn move_address(&self, _id: &str) -> Result<Option<IpAddr>, ProviderError> {
        Ok(None)
    }

    /// Grants a machine the permission to start and end machines, or revokes it, if machines have permissions: only voters have
    /// it. Granting twice is no error.
    async fn empower(&self, _id: &str, _votes: bool) -> Result<(), ProviderError> {
        Ok(())
    }

    /// Imports the operator's public key, if the provider stores keys. A different key with the same name is an
    /// error.
    async fn import_key(&self, _public: &str) -> Result<(), ProviderError> {
        Ok(())
    }

    /// Allows this operator's computer to connect to the machines, if the provider restricts access.
    async fn admit_operator(&self) -> Result<(), ProviderError> {
        Ok(())
    }

    /// Environment variables of a node's service with which the same provider works there. Never a secret.
    fn node_environment(&self) -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    /// A short description of a machine with these options of `start_instance`.
    fn describe(&self, _options: &Value) -> String {
        String::new()
    }

    /// The price per hour of a machine with these options of `start_instance`; `None`: unknown.
    async fn price(&self, _options: &Value) -> Result<Option<Usd>, ProviderError> {
        Ok(Some(Usd::ZERO))
    }

    /// The most machines that the cluster may have, if the script sets a limit.
    fn most_machines(&self) -> Option<usize> {
        None
    }

    /// The most that all machines of the cluster may cost per hour, if the script sets a limit.
    fn hourly_limit(&self) -> Option<Usd> {
        None
    }

    /// What [`Self::start`] would make and change now: the machine and its resources.
    ///
    /// # Errors
    /// Those errors of [`Self::start`] that are known beforehand.
    async fn plan_start(&self, request: &StartRequest) -> Result<Vec<Change>, ProviderError> {
        if let Some(there) = plan::existing(&self.list().await?, request) {
            return Ok(Change::of_existing(there).into_iter().collect());
        }
        let price = self.price(&request.options).await?;
        Ok(vec![Change::machine(&request.name, self.describe(&request.options), price)])
    }

    /// What [`Self::attach_address`] would make and change now. The machine may be one that is only planned.
    async fn plan_attach_address(&self, _id: &str) -> Result<Vec<Change>, ProviderError> {
        Ok(Vec::new())
    }

    /// What [`Self::import_key`] would make now.
    async fn plan_import_key(&self, _public: &str) -> Result<Vec<Change>, ProviderError> {
        Ok(Vec::new())
    }

    /// The announcements about the machine with this id; polled on that machine. `None` if the provider has none.
    fn announcements(&self, _id: &str) -> Option<Box<dyn Announcements>> {
        None
    }

    /// The cluster's resources other than machines, as text.
    async fn rest(&self) -> Result<Vec<String>, ProviderError> {
        Ok(Vec::new())
    }

    /// Removes the cluster's resources other than machines, after those have ended. Missing ones are no error;
    /// [`ProviderError::is_busy`] means that machines still use some of them, and a retry will succeed.
    async fn remove_rest(&self) -> Result<(), ProviderError> {
        Ok(())
    }

    /// Checks the provider's requirements, for `disco doctor`; also those of a machine, if the options of one are
    /// known. Makes nothing.
    async fn examine(&self, _machine: Option<&StartRequest>) -> Vec<Finding> {
        Vec::new()
    }
}

/// The result of checking a requirement of a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The name of the check.
    pub name: &'static str,
    /// The result.
    pub detail: String,
    /// Whether the requirement is met.
    pub good: bool,
    /// What to do if it is not.
    pub hint: Option<String>,
}
