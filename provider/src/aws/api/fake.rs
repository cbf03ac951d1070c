//! A service for tests, which gives the answers that a test names.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::credential_fn::provide_credentials_fn;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::default_async_sleep;
use aws_smithy_async::time::SystemTimeSource;
use aws_smithy_http_client::Builder as HttpBuilder;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A request that has arrived: its head in small letters, and its body.
pub(super) struct Request {
    pub(super) head: String,
    pub(super) body: String,
}

/// An answer: its status, further header lines, and its body.
pub(super) type Answer<'a> = (u16, &'a str, &'a str);

/// A service that gives these answers in turn, and returns the requests.
pub(super) struct Fake {
    pub(super) config: SdkConfig,
    served: JoinHandle<Vec<Request>>,
    /// How often credentials were read.
    pub(super) read: Arc<AtomicU32>,
}

impl Fake {
    /// Begins to listen.
    pub(super) async fn new(answers: &[Answer<'_>]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answers: Vec<String> = answers
            .iter()
            .map(|(status, head, body)| {
                let length = body.len();
                format!("HTTP/1.1 {status} X\r\n{head}content-length: {length}\r\nconnection: close\r\n\r\n{body}")
            })
            .collect();
        let served = tokio::spawn(async move {
            let mut requests = Vec::new();
            for answer in answers {
                let (stream, _) = listener.accept().await.unwrap();
                requests.push(serve(stream, &answer).await);
            }
            requests
        });
        let read = Arc::new(AtomicU32::new(0));
        let reads = Arc::clone(&read);
        let credentials = provide_credentials_fn(move || {
            reads.fetch_add(1, Ordering::Relaxed);
            async { Ok(Credentials::new("AKID", "secret", Some("session".to_owned()), None, "test")) }
        });
        let pause = Duration::from_millis(1);
        let retry = RetryConfig::standard().with_max_attempts(4).with_initial_backoff(pause).with_max_backoff(pause);
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-west-2"))
            .endpoint_url(url)
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(HttpBuilder::new().build_http())
            .retry_config(retry)
            .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(10)).build())
            .time_source(SystemTimeSource::new());
        let config = config.sleep_impl(default_async_sleep().unwrap()).build();
        Self { config, served, read }
    }

    /// The requests, once all answers are given.
    pub(super) async fn requests(self) -> Vec<Request> {
        tokio::time::timeout(Duration::from_secs(10), self.served).await.expect("fewer requests than answers").unwrap()
    }

    /// The bodies of the requests.
    pub(super) async fn bodies(self) -> Vec<String> {
        self.requests().await.into_iter().map(|request| request.body).collect()
    }
}

async fn serve(stream: TcpStream, answer: &str) -> Request {
    let mut stream = BufStream::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        if line.trim().is_empty() {
            break;
        }
        let line = line.to_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    stream.write_all(answer.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    Request { head, body: String::from_utf8(body).unwrap() }
}
