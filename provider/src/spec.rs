//! From what a script or the cluster's state says about a provider to the provider itself.

use std::path::PathBuf;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::hosts::{HostsProvider, KnownMachine};
use crate::local::LocalProvider;
use crate::{Provider, ProviderError};

/// The kinds that [`from_spec`] knows.
const KINDS: &str = "`local`, `hosts`, `aws`";

/// What a provider needs to know of the place where it is made.
#[derive(Debug, Clone)]
pub struct ProviderContext {
    /// The cluster whose machines these are.
    pub cluster_name: String,
    /// That cluster's id, where it is known: local machines of other clusters are left alone.
    pub cluster_id: Option<String>,
    /// The project folder, where there is one (not on a node). Relative folders in options start here. With it the
    /// provider works for the operator, with their credentials, and sees machines from outside; without for a node.
    pub project_dir: Option<PathBuf>,
    /// Where the local provider's machines live, when that is known from elsewhere; it comes before all else. On a local
    /// machine it is where that one lives, in a project folder the option `dir`, or else `.disco/local`.
    pub local_dir: Option<PathBuf>,
    /// The executable with the hidden subcommand `machine`: `disco` or `discod`, normally this very process's.
    pub machine_executable: PathBuf,
    /// What the cluster uses already, for a provider whose machines carry no mark (given hosts).
    pub known: Vec<KnownMachine>,
}

/// Makes the provider of a `kind` (`local`, `hosts`, `aws`) with the options that the script gave to its `init`.
///
/// # Errors
/// Unknown kinds, kinds that are not part of this build, and options that the kind does not know.
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

/// Reads options into their type; serde's message lists the keys that are known.
pub(crate) fn parse_options<T: DeserializeOwned + Default>(
    what: &'static str,
    options: &serde_json::Value,
) -> Result<T, ProviderError> {
    if options.is_null() {
        return Ok(T::default());
    }
    T::deserialize(options).map_err(|error| ProviderError::Options { what, reason: error.to_string() })
}
