//! The trait that every source of machines implements.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::IpAddr;

use async_trait::async_trait;
use serde_json::Value;

use crate::local::RunningMachine;
use crate::plan::{self, Change};
use crate::{Announcements, Capabilities, Instance, ProviderError, SshTarget, StartRequest, Usd};

/// A source of machines, of one cluster.
///
/// Every method has its own time limits and may be called again after any failure.
#[async_trait]
pub trait Provider: Send + Sync + Debug {
    /// The word that names this kind in specs and in messages: `local`, `hosts`, `aws`.
    fn kind(&self) -> &'static str;

    /// The name that the script gave to this provider.
    fn name(&self) -> &str;

    /// What can be asked of it.
    fn capabilities(&self) -> Capabilities;

    /// Starts a machine, or finds the one that was started with the same token before and sees that it runs. Returns
    /// when the machine runs; its SSH server may need a moment more.
    async fn start(&self, request: StartRequest) -> Result<Instance, ProviderError>;

    /// The machines of this cluster, each with its state at this moment, ordered by age.
    async fn list(&self) -> Result<Vec<Instance>, ProviderError>;

    /// Machines that run on this computer by the same records, but for another folder: this one is a copy of theirs, or
    /// theirs was removed. Nothing is started beside them.
    async fn elsewhere(&self) -> Result<Vec<RunningMachine>, ProviderError> {
        Ok(Vec::new())
    }

    /// Where a machine answers SSH as the script says it now, without asking anybody; `None` where that is known to [`Self::list`]
    /// alone.
    fn ssh_target(&self, _id: &str) -> Option<SshTarget> {
        None
    }

    /// Stops a machine. Its disk and its address stay. Stopping what is stopped is no error.
    async fn stop(&self, id: &str) -> Result<(), ProviderError>;

    /// Gives a machine back, see [`Capabilities::can_terminate`]. What is gone already is no error.
    async fn terminate(&self, id: &str) -> Result<(), ProviderError>;

    /// Gives a machine the cluster's public address. `None` where the provider has no such thing.
    async fn attach_address(&self, id: &str) -> Result<Option<IpAddr>, ProviderError>;

    /// Moves the cluster's public address to a machine, where the cluster has got one by [`Self::attach_address`].
    async fn move_address(&self, _id: &str) -> Result<Option<IpAddr>, ProviderError> {
        Ok(None)
    }

    /// Gives a machine the right to start and end machines, or takes it from there, where machines have such rights: voters alone
    /// do. Giving what is given is no error.
    async fn empower(&self, _id: &str, _votes: bool) -> Result<(), ProviderError> {
        Ok(())
    }

    /// Makes the operator's public key known, where the provider keeps keys. One that it knows by the same name and that
    /// is another key is an error.
    async fn import_key(&self, _public: &str) -> Result<(), ProviderError> {
        Ok(())
    }

    /// Lets this operator's computer reach the machines, where something keeps others out.
    async fn admit_operator(&self) -> Result<(), ProviderError> {
        Ok(())
    }

    /// What a node's service has in its environment so that the same provider works there. Never a secret.
    fn node_environment(&self) -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    /// A machine with these options of `start_instance`, in a few words.
    fn describe(&self, _options: &Value) -> String {
        String::new()
    }

    /// What an hour of a machine with these options of `start_instance` costs; none: not known.
    async fn price(&self, _options: &Value) -> Result<Option<Usd>, ProviderError> {
        Ok(Some(Usd::ZERO))
    }

    /// The most machines that the cluster may have, where the script has set a limit.
    fn most_machines(&self) -> Option<usize> {
        None
    }

    /// The most that all machines of the cluster may cost in an hour, where the script says so.
    fn hourly_limit(&self) -> Option<Usd> {
        None
    }

    /// What [`Self::start`] would make and change now: the machine, and what comes with it.
    ///
    /// # Errors
    /// Those of [`Self::start`] that can be known beforehand.
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

    /// Where the machine of this id is told about its own end; asked on that machine. `None` where nobody tells.
    fn announcements(&self, _id: &str) -> Option<Box<dyn Announcements>> {
        None
    }

    /// What was made for the cluster besides machines, in words.
    async fn rest(&self) -> Result<Vec<String>, ProviderError> {
        Ok(Vec::new())
    }

    /// Removes what was made for the cluster besides machines, once those are ended. What is gone is no error;
    /// [`ProviderError::is_busy`] tells that machines still hold some of it, and asking again will help.
    async fn remove_rest(&self) -> Result<(), ProviderError> {
        Ok(())
    }

    /// Looks whether all is there that the provider needs, for `disco doctor`; also for a machine, where it is known how one would
    /// be asked for. Makes nothing.
    async fn examine(&self, _machine: Option<&StartRequest>) -> Vec<Finding> {
        Vec::new()
    }
}

/// One thing that a provider needs, as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is about, in a word.
    pub name: &'static str,
    /// What was found.
    pub detail: String,
    /// Whether it is as it should be.
    pub good: bool,
    /// What to do otherwise.
    pub hint: Option<String>,
}
