//! Requests without gRPC: version and health.

use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;
use serde_json::json;
use tonic::Status;

use super::status::{answer, refusal};
use crate::api::etcd::EtcdService;
use crate::api::etcd::header::API_VERSION;

/// etcd's reason for an unhealthy member that knows no leader.
const NO_LEADER: &str = "RAFT NO LEADER";
/// etcd's name of the alarm of a full store, in reasons and in `exclude`.
const NO_SPACE: &str = "NOSPACE";

/// Clients that may read keys may send these requests.
pub(super) fn admit(request: &Request) -> Result<(), Status> {
    let peer = tonic::Request::from_parts(tonic::metadata::MetadataMap::new(), request.extensions().clone(), ());
    disco_identity::require_user(&peer).map(|_| ())
}

/// The values of a parameter of the request's query.
pub(super) fn parameters<'a>(request: &'a Request, name: &str) -> impl Iterator<Item = &'a str> {
    let query = request.uri().query().unwrap_or_default();
    query.split('&').filter_map(move |pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name).then_some(value)
    })
}

pub(super) fn version(request: &Request) -> Response {
    match admit(request) {
        Ok(()) => answer(StatusCode::OK, json!({ "etcdserver": API_VERSION, "etcdcluster": API_VERSION })),
        Err(status) => refusal(&status),
    }
}

/// Whether the node knows a leader and can answer a linearizable read, which the parameter `serializable=true` omits, and
/// the store accepts writes, which `exclude=NOSPACE` omits.
pub(super) async fn health(service: &EtcdService, request: Request) -> Response {
    if let Err(status) = admit(&request) {
        return refusal(&status);
    }
    let serializable = parameters(&request, "serializable").any(|value| value == "true");
    let any_space = parameters(&request, "exclude").any(|value| value == NO_SPACE);
    match reason(service, serializable, any_space).await {
        None => answer(StatusCode::OK, json!({ "health": "true", "reason": "" })),
        Some(reason) => answer(StatusCode::SERVICE_UNAVAILABLE, json!({ "health": "false", "reason": reason })),
    }
}

/// Why the node is not healthy, in etcd's order.
async fn reason(service: &EtcdService, serializable: bool, any_space: bool) -> Option<String> {
    if !any_space && service.node.raft().store().read(disco_store::Store::is_full) {
        return Some(format!("ALARM {NO_SPACE}"));
    }
    if serializable {
        return None;
    }
    if !service.node.raft().has_leader() {
        return Some(NO_LEADER.to_owned());
    }
    let read = service.barrier().await.err()?;
    Some(format!("RANGE ERROR:{}", read.message()))
}
