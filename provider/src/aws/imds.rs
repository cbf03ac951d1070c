//! The metadata service of a machine, from which a node gets its credentials.

use std::sync::Arc;
use std::time::Duration;

use aws_config::imds::Client;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;

/// The header with the lifetime of a session, in the request and in the response.
const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";
const TOKEN_PATH: &str = "/latest/api/token";

/// Time limit for an answer: five times the SDK's own, as a small machine that is busy answers late, and without credentials a
/// node can do nothing.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);

/// A client of the service that uses the given HTTP client.
pub(super) fn client(http: &SharedHttpClient) -> Client {
    let http = SharedHttpClient::new(Complete { inner: http.clone() });
    let config = ProviderConfig::default().with_http_client(http);
    Client::builder().configure(&config).read_timeout(ANSWERED_WITHIN).build()
}

/// The credentials of the machine's instance role.
pub(super) fn credentials(http: &SharedHttpClient) -> ImdsCredentialsProvider {
    ImdsCredentialsProvider::builder().imds_client(client(http)).build()
}

/// Adds the lifetime to a response with a session token that lacks it: the requested one. Amazon always sends it; compatible
/// servers (moto) do not, and the SDK then rejects the token.
#[derive(Debug)]
struct Complete<T> {
    inner: T,
}

impl HttpClient for Complete<SharedHttpClient> {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Complete { inner: Arc::new(self.inner.http_connector(settings, components)) })
    }
}

impl HttpConnector for Complete<Arc<SharedHttpConnector>> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let requested =
            if request.uri().ends_with(TOKEN_PATH) { request.headers().get(TTL).map(str::to_owned) } else { None };
        let answer = self.inner.call(request);
        HttpConnectorFuture::new(async move {
            let mut answer = answer.await?;
            if let Some(requested) = requested
                && !answer.headers().contains_key(TTL)
            {
                answer.headers_mut().insert(TTL, requested);
            }
            Ok(answer)
        })
    }
}
