//! Makes a provider from its specification in a script or in the cluster's state.

use std::path::PathBuf;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::hosts::{HostsProvider, KnownMachine};
use crate::local::LocalProvider;
use crate::{Provider, ProviderError};

/// The kinds that [`from_spec`] supports.
const KINDS: &str = "`local`, `hosts`, `aws`";

/// The context in which a provider is made.
#[derive(Debug, Clone)]
pub struct ProviderContext {
    /// The cluster whose machines these are.
    pub cluster_name: String,
    /// That cluster's id, if known: local machines of other clusters are left alone.
    pub cluster_id: Option<String>,
    /// The project folder, if there is one (not on a node). Relative folders in options start here. With it the
    /// provider works for the operator, with their credentials and from outside; without it, for a node.
    pub project_dir: Option<PathBuf>,
    /// The folder of the local provider's machines, if set; it takes precedence. The default on a local machine is that machine's
    /// parent folder, in a project the option `dir`, or else `.disco/local`.
    pub local_dir: Option<PathBuf>,
    /// The executable with the hidden subcommand `machine`: `disco` or `discod`, normally this very process's.
    pub machine_executable: PathBuf,
    /// The machines that the cluster already uses, for a provider whose machines do not store a token (given hosts).
    pub known: Vec<KnownMachine>,
}

/// Makes the provider of a `kind` (`local`, `hosts`, `aws`) with the options that the script gave to its `init`.
///
/// # Errors
/// Unknown kinds, kinds that are not part of this build, and unknown options.
pub fn from_spec(
    kind: &str,
    options: &serde_json::Value,
    context: &ProviderContext,
) -> Result<Arc<dyn Provider>, ProviderError> {
    match kind {
        "local" => Ok(Arc::new(LocalProvider::from_options(options, context)?)),
        "hosts" => Ok(Arc::new(HostsProvider::from_options(options, context.known.clone())?)),
        #[cfg(feature = "aws")]
        "aws" => Ok(Arc::new(crate::aws::AwsProvider::from_options(options, context)?)),
        #[cfg(not(feature = "aws"))]
        "aws" => Err(ProviderError::NotBuiltIn { kind: "AWS" }),
        other => Err(ProviderError::UnknownKind { kind: other.to_owned(), known: KINDS }),
    }
}

/// Parses options; serde's message lists the known keys.
pub(crate) fn parse_options<T: DeserializeOwned + Default>(
    what: &'static str,
    options: &serde_json::Value,
) -> Result<T, ProviderError> {
    if options.is_null() {
        return Ok(T::default());
    }
    T::deserialize(options).map_err(|error| ProviderError::Options { what, reason: error.to_string() })
}
