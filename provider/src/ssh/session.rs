//! Connections.

use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use russh::client::{Config, Handle, connect_stream};
use russh::keys::PrivateKeyWithHashAlg;
use russh::{Preferred, SshId, cipher};
use tokio::net::TcpStream;

use super::handler::{Handler, HandlerError};
use super::{HostKeyPolicy, HostKeySeen, KeyPair, SshError};
use crate::SshTarget;

/// Bytes that may be on their way in one channel.
const WINDOW: u32 = 4 << 20;
/// The largest packet that the protocol's implementation takes.
const PACKET: u32 = 65_535;
/// Fast first: it is done in hardware on all machines that matter, the rest as a fallback.
const CIPHERS: &[cipher::Name] = &[cipher::AES_256_GCM, cipher::CHACHA20_POLY1305, cipher::AES_256_CTR];
/// Pauses between attempts.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How patiently to connect.
#[derive(Debug, Clone, Copy)]
pub struct ConnectOptions {
    /// For everything, with all attempts.
    pub limit: Duration,
    /// For one attempt.
    pub attempt_limit: Duration,
    /// Whether a refused key is tried again as well: a machine that is just booting may not know it yet.
    pub retry_refused: bool,
}

/// Ten seconds in all, and a refused key is final.
impl Default for ConnectOptions {
    fn default() -> Self {
        Self { limit: Duration::from_secs(10), attempt_limit: Duration::from_secs(10), retry_refused: false }
    }
}

impl ConnectOptions {
    /// For a machine that may still be booting.
    pub fn booting(limit: Duration) -> Self {
        Self { limit, retry_refused: true, ..Self::default() }
    }
}

/// A connection to a machine, logged in. Commands may run on it at the same time. It is closed when the last clone is
/// dropped.
#[derive(Clone)]
pub struct Session {
    pub(super) handle: Arc<Handle<Handler>>,
    target: SshTarget,
    host_key: HostKeySeen,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("target", &self.target).finish_non_exhaustive()
    }
}

impl Session {
    /// Connects and logs in. While nobody answers it tries again, with growing pauses, until the time limit.
    ///
    /// # Errors
    /// A host key that is not accepted and a refused login end it at once (the latter see
    /// [`ConnectOptions::retry_refused`]); else [`SshError::NoAnswer`] with what happened last.
    pub async fn connect(
        target: &SshTarget,
        key: &KeyPair,
        policy: &HostKeyPolicy,
        options: ConnectOptions,
    ) -> Result<Self, SshError> {
        let mut last = None;
        let pauses = ExponentialBuilder::default()
            .with_min_delay(FIRST_PAUSE)
            .with_max_delay(LONGEST_PAUSE)
            .with_factor(1.5)
            .without_max_times();
        let attempts = (|| Self::attempt(target, key, policy, options.attempt_limit))
            .retry(pauses)
            .when(|error| error.may_pass() || (options.retry_refused && matches!(error, SshError::LoginRefused { .. })))
            .notify(|error: &SshError, _| {
                tracing::debug!(%error, endpoint = %target.endpoint(), "no connection yet");
                last = Some(error.to_string());
            });
        match tokio::time::timeout(options.limit, attempts).await {
            Ok(result) => result,
            Err(_) => {
                let source = last.map(|reason| {
                    Box::new(SshError::Connect { endpoint: target.endpoint(), source: io::Error::other(reason) })
                });
                Err(SshError::NoAnswer { endpoint: target.endpoint(), limit: options.limit, source })
            }
        }
    }

    async fn attempt(
        target: &SshTarget,
        key: &KeyPair,
        policy: &HostKeyPolicy,
        limit: Duration,
    ) -> Result<Self, SshError> {
        let no_answer = |_| SshError::NoAnswer { endpoint: target.endpoint(), limit, source: None };
        tokio::time::timeout(limit, Self::open(target, key, policy)).await.map_err(no_answer)?
    }

    async fn open(target: &SshTarget, key: &KeyPair, policy: &HostKeyPolicy) -> Result<Self, SshError> {
        let endpoint = target.endpoint();
        let not_connected = |source| SshError::Connect { endpoint: endpoint.clone(), source };
        let stream = TcpStream::connect((target.host.as_str(), target.port)).await.map_err(not_connected)?;
        // Without it small requests wait for the answers to others.
        stream.set_nodelay(true).map_err(not_connected)?;
        let seen = Arc::new(OnceLock::new());
        let handler = Handler { target: target.clone(), policy: policy.clone(), seen: Arc::clone(&seen) };
        let mut handle = connect_stream(config(), stream, handler).await.map_err(|error| match error {
            HandlerError::HostKey(error) => error,
            HandlerError::Protocol(source) => protocol(target, source),
        })?;
        let private = PrivateKeyWithHashAlg::new(key.private(), None);
        let answer = handle
            .authenticate_publickey(target.user.clone(), private)
            .await
            .map_err(|source| protocol(target, source))?;
        if !answer.success() {
            return Err(SshError::LoginRefused { target: target.to_string(), fingerprint: key.fingerprint() });
        }
        let host_key = seen.get().cloned().ok_or_else(|| protocol(target, russh::Error::UnknownKey))?;
        Ok(Self { handle: Arc::new(handle), target: target.clone(), host_key })
    }

    /// Whom it is connected to.
    pub fn target(&self) -> &SshTarget {
        &self.target
    }

    /// The host key that was accepted.
    pub fn host_key(&self) -> &HostKeySeen {
        &self.host_key
    }

    /// Whether the connection has ended.
    pub fn is_closed(&self) -> bool {
        self.handle.is_closed()
    }

    pub(super) fn protocol_error(&self, source: russh::Error) -> SshError {
        protocol(&self.target, source)
    }
}

fn protocol(target: &SshTarget, source: russh::Error) -> SshError {
    SshError::Protocol { endpoint: target.endpoint(), source }
}

fn config() -> Arc<Config> {
    Arc::new(Config {
        client_id: SshId::Standard(concat!("SSH-2.0-disco_", env!("CARGO_PKG_VERSION")).into()),
        window_size: WINDOW,
        maximum_packet_size: PACKET,
        preferred: Preferred { cipher: CIPHERS.into(), ..Preferred::DEFAULT },
        // A machine that is gone is noticed within a minute.
        keepalive_interval: Some(Duration::from_secs(15)),
        keepalive_max: 3,
        nodelay: true,
        ..Config::default()
    })
}
