//! Requests for deployments, and their output.

use std::time::Duration;

use disco_proto::v1::deploy_output::{Finished, Output};
use disco_proto::v1::{DeployOutput, DeployRequest};
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tokio_stream::wrappers::ReceiverStream;

use super::deployment::start;
use super::manifest::Manifest;
use super::records::current;
use super::{Hook, Scripts, blobs};
use crate::cluster::{Error, Result};
use crate::node::{Leader, Node};

/// Time limit for this node to load the script version that was just pushed.
const LOAD: Duration = Duration::from_secs(10);
/// Maximum size of all variables, names and values.
const VARIABLE_BYTES: usize = 64 << 10;

/// The output of a deployment, and its result.
pub type DeployOutputs = BoxStream<'static, DeployOutput>;

/// Starts the next deployment, or checks whether it could start. Only on the leader.
///
/// # Errors
/// It cannot start.
pub async fn deploy(leader: &Leader, scripts: &Scripts, message: DeployRequest) -> Result<DeployOutputs> {
    let DeployRequest { files, variables, dry_run, detach } = message;
    let manifest = Manifest::new(files).map_err(|error| Error::Invalid(error.to_string()))?;
    let variables = variables.into_iter().collect();
    check_variables(&variables)?;
    leader.raft().linearizable().await?;
    let script = script_with_hook(leader).await?;
    if dry_run {
        leader.raft().store().read(|store| blobs::check(store, manifest.files()))?;
        let finished = Finished { succeeded: true, ..Finished::default() };
        let output = DeployOutput { output: Some(Output::Finished(finished)) };
        return Ok(stream::iter([output]).boxed());
    }
    let output = start(leader, scripts, script, manifest, variables).await?;
    // A client that does not wait gets only the first part: the number.
    let parts = if detach { 1 } else { usize::MAX };
    Ok(ReceiverStream::new(output).take(parts).boxed())
}

fn check_variables(variables: &std::collections::BTreeMap<String, String>) -> Result<()> {
    if variables.keys().any(String::is_empty) {
        return Err(Error::Invalid("the name of a variable must not be empty".to_owned()));
    }
    let bytes: usize = variables.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > VARIABLE_BYTES {
        return Err(Error::Invalid(format!("the variables have {bytes} bytes, more than {VARIABLE_BYTES}")));
    }
    Ok(())
}

/// Hash of the cluster's script version, if this node has loaded it and it exports `deploy`.
async fn script_with_hook(node: &Node) -> Result<String> {
    let wanted = node.raft().store().read(current).map(|current| current.value.hash).ok_or_else(|| {
        Error::Refused("the cluster has no `cluster.js` to deploy with; write one that exports `deploy` and run `disco script push`".to_owned())
    })?;
    let mut versions = node.scripts().versions();
    let mut broken = node.scripts().broken();
    let is_wanted = |hash: &str| hash == wanted;
    let loaded = tokio::time::timeout(LOAD, async {
        tokio::select! {
            biased;
            Ok(version) = versions.wait_for(|version| version.as_ref().is_some_and(|version| is_wanted(&version.hash))) => {
                version.clone().ok_or_else(|| "the script was unloaded".to_owned())
            }
            Ok(broken) = broken.wait_for(|broken| broken.as_ref().is_some_and(|broken| is_wanted(&broken.0))) => {
                Err(broken.as_ref().map_or_else(String::new, |broken| broken.1.to_string()))
            }
            else => Err("the daemon is shutting down".to_owned()),
        }
    });
    let loaded = loaded.await.unwrap_or_else(|_| Err(format!("the script did not load within {} s", LOAD.as_secs())));
    let version = loaded.map_err(|why| {
        Error::Refused(format!("the leader, node {}, does not run the cluster's script version: {why}", node.id()))
    })?;
    if !version.has(Hook::Deploy.name()) {
        return Err(Error::Refused("`cluster.js` exports no `deploy`; add `export async function deploy(cluster, deployment)` and run `disco script push`".to_owned()));
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_named_and_bounded() {
        assert!(check_variables(&[("tag".to_owned(), "v2".to_owned())].into()).is_ok());
        assert!(check_variables(&[(String::new(), "v2".to_owned())].into()).is_err());
        assert!(check_variables(&[("x".to_owned(), "y".repeat(VARIABLE_BYTES))].into()).is_err());
    }
}
