//! [`LocalProvider`].

use std::net::IpAddr;
use std::path::PathBuf;

use async_trait::async_trait;

use super::options::LocalOptions;
use crate::spec::parse_options;
use crate::{Capabilities, Instance, Pace, Provider, ProviderContext, ProviderError, StartRequest};

/// Machines on this computer.
#[derive(Debug)]
pub struct LocalProvider {
    name: String,
    dir: PathBuf,
    executable: PathBuf,
}

impl LocalProvider {
    /// Makes it from the options of `LocalProvider.init`.
    ///
    /// # Errors
    /// Unknown options, or no folder to put machines in.
    pub fn from_options(options: &serde_json::Value, context: &ProviderContext) -> Result<Self, ProviderError> {
        const WHAT: &str = "LocalProvider.init";
        let options: LocalOptions = parse_options(WHAT, options)?;
        let dir = match (&context.local_dir, &options.dir, &context.project_dir) {
            (Some(dir), _, _) => dir.clone(),
            (None, Some(dir), Some(project)) => project.join(dir),
            (None, Some(dir), None) if dir.is_absolute() => dir.clone(),
            (None, None, Some(project)) => project.join(".disco/local"),
            _ => {
                return Err(ProviderError::Options {
                    what: WHAT,
                    reason: "there is no folder for the machines: no project folder, `DISCO_LOCAL_DIR` is not set"
                        .to_owned(),
                });
            }
        };
        let name = options.name.unwrap_or_else(|| "local".to_owned());
        Ok(Self { name, dir, executable: context.machine_executable.clone() })
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
            pace: Pace::Fast,
        }
    }

    async fn start(&self, _request: StartRequest) -> Result<Instance, ProviderError> {
        Err(ProviderError::NotSupported { kind: "local", operation: "start" })
    }

    async fn list(&self) -> Result<Vec<Instance>, ProviderError> {
        Ok(Vec::new())
    }

    async fn stop(&self, _id: &str) -> Result<(), ProviderError> {
        Ok(())
    }

    async fn terminate(&self, _id: &str) -> Result<(), ProviderError> {
        Ok(())
    }

    async fn attach_address(&self, _id: &str) -> Result<Option<IpAddr>, ProviderError> {
        Ok(None)
    }
}
