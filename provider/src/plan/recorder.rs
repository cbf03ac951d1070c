//! [`Recorder`].

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use serde_json::Value;

use super::change::{self, Action, Change, Changes};
use crate::provider::Finding;
use crate::{Capabilities, Machine, MachineState, Provider, ProviderError, SshTarget, StartRequest, Usd};

/// A provider that records what another one would do, and does nothing: it lists existing machines, and returns planned
/// machines instead of starting them. Its callers cannot notice the difference, and change nothing.
#[derive(Debug)]
pub struct Recorder {
    inner: Arc<dyn Provider>,
    changes: Mutex<Changes>,
    /// Machines that would have been started.
    planned: Mutex<Vec<Machine>>,
    /// The first request for a machine, whatever its result.
    first: Mutex<Option<StartRequest>>,
}

impl Recorder {
    /// Records the requests to `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn Provider>) -> Self {
        Self { inner, changes: Mutex::default(), planned: Mutex::default(), first: Mutex::default() }
    }

    /// Adds a change that does not involve the provider.
    pub fn add(&self, change: Change) {
        lock(&self.changes).add(change);
    }

    /// The request for the first machine.
    #[must_use]
    pub fn first_request(&self) -> Option<StartRequest> {
        lock(&self.first).clone()
    }

    /// The recorded changes.
    #[must_use]
    pub fn changes(&self) -> Changes {
        lock(&self.changes).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A machine that does not exist yet, and so has no address.
fn planned(request: &StartRequest) -> Machine {
    let nowhere = Ipv4Addr::UNSPECIFIED;
    Machine {
        id: format!("planned-{}", request.name),
        name: request.name.clone(),
        token: request.token.clone(),
        state: MachineState::Pending,
        ssh: SshTarget { user: String::new(), host: nowhere.to_string(), port: 0 },
        ssh_name: None,
        control_address: SocketAddr::new(nowhere.into(), 0),
        listen: None,
        public_address: None,
        host_key: None,
        given_host_key: None,
        pid: None,
        zone: None,
        price: None,
    }
}

#[async_trait]
impl Provider for Recorder {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn name(&self) -> &str {
        self.inner.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn start(&self, request: StartRequest) -> Result<Machine, ProviderError> {
        lock(&self.first).get_or_insert_with(|| request.clone());
        let changes = self.inner.plan_start(&request).await?;
        lock(&self.changes).extend(changes);
        let machines = self.list().await?;
        if let Some(there) = change::existing(&machines, &request) {
            return Ok(there.clone());
        }
        let machine = planned(&request);
        lock(&self.planned).push(machine.clone());
        Ok(machine)
    }

    async fn list(&self) -> Result<Vec<Machine>, ProviderError> {
        let mut machines = self.inner.list().await?;
        machines.extend(lock(&self.planned).iter().cloned());
        Ok(machines)
    }

    async fn stop(&self, id: &str) -> Result<(), ProviderError> {
        self.add(Change::free(Action::Change, change::MACHINE, id, "is stopped"));
        Ok(())
    }

    async fn terminate(&self, id: &str) -> Result<(), ProviderError> {
        let machines = self.inner.list().await?;
        if let Some(machine) = machines.iter().find(|machine| machine.id == id) {
            let monthly = machine.price.map(|price| -price.per_month());
            self.add(Change { monthly, ..Change::free(Action::Delete, change::MACHINE, &machine.name, id) });
        }
        lock(&self.planned).retain(|machine| machine.id != id);
        Ok(())
    }

    async fn attach_address(&self, id: &str) -> Result<Option<IpAddr>, ProviderError> {
        let changes = self.inner.plan_attach_address(id).await?;
        lock(&self.changes).extend(changes);
        Ok(None)
    }

    async fn import_key(&self, public: &str) -> Result<(), ProviderError> {
        let changes = self.inner.plan_import_key(public).await?;
        lock(&self.changes).extend(changes);
        Ok(())
    }

    fn describe(&self, options: &Value) -> String {
        self.inner.describe(options)
    }

    async fn price(&self, options: &Value) -> Result<Option<Usd>, ProviderError> {
        self.inner.price(options).await
    }

    fn most_machines(&self) -> Option<usize> {
        self.inner.most_machines()
    }

    fn hourly_limit(&self) -> Option<Usd> {
        self.inner.hourly_limit()
    }

    async fn rest(&self) -> Result<Vec<String>, ProviderError> {
        self.inner.rest().await
    }

    async fn remove_rest(&self) -> Result<(), ProviderError> {
        for thing in self.inner.rest().await? {
            self.add(Change::free(Action::Delete, "rest", thing, ""));
        }
        Ok(())
    }

    async fn examine(&self, machine: Option<&StartRequest>) -> Vec<Finding> {
        self.inner.examine(machine).await
    }
}
