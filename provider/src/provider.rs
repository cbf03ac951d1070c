//! The trait that every source of machines implements.

use std::fmt::Debug;
use std::net::IpAddr;

use async_trait::async_trait;

use crate::{Capabilities, Instance, ProviderError, StartRequest};

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

    /// Stops a machine. Its disk and its address stay. Stopping what is stopped is no error.
    async fn stop(&self, id: &str) -> Result<(), ProviderError>;

    /// Gives a machine back, see [`Capabilities::can_terminate`]. What is gone already is no error.
    async fn terminate(&self, id: &str) -> Result<(), ProviderError>;

    /// Gives a machine the cluster's public address. `None` where the provider has no such thing.
    async fn attach_address(&self, id: &str) -> Result<Option<IpAddr>, ProviderError>;
}
