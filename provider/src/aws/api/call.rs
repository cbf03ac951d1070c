//! A signed call of a service.
//!
//! The runtime of Amazon's SDK makes it ([`Operation`]), with the parts that the SDK's own crates have: credentials and their
//! cache, the signature (SigV4) with a time that is corrected by the service's, time limits, protection from answers that stop,
//! and retries, with a budget for each service, after throttling and failures that pass.

use std::fmt::{self, Debug};

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_runtime::auth::{SigV4OperationSigningConfig, sigv4};
use aws_runtime::invocation_id::InvocationIdInterceptor;
use aws_runtime::request_info::RequestInfoInterceptor;
use aws_runtime::retries::classifiers::AwsErrorCodeClassifier;
use aws_runtime::service_clock_skew::{
    DisableClockSkewCorrection, ServiceClockSkewClassifier, ServiceClockSkewInterceptor,
};
use aws_runtime::user_agent::{ApiMetadata, UserAgentInterceptor};
use aws_smithy_runtime::client::http::connection_poisoning::ConnectionPoisoningInterceptor;
use aws_smithy_runtime::client::identity::IdentityCache;
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime::client::retries::classifiers::{HttpStatusCodeClassifier, TransientErrorClassifier};
use aws_smithy_runtime::client::stalled_stream_protection::StalledStreamProtectionInterceptor;
use aws_smithy_runtime_api::client::auth::static_resolver::StaticAuthSchemeOptionResolver;
use aws_smithy_runtime_api::client::auth::{AuthSchemeOptionResolverParams, SharedAuthSchemeOptionResolver};
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::interceptors::SharedInterceptor;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponentsBuilder;
use aws_smithy_runtime_api::client::runtime_plugin::{SharedRuntimePlugin, StaticRuntimePlugin};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::Layer;
use aws_smithy_types::error::ErrorMetadata;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SigningName;
use aws_types::region::{Region, SigningRegion};
use aws_types::service_config::ServiceConfigKey;

use super::super::error::CloudError;
use super::endpoint::{Endpoint, Settings, endpoint};
use super::xml::Unreadable;

/// A service of Amazon.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    /// The name in settings: `Service Quotas` stands for `AWS_ENDPOINT_URL_SERVICE_QUOTAS`, and for `service-quotas` in profiles.
    pub(crate) id: &'static str,
    /// The name in signatures and host names, such as `ec2`.
    pub(crate) name: &'static str,
    /// Reads code and message of an answer that is an error.
    pub(crate) error: fn(&HttpResponse, &[u8]) -> Result<ErrorMetadata, Unreadable>,
}

/// A request, before it is signed.
#[derive(Clone)]
pub(crate) struct Body {
    /// The type of the content.
    pub(crate) content_type: &'static str,
    /// `X-Amz-Target`, of JSON protocols.
    pub(crate) target: Option<&'static str>,
    /// The content, which may hold a secret.
    pub(crate) text: String,
}

impl Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("content_type", &self.content_type).finish_non_exhaustive()
    }
}

/// A service in one region, with the caller's credentials.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    kind: Kind,
    /// The URL of an API other than Amazon's, if it was configured.
    custom: Option<String>,
    endpoint: Result<Endpoint, String>,
    retry: RetryConfig,
    timeout: TimeoutConfig,
    /// Everything that all calls share: credentials, connections, the clock's correction.
    shared: SharedRuntimePlugin,
}

impl Service {
    /// Makes no request.
    pub(crate) fn new(kind: Kind, config: &SdkConfig) -> Self {
        let custom = custom_endpoint(kind, config);
        let region = config.region().map(Region::as_ref).unwrap_or_default();
        let settings = Settings {
            region,
            dual_stack: config.use_dual_stack().unwrap_or_default(),
            fips: config.use_fips().unwrap_or_default(),
            custom: custom.as_deref(),
        };
        let endpoint = endpoint(kind.name, settings);
        let signing_region = endpoint.as_ref().map_or(region, |endpoint| &endpoint.signing_region).to_owned();
        let plugin = StaticRuntimePlugin::new()
            .with_config(shared_settings(kind, config, signing_region).freeze())
            .with_runtime_components(shared_components(config));
        Self {
            kind,
            custom,
            endpoint,
            retry: config.retry_config().cloned().unwrap_or_else(RetryConfig::standard),
            timeout: config.timeout_config().cloned().unwrap_or_else(TimeoutConfig::disabled),
            shared: SharedRuntimePlugin::new(plugin),
        }
    }

    /// The same service, without retries.
    pub(crate) fn once(&self) -> Self {
        Self { retry: RetryConfig::disabled(), ..self.clone() }
    }

    /// Where it is reached.
    ///
    /// # Errors
    /// The settings are invalid.
    pub(crate) fn endpoint(&self) -> Result<&Endpoint, CloudError> {
        self.endpoint.as_ref().map_err(|reason| CloudError::Endpoint { reason: reason.clone() })
    }

    /// The URL of the API, if it is not Amazon's.
    pub(crate) fn own_endpoint(&self) -> Option<&str> {
        self.custom.as_deref()
    }

    /// Makes a call. Returns the content of the answer.
    pub(crate) async fn call(&self, call: &'static str, body: Body) -> Result<Vec<u8>, CloudError> {
        let endpoint = self.endpoint()?;
        let error = self.kind.error;
        let operation = Operation::builder()
            .service_name(self.kind.name)
            .operation_name(call)
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(&endpoint.url)
            .standard_retry(&self.retry)
            .timeout_config(self.timeout.clone())
            .runtime_plugin(self.shared.clone())
            .serializer(|body: Body| Ok(request(body)?))
            .deserializer(move |answer| read(answer, error))
            .build();
        operation.invoke(body).await.map_err(CloudError::of(call))
    }
}

/// The URL that was configured for this service, in the SDK's order: the script's, the environment's for this service and for all,
/// the profile's for this service and for all.
fn custom_endpoint(kind: Kind, config: &SdkConfig) -> Option<String> {
    let general = config.endpoint_url().map(str::to_owned);
    if config.get_origin("endpoint_url").is_client_config() {
        return general;
    }
    let key = ServiceConfigKey::builder().service_id(kind.id).env("AWS_ENDPOINT_URL").profile("endpoint_url").build();
    let own = key.ok().and_then(|key| config.service_config()?.load_config(key));
    own.or(general)
}

fn shared_settings(kind: Kind, config: &SdkConfig, signing_region: String) -> Layer {
    let mut layer = Layer::new("shared");
    layer.store_put(SigningName::from_static(kind.name));
    layer.store_put(SigningRegion::from(Region::new(signing_region)));
    layer.store_put(SigV4OperationSigningConfig::default());
    layer.store_put(AuthSchemeOptionResolverParams::new(()));
    layer.store_put(ApiMetadata::new(kind.name, env!("CARGO_PKG_VERSION")));
    layer.store_or_unset(config.app_name().cloned());
    layer.store_or_unset(config.stalled_stream_protection());
    layer.store_or_unset(config.disable_clock_skew_correction().map(DisableClockSkewCorrection::from));
    layer
}

fn shared_components(config: &SdkConfig) -> RuntimeComponentsBuilder {
    let schemes = StaticAuthSchemeOptionResolver::new(vec![sigv4::SCHEME_ID]);
    let mut components = RuntimeComponentsBuilder::new("shared");
    components
        .set_auth_scheme_option_resolver(Some(SharedAuthSchemeOptionResolver::new(schemes)))
        .push_auth_scheme(sigv4::SigV4AuthScheme::new())
        .set_http_client(config.http_client())
        .set_sleep_impl(config.sleep_impl())
        .set_time_source(config.time_source())
        .set_identity_cache(Some(config.identity_cache().unwrap_or_else(|| IdentityCache::lazy().build())))
        .push_interceptor(SharedInterceptor::permanent(StalledStreamProtectionInterceptor::default()))
        .push_interceptor(SharedInterceptor::permanent(ConnectionPoisoningInterceptor::new()))
        .push_interceptor(ServiceClockSkewInterceptor::new())
        .push_interceptor(RequestInfoInterceptor::new())
        .push_interceptor(UserAgentInterceptor::new())
        .push_interceptor(InvocationIdInterceptor::new())
        .push_retry_classifier(HttpStatusCodeClassifier::default())
        .push_retry_classifier(TransientErrorClassifier::<ErrorMetadata>::new())
        .push_retry_classifier(AwsErrorCodeClassifier::<ErrorMetadata>::new())
        .push_retry_classifier(ServiceClockSkewClassifier::<ErrorMetadata>::new());
    if let Some(credentials) = config.credentials_provider() {
        components.set_identity_resolver(sigv4::SCHEME_ID, credentials);
    }
    components
}

fn request(body: Body) -> Result<HttpRequest, aws_smithy_runtime_api::http::HttpError> {
    let mut request = HttpRequest::new(SdkBody::from(body.text));
    request.set_method("POST")?;
    request.set_uri("/")?;
    request.headers_mut().insert("content-type", body.content_type);
    if let Some(target) = body.target {
        request.headers_mut().insert("x-amz-target", target);
    }
    Ok(request)
}

/// The content of an answer; an error if the service reports one.
fn read(
    answer: &HttpResponse,
    error: fn(&HttpResponse, &[u8]) -> Result<ErrorMetadata, Unreadable>,
) -> Result<Vec<u8>, OrchestratorError<ErrorMetadata>> {
    let content = answer.body().bytes().unwrap_or_default();
    if answer.status().is_success() {
        return Ok(content.to_vec());
    }
    let found = error(answer, content).ok().filter(|error| error.code().is_some());
    Err(OrchestratorError::operation(found.unwrap_or_else(|| {
        let plain = ErrorMetadata::builder().message(format!("HTTP status {}, without an error code", answer.status()));
        // Of a load balancer: the same request may succeed in a moment.
        if answer.status().is_server_error() { plain.code("ServiceUnavailable").build() } else { plain.build() }
    })))
}

#[cfg(test)]
mod tests {
    use aws_types::origin::Origin;
    use aws_types::service_config::LoadServiceConfig;

    use super::*;

    const KIND: Kind = Kind { id: "Service Quotas", name: "servicequotas", error: |_, _| Ok(ErrorMetadata::default()) };

    /// An environment that has a URL for Service Quotas.
    #[derive(Debug)]
    struct Environment;

    impl LoadServiceConfig for Environment {
        fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
            assert_eq!((key.env(), key.profile()), ("AWS_ENDPOINT_URL", "endpoint_url"));
            (key.service_id() == KIND.id).then(|| "http://quotas".to_owned())
        }
    }

    fn config(origin: Origin) -> SdkConfig {
        let mut config = SdkConfig::builder().endpoint_url("http://all").service_config(Environment);
        config.insert_origin("endpoint_url", origin);
        config.build()
    }

    #[test]
    fn a_url_for_one_service_counts_before_that_for_all_and_the_scripts_before_both() {
        let environment = config(Origin::shared_environment_variable());
        assert_eq!(custom_endpoint(KIND, &environment).as_deref(), Some("http://quotas"));
        assert_eq!(custom_endpoint(Kind { id: "EC2", ..KIND }, &environment).as_deref(), Some("http://all"));
        let script = config(Origin::shared_config());
        assert_eq!(custom_endpoint(KIND, &script).as_deref(), Some("http://all"));
        assert_eq!(custom_endpoint(KIND, &SdkConfig::builder().build()), None);
    }

    #[test]
    fn the_content_of_a_request_is_not_shown() {
        let body = Body { content_type: "text/plain", target: None, text: "secret".to_owned() };
        assert!(!format!("{body:?}").contains("secret"));
    }
}
