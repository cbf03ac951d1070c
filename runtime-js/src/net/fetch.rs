//! One HTTP request with its redirects.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use deno_core::url::{Position, Url};
use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, LOCATION, USER_AGENT,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use tokio_util::task::AbortOnDropHandle;

use super::connect;
use super::encoding::{self, DecodeError};
use crate::{ErrorCode, HostError};

/// The same limit as in browsers.
const MAX_REDIRECTS: usize = 20;
/// The most header fields of a response.
const MAX_HEADERS: usize = 1000;

/// A request from `net.js`.
#[derive(Deserialize)]
pub(super) struct FetchRequest {
    method: String,
    pub(super) url: String,
    headers: Vec<(String, String)>,
    redirect: Redirect,
    has_body: bool,
    /// None: the default.
    pub(super) timeout_ms: Option<f64>,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Redirect {
    Follow,
    Manual,
    Error,
}

/// The response without the body.
#[derive(Serialize)]
pub(super) struct FetchHead {
    status: u16,
    status_text: &'static str,
    url: String,
    redirected: bool,
    headers: Vec<(String, String)>,
}

/// Sends the request, follows redirects, reads at most `limit` bytes of the response's body.
pub(super) async fn fetch(request: FetchRequest, body: Bytes, limit: usize) -> Result<(FetchHead, Bytes), HostError> {
    let invalid = |what: &str, error: &dyn std::fmt::Display| HostError::invalid(format!("{what}: {error}"));
    let mut url =
        Url::parse(&request.url).map_err(|error| invalid(&format!("`{}` is not a URL", request.url), &error))?;
    let mut credentials = take_credentials(&mut url);
    let mut method = Method::from_bytes(request.method.as_bytes()).map_err(|error| invalid(&request.method, &error))?;
    let mut body = request.has_body.then_some(body);
    if body.is_some() && matches!(method, Method::GET | Method::HEAD) {
        return Err(HostError::invalid(format!("a {method} request cannot have a body")));
    }
    let mut headers = HeaderMap::new();
    for (name, value) in &request.headers {
        let name = HeaderName::try_from(name).map_err(|error| invalid(name, &error))?;
        let value = HeaderValue::try_from(value).map_err(|error| invalid(name.as_str(), &error))?;
        headers.append(name, value);
    }
    headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(concat!("disco/", env!("CARGO_PKG_VERSION"))));
    headers.entry(ACCEPT_ENCODING).or_insert(HeaderValue::from_static(encoding::ACCEPTED));

    for redirects in 0..=MAX_REDIRECTS {
        if let Some(credentials) = credentials.take() {
            headers.entry(AUTHORIZATION).or_insert(credentials);
        }
        let response = send(&url, &method, &headers, body.clone()).await?;
        let next = redirect_target(&response, &url);
        match next {
            Some(_) if request.redirect == Redirect::Error => {
                return Err(HostError::new(format!("{url} redirects")).with_code(ErrorCode::Redirect));
            }
            Some(mut next) if request.redirect == Redirect::Follow => {
                let status = response.status();
                if status == StatusCode::SEE_OTHER && method != Method::HEAD
                    || matches!(status, StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND) && method == Method::POST
                {
                    method = Method::GET;
                    body = None;
                    headers.remove(CONTENT_TYPE);
                    headers.remove(CONTENT_LENGTH);
                }
                if next.origin() != url.origin() {
                    for secret in [AUTHORIZATION, COOKIE, HOST] {
                        headers.remove(secret);
                    }
                }
                credentials = take_credentials(&mut next);
                url = next;
            }
            _ => return finish(response, &url, redirects > 0, limit).await,
        }
    }
    Err(HostError::new(format!("{url} redirects again after {MAX_REDIRECTS} redirects")).with_code(ErrorCode::Redirect))
}

/// A URL for error messages.
pub(super) fn without_credentials(url: &str) -> String {
    let Ok(mut parsed) = Url::parse(url) else { return url.to_owned() };
    take_credentials(&mut parsed).map_or_else(|| url.to_owned(), |_| parsed.into())
}

/// Removes name and password from a URL, so that they are neither sent in the request line nor shown in errors; returns the
/// corresponding header.
fn take_credentials(url: &mut Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let mut pair: Vec<u8> = percent_decode_str(url.username()).collect();
    pair.push(b':');
    pair.extend(percent_decode_str(url.password().unwrap_or_default()));
    // This only fails for URLs without a host, which have no credentials.
    let _ = (url.set_username(""), url.set_password(None));
    let mut value = HeaderValue::try_from(format!("Basic {}", BASE64.encode(pair))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn redirect_target(response: &Answer, url: &Url) -> Option<Url> {
    let redirects = matches!(
        response.status(),
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    let location = redirects.then(|| response.response.headers().get(LOCATION))??;
    url.join(location.to_str().ok()?).ok()
}

/// A response whose connection lives until its body is read.
struct Answer {
    response: Response<Incoming>,
    _connection: AbortOnDropHandle<()>,
}

impl Answer {
    fn status(&self) -> StatusCode {
        self.response.status()
    }
}

async fn send(url: &Url, method: &Method, headers: &HeaderMap, body: Option<Bytes>) -> Result<Answer, HostError> {
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or_default();
    let secure = match url.scheme() {
        "http" => false,
        "https" => true,
        other => return Err(HostError::invalid(format!("cannot fetch `{other}:` URLs"))),
    };
    let mut request = Request::new(Full::new(body.unwrap_or_default()));
    *request.method_mut() = method.clone();
    *request.headers_mut() = headers.clone();
    let target = &url[Position::BeforePath..Position::AfterQuery];
    *request.uri_mut() = target.parse().map_err(|error| HostError::invalid(format!("{url}: {error}")))?;
    let authority = &url[Position::BeforeHost..Position::AfterPort];
    if let Ok(authority) = HeaderValue::try_from(authority) {
        request.headers_mut().entry(HOST).or_insert(authority);
    }
    let stream = connect::tcp(&format!("{host}:{port}")).await?;
    if secure {
        exchange(connect::tls(stream, host).await?, request, url).await
    } else {
        exchange(stream, request, url).await
    }
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>, url: &Url) -> Result<Answer, HostError>
where
    S: Send + Unpin + 'static,
    TokioIo<S>: Read + Write,
{
    let failed = |error: hyper::Error| http_error(url, &error);
    let (mut sender, connection) =
        http1::Builder::new().max_headers(MAX_HEADERS).handshake(TokioIo::new(stream)).await.map_err(failed)?;
    // Its errors are also reported by the request.
    let connection = AbortOnDropHandle::new(tokio::spawn(async { drop(connection.await) }));
    let response = sender.send_request(request).await.map_err(failed)?;
    Ok(Answer { response, _connection: connection })
}

fn http_error(url: &Url, error: &hyper::Error) -> HostError {
    let mut result = HostError::from_error(error);
    result.message.insert_str(0, &format!("{url}: "));
    result.with_code(ErrorCode::Http)
}

async fn finish(answer: Answer, url: &Url, redirected: bool, limit: usize) -> Result<(FetchHead, Bytes), HostError> {
    let (parts, body) = answer.response.into_parts();
    let too_large =
        || HostError::new(format!("the answer of {url} has more than {limit} bytes")).with_code(ErrorCode::TooLarge);
    let broken = |why: &dyn std::fmt::Display| HostError::new(format!("{url}: {why}")).with_code(ErrorCode::Http);
    let body = match Limited::new(body, limit).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => return Err(too_large()),
        Err(error) => return Err(broken(&error)),
    };
    let codings = parts.headers.get_all(CONTENT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let codings: Vec<&str> = codings.collect();
    let body = encoding::decode(&codings.join(","), body, limit).map_err(|error| match error {
        DecodeError::TooLarge => too_large(),
        DecodeError::Damaged(why) => broken(&format!("the body does not match `content-encoding`: {why}")),
    })?;
    let headers = parts.headers.iter();
    let head = FetchHead {
        status: parts.status.as_u16(),
        status_text: parts.status.canonical_reason().unwrap_or_default(),
        url: url[..Position::AfterQuery].to_owned(),
        redirected,
        headers: headers
            .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect(),
    };
    Ok((head, body))
}
