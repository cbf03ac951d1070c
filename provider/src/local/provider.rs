//! [`LocalProvider`].

use std::net::IpAddr;

use async_trait::async_trait;

use super::options::{LocalOptions, StartOptions};
use super::store::Store;
use super::{OwnMachine, RunningMachine};
use crate::plan::{self, Change};
use crate::spec::parse_options;
use crate::{Capabilities, Machine, Pace, Provider, ProviderContext, ProviderError, StartRequest, Usd};

/// Machines on this computer.
#[derive(Debug)]
pub struct LocalProvider {
    name: String,
    store: Store,
}

impl LocalProvider {
    /// Makes it from the options of `LocalProvider.init`.
    ///
    /// # Errors
    /// Unknown options, or no folder for machines.
    pub fn from_options(options: &serde_json::Value, context: &ProviderContext) -> Result<Self, ProviderError> {
        const WHAT: &str = "LocalProvider.init";
        let options: LocalOptions = parse_options(WHAT, options)?;
        let own = match (&context.local_dir, &context.project_dir) {
            (None, None) => OwnMachine::find()?,
            _ => None,
        };
        let (dir, may_make) = match (&context.local_dir, own, options.dir, &context.project_dir) {
            (Some(dir), ..) => (dir.clone(), true),
            (None, Some(own), ..) => (own.local_dir().to_owned(), false),
            (None, None, Some(dir), Some(project)) => (project.join(crate::at_home(&dir)), true),
            (None, None, Some(dir), None) if dir.is_absolute() => (dir, true),
            (None, None, None, Some(project)) => (project.join(".disco/local"), true),
            _ => {
                let reason = "no folder for the machines: there is no project folder, and this is not a local machine";
                return Err(ProviderError::Options { what: WHAT, reason: reason.to_owned() });
            }
        };
        let store = Store {
            dir,
            may_make,
            executable: context.machine_executable.clone(),
            cluster_id: context.cluster_id.clone(),
            cluster: context.cluster_name.clone(),
        };
        Ok(Self { name: options.name.unwrap_or_else(|| "local".to_owned()), store })
    }

    /// Runs a blocking function on a blocking thread. Once started it runs to its end, even if the caller is dropped.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, ProviderError> + Send + 'static,
    ) -> Result<T, ProviderError> {
        let store = self.store.clone();
        match tokio::task::spawn_blocking(move || work(&store)).await {
            Ok(result) => result,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

#[async_trait]
impl Provider for LocalProvider {
    fn kind(&self) -> &'static str {
        "local"
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            can_start: true,
            can_stop: true,
            can_terminate: true,
            can_attach_address: false,
            has_roles: false,
            boots: false,
            pace: Pace::Fast,
        }
    }

    async fn start(&self, request: StartRequest) -> Result<Machine, ProviderError> {
        let options: StartOptions = parse_options("start_instance", &request.options)?;
        let name = options.name.unwrap_or_else(|| request.name.clone());
        self.blocking(move |store| store.start(&request, &name)).await
    }

    fn describe(&self, _options: &serde_json::Value) -> String {
        "on this computer".to_owned()
    }

    async fn plan_start(&self, request: &StartRequest) -> Result<Vec<Change>, ProviderError> {
        let options: StartOptions = parse_options("start_instance", &request.options)?;
        if let Some(there) = plan::existing(&self.list().await?, request) {
            return Ok(Change::of_existing(there).into_iter().collect());
        }
        let name = options.name.as_deref().unwrap_or(&request.name);
        Ok(vec![Change::machine(name, self.describe(&request.options), Some(Usd::ZERO))])
    }

    async fn list(&self) -> Result<Vec<Machine>, ProviderError> {
        self.blocking(Store::list).await
    }

    async fn elsewhere(&self) -> Result<Vec<RunningMachine>, ProviderError> {
        self.blocking(Store::elsewhere).await
    }

    async fn stop(&self, id: &str) -> Result<(), ProviderError> {
        let id = id.to_owned();
        self.blocking(move |store| store.stop(&id)).await
    }

    async fn terminate(&self, id: &str) -> Result<(), ProviderError> {
        let id = id.to_owned();
        self.blocking(move |store| store.terminate(&id)).await
    }

    async fn attach_address(&self, _id: &str) -> Result<Option<IpAddr>, ProviderError> {
        Ok(None)
    }
}
