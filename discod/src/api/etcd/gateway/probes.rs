//! `/livez` and `/readyz` of etcd 3.6: checks by name, for what starts, restarts and balances servers. From
//! `server/etcdserver/api/etcdhttp/health.go`.

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::header::{CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, StatusCode};

use super::plain::{admit, parameters};
use super::status::refusal;
use crate::api::etcd::{EtcdService, errors};

/// One check. etcd's `data_corruption` always passes: a node whose data is damaged does not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    DataCorruption,
    SerializableRead,
    LinearizableRead,
}

/// Whether the process is to be left running.
pub(super) const LIVE: &[Check] = &[Check::SerializableRead];
/// Whether it can serve requests.
pub(super) const READY: &[Check] = &[Check::DataCorruption, Check::SerializableRead, Check::LinearizableRead];

// === impl Check ===

impl Check {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::DataCorruption => "data_corruption",
            Self::SerializableRead => "serializable_read",
            Self::LinearizableRead => "linearizable_read",
        }
    }

    async fn run(self, service: &EtcdService) -> Result<(), String> {
        match self {
            Self::DataCorruption => Ok(()),
            // Served from this node's memory: it can be read, if anything here is answered.
            Self::SerializableRead => {
                let _revision = service.node.raft().store().read(disco_store::Store::revision);
                Ok(())
            }
            Self::LinearizableRead if !service.node.raft().has_leader() => {
                Err(errors::no_leader().message().to_owned())
            }
            Self::LinearizableRead => service.barrier().await.map_err(|status| status.message().to_owned()),
        }
    }
}

/// Runs the checks, without those that the parameter `exclude` names.
pub(super) async fn probe(service: &EtcdService, checks: &[Check], request: Request) -> Response {
    if let Err(status) = admit(&request) {
        return refusal(&status);
    }
    let (mut lines, mut passed) = (String::new(), true);
    for check in checks {
        if parameters(&request, "exclude").any(|excluded| excluded == check.name()) {
            continue;
        }
        match check.run(service).await {
            Ok(()) => lines.push_str(&format!("[+]{} ok\n", check.name())),
            Err(reason) => {
                passed = false;
                lines.push_str(&format!("[-]{} failed: {reason}\n", check.name()));
            }
        }
    }
    let verbose = parameters(&request, "verbose").next().is_some();
    match (passed, verbose) {
        // Reasons of failed checks are always given.
        (false, _) => text(StatusCode::SERVICE_UNAVAILABLE, lines + "\n"),
        (true, true) => text(StatusCode::OK, lines + "ok\n"),
        (true, false) => text(StatusCode::OK, "ok\n".to_owned()),
    }
}

fn text(status: StatusCode, text: String) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
