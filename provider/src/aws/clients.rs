//! Connections to the services.

use std::time::Duration;

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_smithy_http_client::Builder as HttpBuilder;
use aws_smithy_http_client::tls::Provider as TlsProvider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::http::SharedHttpClient;

use super::api::{Ec2, Iam, Quotas};
use super::error::CloudError;
use super::imds;
use super::options::AwsOptions;

/// Time limits of a connection, and of one response.
const CONNECT: Duration = Duration::from_secs(5);
const ATTEMPT: Duration = Duration::from_secs(30);
/// Attempts after throttling and service failures: about a minute in all, with jitter.
const ATTEMPTS: u32 = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// The clients of one region.
#[derive(Debug)]
pub(super) struct Clients {
    pub(super) ec2: Ec2,
    pub(super) iam: Iam,
    pub(super) sts: aws_sdk_sts::Client,
    pub(super) quotas: Quotas,
    pub(super) region: String,
    pub(super) http: SharedHttpClient,
}

impl Clients {
    /// Makes the clients, without a request. A node uses the credentials of its instance role and no others.
    pub(super) async fn new(options: &AwsOptions, on_node: bool) -> Result<Self, CloudError> {
        let http = HttpBuilder::new().tls_provider(TlsProvider::Rustls(CryptoMode::Ring)).build_https();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http.clone())
            .retry_config(
                RetryConfig::standard()
                    .with_max_attempts(ATTEMPTS)
                    .with_initial_backoff(FIRST_PAUSE)
                    .with_max_backoff(LONGEST_PAUSE),
            )
            .timeout_config(
                TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(ATTEMPT).build(),
            );
        if let Some(region) = &options.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(endpoint) = &options.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        let provider = ProviderConfig::default().with_http_client(http.clone());
        if on_node {
            loader = loader.credentials_provider(imds::credentials(&http));
        } else if let Some(profile) = &options.profile {
            let chain = DefaultCredentialsChain::builder().configure(provider).profile_name(profile).build().await;
            loader = loader.profile_name(profile).credentials_provider(chain);
        }
        let config: SdkConfig = loader.load().await;
        let region = config.region().map(ToString::to_string);
        let region = region.filter(|region| !region.is_empty()).ok_or(CloudError::NoRegion)?;
        let ec2 = Ec2::new(&config);
        ec2.check_endpoint()?;
        Ok(Self {
            ec2,
            iam: Iam::new(&config),
            sts: aws_sdk_sts::Client::new(&config),
            quotas: Quotas::new(&config),
            region,
            http,
        })
    }
}
