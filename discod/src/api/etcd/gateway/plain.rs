//! Requests without gRPC: version and health.

use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;
use serde_json::json;
use tonic::Status;

use super::status::{answer, refusal};
use crate::api::etcd::EtcdService;
use crate::api::etcd::header::API_VERSION;

/// Clients that may read keys may send these requests.
fn admit(request: &Request) -> Result<(), Status> {
    let peer = tonic::Request::from_parts(tonic::metadata::MetadataMap::new(), request.extensions().clone(), ());
    disco_identity::require_member(&peer).map(|_| ())
}

pub(super) fn version(request: &Request) -> Response {
    match admit(request) {
        Ok(()) => answer(StatusCode::OK, json!({ "etcdserver": API_VERSION, "etcdcluster": API_VERSION })),
        Err(status) => refusal(&status),
    }
}

/// Whether this node can answer a linearizable read and the store accepts writes.
pub(super) async fn health(service: &EtcdService, request: Request) -> Response {
    if let Err(status) = admit(&request) {
        return refusal(&status);
    }
    let reason = match service.barrier().await {
        Err(status) => Some(status.message().to_owned()),
        Ok(()) if service.node.raft().store().read(disco_store::Store::is_full) => Some("ALARM NOSPACE".to_owned()),
        Ok(()) => None,
    };
    match reason {
        None => answer(StatusCode::OK, json!({ "health": "true", "reason": "" })),
        Some(reason) => answer(StatusCode::SERVICE_UNAVAILABLE, json!({ "health": "false", "reason": reason })),
    }
}
