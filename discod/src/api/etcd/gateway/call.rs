//! One request: from JSON to gRPC, to the service, and back.

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, StatusCode, Version};
use prost_reflect::MethodDescriptor;
use tonic::Status;
use tonic::service::Routes;
use tower::ServiceExt;

use super::frames::{Frames, frame};
use super::json::{self, Values};
use super::status::{in_stream, refusal, with_body};

pub(super) async fn call(services: Routes, method: Option<MethodDescriptor>, request: Request) -> Response {
    let Some(method) = method else { return refusal(&Status::internal("method has no descriptor")) };
    match answer(services, &method, request).await {
        Ok(response) => response,
        Err(status) => refusal(&status),
    }
}

async fn answer(services: Routes, method: &MethodDescriptor, request: Request) -> Result<Response, Status> {
    let (parts, body) = request.into_parts();
    let mut values = Values::new(body);
    // The first value is read here, so that invalid JSON is refused with its own status.
    let first = values.next().await?.unwrap_or_else(|| Bytes::from_static(b"{}"));
    let first = frame(&json::encode(method.input(), &first)?)?;
    let body = if method.is_client_streaming() { further(method, first, values) } else { Body::from(first) };

    let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
    let mut call = http::Request::new(tonic::body::Body::new(body));
    *call.method_mut() = Method::POST;
    *call.version_mut() = Version::HTTP_2;
    *call.uri_mut() = path.parse().map_err(|_| Status::internal("invalid method path"))?;
    call.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    call.headers_mut().insert("te", HeaderValue::from_static("trailers"));
    // The connection that the request came on, and so its sender.
    *call.extensions_mut() = parts.extensions;

    let Ok(response) = services.oneshot(call).await;
    // An error has no body.
    if let Some(status) = Status::from_header_map(response.headers()).filter(|status| status.code() != tonic::Code::Ok)
    {
        return Err(status);
    }
    let mut frames = Frames::new(tonic::body::Body::new(response.into_body()));
    if method.is_server_streaming() {
        return Ok(with_body(StatusCode::OK, results(method, frames)));
    }
    let message = frames.next().await?.ok_or_else(|| Status::internal("response is missing"))?;
    let json = json::decode(method.output(), message)?;
    Ok(with_body(StatusCode::OK, Body::from(json)))
}

/// The body of a request, which continues as long as the client writes.
fn further(method: &MethodDescriptor, first: Bytes, values: Values) -> Body {
    let of = method.input();
    let rest = stream::try_unfold((values, of), |(mut values, of)| async move {
        let Some(value) = values.next().await? else { return Ok(None) };
        let message = frame(&json::encode(of.clone(), &value)?)?;
        Ok::<_, Status>(Some((message, (values, of))))
    });
    Body::from_stream(stream::iter([Ok(first)]).chain(rest))
}

/// The body of a streamed answer: one answer per line, and an error at the end if one occurred.
fn results(method: &MethodDescriptor, frames: Frames) -> Body {
    let lines = stream::unfold(Some((frames, method.output())), |state| async move {
        let (mut frames, of) = state?;
        let line = match frames.next().await {
            Ok(Some(message)) => json::decode(of.clone(), message),
            Ok(None) => return None,
            Err(status) => Err(status),
        };
        match line {
            Ok(json) => {
                let mut line = b"{\"result\":".to_vec();
                line.extend_from_slice(&json);
                line.extend_from_slice(b"}\n");
                Some((Bytes::from(line), Some((frames, of))))
            }
            Err(status) => Some((Bytes::from(in_stream(&status)), None)),
        }
    });
    Body::from_stream(lines.map(Ok::<_, std::convert::Infallible>))
}
