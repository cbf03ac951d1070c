//! Requests that are larger than a message may be have gRPC's code for that, as its other servers answer; tonic's own is
//! another one, which etcd's clients take for a revision.

use std::convert::Infallible;
use std::task::{Context, Poll};

use futures_util::TryFutureExt;
use futures_util::future::MapOk;
use http::{HeaderValue, Request, Response};
use tonic::Code;
use tonic::body::Body;
use tonic::server::NamedService;
use tower::Service;

/// The begin of tonic's message.
const TOO_LARGE: &str = "Error, decoded message length too large";
const STATUS: &str = "grpc-status";
const MESSAGE: &str = "grpc-message";

/// A service with the other code.
#[derive(Clone)]
pub(super) struct TooLarge<S>(pub(super) S);

type Answer = Response<Body>;

impl<S: NamedService> NamedService for TooLarge<S> {
    const NAME: &'static str = S::NAME;
}

impl<S, B> Service<Request<B>> for TooLarge<S>
where
    S: Service<Request<B>, Response = Answer, Error = Infallible>,
{
    type Response = Answer;
    type Error = Infallible;
    type Future = MapOk<S::Future, fn(Answer) -> Answer>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.0.call(request).map_ok(with_code)
    }
}

/// A request that cannot be decoded is answered without a body, so its status is in the head.
fn with_code(mut answer: Answer) -> Answer {
    // The message is percent-encoded.
    let plain = |message: &HeaderValue| {
        message.to_str().is_ok_and(|message| message.replace("%20", " ").starts_with(TOO_LARGE))
    };
    if answer.headers().get(MESSAGE).is_some_and(plain) {
        answer.headers_mut().insert(STATUS, HeaderValue::from(i32::from(Code::ResourceExhausted)));
    }
    answer
}

#[cfg(test)]
mod tests {
    use tonic::Status;

    use super::*;

    #[test]
    fn only_the_code_of_a_message_that_is_too_large_changes() {
        let text = "Error, decoded message length too large: found 9 bytes, the limit is: 8 bytes";
        for (status, code) in [
            (Status::out_of_range(text), Code::ResourceExhausted),
            (Status::out_of_range("etcdserver: mvcc: required revision has been compacted"), Code::OutOfRange),
            (Status::not_found("x"), Code::NotFound),
        ] {
            let answer = with_code(status.clone().into_http());
            let found = Status::from_header_map(answer.headers()).unwrap();
            assert_eq!((found.code(), found.message()), (code, status.message()));
        }
    }
}
