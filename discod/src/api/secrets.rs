//! Secrets and configs for the nodes of tasks, and the keys of secrets between voters.

use disco_proto::v1::{SecretsKeys, TaskValuesRequest, TaskValuesResponse};
use tonic::{Request, Response, Status};

use crate::cluster::secrets;
use crate::node::Node;

/// The values of one of the calling node's own tasks. The certificate of its connection says which node it is.
pub(super) fn task_values(
    node: &Node,
    request: Request<TaskValuesRequest>,
) -> Result<Response<TaskValuesResponse>, Status> {
    let asker = disco_identity::require_node(&request)?;
    Ok(Response::new(secrets::values_of(node, asker, request.into_inner())?))
}

/// Exchanges keys with another voter.
pub(super) fn share_keys(node: &Node, request: Request<SecretsKeys>) -> Result<Response<SecretsKeys>, Status> {
    let from = disco_identity::require_node(&request)?;
    Ok(Response::new(secrets::share(node, from, request.into_inner())?))
}
