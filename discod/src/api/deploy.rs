//! Deployments, as clients ask for them and follow them.

use std::time::Duration;

use disco_proto::v1::deploy_output::{Finished, Output};
use disco_proto::v1::{DeployOutput, DeployRequest};
use futures_util::{StreamExt, stream};
use tonic::{Request, Response, Status};

use super::Answers;
use super::forward::{Answer, relay, to_leader};
use crate::node::Node;
use crate::script::manifest::Manifest;
use crate::script::records::current;
use crate::script::{self, Hook, Refused, blobs};

/// How long this node may take to load the script version that was just pushed.
const LOAD: Duration = Duration::from_secs(10);
/// Bytes of all variables, names and values.
const VARIABLE_BYTES: usize = 64 << 10;

pub(super) async fn deploy(
    node: &Node,
    request: Request<DeployRequest>,
) -> Result<Response<Answers<DeployOutput>>, Status> {
    let (metadata, _, message) = request.into_parts();
    let term = match to_leader(node, &metadata).await? {
        Answer::There(mut forward) => {
            let request = forward.request(message);
            return relay(forward.client.deploy(request).await);
        }
        Answer::Here(term) => term,
    };
    let DeployRequest { files, variables, dry_run, detach } = message;
    let manifest = Manifest::new(files).map_err(|error| Status::invalid_argument(error.to_string()))?;
    let variables = variables.into_iter().collect();
    check_variables(&variables)?;
    node.raft().linearizable().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let script = script_with_hook(node).await?;
    if dry_run {
        node.raft().store().read(|store| blobs::check(store, manifest.files())).map_err(missing)?;
        let finished = Finished { succeeded: true, ..Finished::default() };
        let output = DeployOutput { output: Some(Output::Finished(finished)) };
        return Ok(Response::new(stream::iter([Ok(output)]).boxed()));
    }
    let output = script::start(node, term, script, manifest, variables).await.map_err(|refused| match refused {
        Refused::Busy(_) => Status::failed_precondition(refused.to_string()),
        Refused::Blob(error) => missing(error),
        Refused::Write(error) => error.into(),
        Refused::Raft(error) => Status::unavailable(error.to_string()),
        Refused::Deposed => Status::unavailable(refused.to_string()),
    })?;
    // Whoever does not wait is told the number, which is the first that comes.
    let parts = if detach { 1 } else { usize::MAX };
    let output = tokio_stream::wrappers::ReceiverStream::new(output).take(parts).map(Ok);
    Ok(Response::new(output.boxed()))
}

/// Blobs that were removed after they were found to be there can be sent again.
fn missing(error: blobs::BlobError) -> Status {
    match error {
        blobs::BlobError::Missing(_) => Status::aborted(format!("{error}; send it again")),
        blobs::BlobError::Size { .. } => Status::invalid_argument(error.to_string()),
    }
}

fn check_variables(variables: &std::collections::BTreeMap<String, String>) -> Result<(), Status> {
    if variables.keys().any(String::is_empty) {
        return Err(Status::invalid_argument("a variable has no name"));
    }
    let bytes: usize = variables.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > VARIABLE_BYTES {
        return Err(Status::invalid_argument(format!("the variables have {bytes} bytes, more than {VARIABLE_BYTES}")));
    }
    Ok(())
}

/// Hash of the cluster's script version, when this node has loaded it and it can deploy.
async fn script_with_hook(node: &Node) -> Result<String, Status> {
    let wanted = node.raft().store().read(current).map(|current| current.value.hash).ok_or_else(|| {
        Status::failed_precondition(
            "the cluster has no `cluster.js`, so nothing says how to deploy; write one that exports `deploy` and run `disco script push`",
        )
    })?;
    let mut versions = node.scripts().versions();
    let mut broken = node.scripts().broken();
    let is_wanted = |hash: &str| hash == wanted;
    let loaded = tokio::time::timeout(LOAD, async {
        tokio::select! {
            biased;
            Ok(version) = versions.wait_for(|version| version.as_ref().is_some_and(|version| is_wanted(&version.hash))) => {
                version.clone().ok_or_else(|| "it was unloaded".to_owned())
            }
            Ok(broken) = broken.wait_for(|broken| broken.as_ref().is_some_and(|broken| is_wanted(&broken.0))) => {
                Err(broken.as_ref().map_or_else(String::new, |broken| broken.1.to_string()))
            }
            else => Err("it shuts down".to_owned()),
        }
    });
    let loaded = loaded.await.unwrap_or_else(|_| Err(format!("it did not load within {} s", LOAD.as_secs())));
    let version = loaded.map_err(|why| {
        Status::failed_precondition(format!(
            "the leader, node {}, does not run the cluster's script version: {why}",
            node.id()
        ))
    })?;
    if !version.has(Hook::Deploy.name()) {
        return Err(Status::failed_precondition(
            "`cluster.js` exports no `deploy`; add `export async function deploy(cluster, deployment)` and run `disco script push`",
        ));
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
