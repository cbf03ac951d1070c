//! Errors as etcd's gateway returns them: in the HTTP status and in JSON.

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};
use tonic::{Code, Status};

/// As grpc-gateway maps them.
fn http_status(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        Code::Cancelled => StatusCode::REQUEST_TIMEOUT,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The answer for an error. Older clients read `error`, newer ones the other fields.
pub(super) fn refusal(status: &Status) -> Response {
    let body = json!({
        "error": status.message(), "code": i32::from(status.code()), "message": status.message(), "details": [],
    });
    answer(http_status(status.code()), body)
}

/// An error after answers, in the same body.
pub(super) fn in_stream(status: &Status) -> String {
    let http = http_status(status.code());
    let error = json!({
        "grpc_code": i32::from(status.code()),
        "http_code": http.as_u16(),
        "http_status": http.canonical_reason().unwrap_or_default(),
        "message": status.message(),
    });
    format!("{}\n", json!({ "error": error }))
}

pub(super) fn answer(status: StatusCode, body: Value) -> Response {
    with_body(status, Body::from(body.to_string()))
}

pub(super) fn with_body(status: StatusCode, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}
