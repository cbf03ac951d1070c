//! Connections.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use russh::client::{AuthResult, Config, Handle, connect_stream};
use russh::keys::{Algorithm, PrivateKeyWithHashAlg};
use russh::{AlgorithmKind, Preferred, SshId, cipher};
use rustix::net::sockopt;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::handler::{Handler, HandlerError};
use super::{HostKeyPolicy, HostKeySeen, KeyPair, SshError};
use crate::SshTarget;

/// The flow-control window of a channel.
const WINDOW: u32 = 4 << 20;
/// The largest packet that the SSH library accepts.
const PACKET: u32 = 65_535;
/// The fastest first: common hardware accelerates it; the rest as a fallback.
const CIPHERS: &[cipher::Name] = &[cipher::AES_256_GCM, cipher::CHACHA20_POLY1305, cipher::AES_256_CTR];
/// Pauses between attempts.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// The pause after a refused key. OpenSSH 9.8 and later blocks addresses with more failed logins (`PerSourcePenalties`: five
/// seconds for each, from fifteen on).
const PAUSE_AFTER_REFUSAL: Duration = Duration::from_secs(6);
/// How long a machine that is not booting may refuse connections or have no name: its SSH server may just be restarting.
const SETTLES_WITHIN: Duration = Duration::from_secs(3);
/// The connection ends if sent data is not acknowledged for this long. By itself the system would retry for a quarter of an hour.
const UNACKNOWLEDGED: Duration = Duration::from_secs(20);
/// A keep-alive is sent after this time without data, and the connection ends after this many unanswered ones. Together less
/// than half a minute.
const QUIET: Duration = Duration::from_secs(7);
const UNANSWERED: usize = 3;

/// How patiently to connect.
#[derive(Debug, Clone, Copy)]
pub struct ConnectOptions {
    /// The time limit for all attempts together.
    pub limit: Duration,
    /// The time limit of one attempt.
    pub attempt_limit: Duration,
    /// Whether a refused key is retried as well: a machine that is booting may not know it yet.
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

/// A connection to a machine, logged in. Commands run on it one after the other. It is closed when the last clone is dropped.
#[derive(Clone)]
pub struct Session {
    pub(super) handle: Arc<Handle<Handler>>,
    /// Held while a channel is open: a server may allow one alone.
    pub(super) turn: Arc<Mutex<()>>,
    target: SshTarget,
    host_key: HostKeySeen,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("target", &self.target).finish_non_exhaustive()
    }
}

impl Session {
    /// Connects and logs in. Without an answer it retries, with growing pauses, until the time limit.
    ///
    /// # Errors
    /// An unacceptable host key or a refused login at once (for the latter see
    /// [`ConnectOptions::retry_refused`]); else the last error.
    pub async fn connect(
        target: &SshTarget,
        key: &KeyPair,
        policy: &HostKeyPolicy,
        options: ConnectOptions,
    ) -> Result<Self, SshError> {
        let started = Instant::now();
        let deadline = started + options.limit;
        let mut pauses = ExponentialBuilder::default()
            .with_min_delay(FIRST_PAUSE)
            .with_max_delay(LONGEST_PAUSE)
            .with_factor(1.5)
            .without_max_times()
            .build();
        loop {
            let limit = options.attempt_limit.min(deadline.saturating_duration_since(Instant::now()));
            let error = match Self::attempt(target, key, policy, limit).await {
                Ok(session) => return Ok(session),
                Err(error) => error,
            };
            let refused = matches!(error, SshError::LoginRefused { .. });
            let again = match refused {
                true => options.retry_refused,
                false => {
                    error.may_pass()
                        && (options.retry_refused || !error.is_answer() || started.elapsed() < SETTLES_WITHIN)
                }
            };
            let pause = match refused {
                true => PAUSE_AFTER_REFUSAL,
                false => pauses.next().unwrap_or(LONGEST_PAUSE),
            };
            if !again || Instant::now() + pause >= deadline {
                return Err(error);
            }
            tracing::debug!(%error, endpoint = %target.endpoint(), "no connection yet");
            tokio::time::sleep(pause).await;
        }
    }

    async fn attempt(
        target: &SshTarget,
        key: &KeyPair,
        policy: &HostKeyPolicy,
        limit: Duration,
    ) -> Result<Self, SshError> {
        let deadline = Instant::now() + limit;
        let endpoint = target.endpoint();
        let not_connected = |source| SshError::Connect { endpoint: endpoint.clone(), source };
        let late = |_| not_connected(io::ErrorKind::TimedOut.into());
        let stream = tokio::time::timeout_at(deadline, dial(target)).await.map_err(late)??;
        // Without it small packets are delayed.
        stream.set_nodelay(true).map_err(not_connected)?;
        let unacknowledged = u32::try_from(UNACKNOWLEDGED.as_millis()).unwrap_or(u32::MAX);
        sockopt::set_tcp_user_timeout(&stream, unacknowledged).map_err(|error| not_connected(error.into()))?;
        let no_answer = |_| SshError::NoAnswer { endpoint: endpoint.clone(), limit };
        tokio::time::timeout_at(deadline, Self::log_in(stream, target, key, policy)).await.map_err(no_answer)?
    }

    async fn log_in(
        stream: TcpStream,
        target: &SshTarget,
        key: &KeyPair,
        policy: &HostKeyPolicy,
    ) -> Result<Self, SshError> {
        let seen = Arc::new(OnceLock::new());
        let handler = Handler { target: target.clone(), policy: policy.clone(), seen: Arc::clone(&seen) };
        let kinds = policy.kinds(target)?;
        let mut handle = connect_stream(config(&kinds), stream, handler).await.map_err(|error| match error {
            HandlerError::HostKey(error) => error,
            HandlerError::Protocol(source) => not_greeted(target, source),
        })?;
        let private = PrivateKeyWithHashAlg::new(key.private(), None);
        let answer = handle
            .authenticate_publickey(target.user.clone(), private)
            .await
            .map_err(|source| protocol(target, source))?;
        if let AuthResult::Failure { remaining_methods, partial_success } = answer {
            let (target, fingerprint) = (target.to_string(), key.fingerprint());
            if !partial_success {
                return Err(SshError::LoginRefused { target, fingerprint });
            }
            let methods: Vec<&str> = remaining_methods.iter().map(Into::into).collect();
            return Err(SshError::SecondFactor { target, fingerprint, methods: methods.join(", ") });
        }
        let host_key = seen.get().cloned().ok_or_else(|| protocol(target, russh::Error::UnknownKey))?;
        Ok(Self { handle: Arc::new(handle), turn: Arc::default(), target: target.clone(), host_key })
    }

    /// The machine that it is connected to.
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

/// Resolves the name and connects, with separate errors.
async fn dial(target: &SshTarget) -> Result<TcpStream, SshError> {
    let unresolved = |source| SshError::Unresolved { host: target.host.clone(), source };
    // Accepts `fe80::1%eth0` as well.
    let found = tokio::net::lookup_host((target.host.as_str(), target.port)).await.map_err(unresolved)?;
    let found: Vec<SocketAddr> = found.collect();
    TcpStream::connect(found.as_slice())
        .await
        .map_err(|source| SshError::Connect { endpoint: target.endpoint(), source })
}

/// The error of a failed handshake.
fn not_greeted(target: &SshTarget, source: russh::Error) -> SshError {
    let endpoint = target.endpoint();
    match source {
        russh::Error::NoCommonAlgo { kind: AlgorithmKind::Key, ours, theirs } => {
            SshError::HostKeyKinds { endpoint, theirs: theirs.join(", "), ours: ours.join(", ") }
        }
        russh::Error::Disconnect | russh::Error::HUP | russh::Error::IO(_) => SshError::Closed { endpoint, source },
        source => SshError::Protocol { endpoint, source },
    }
}

/// The kinds of host keys to request, those of the server's known keys first.
fn host_keys(known: &[Algorithm]) -> Vec<Algorithm> {
    // RSA is not built in: a server with only RSA is refused with a clear error, instead of by a signature that cannot be checked.
    let mut kinds: Vec<Algorithm> =
        Preferred::DEFAULT.key.iter().filter(|kind| !matches!(kind, Algorithm::Rsa { .. })).cloned().collect();
    kinds.sort_by_key(|kind| !known.contains(kind));
    kinds
}

fn config(known: &[Algorithm]) -> Arc<Config> {
    Arc::new(Config {
        client_id: SshId::Standard(concat!("SSH-2.0-disco_", env!("CARGO_PKG_VERSION")).into()),
        window_size: WINDOW,
        maximum_packet_size: PACKET,
        preferred: Preferred { cipher: CIPHERS.into(), key: host_keys(known).into(), ..Preferred::DEFAULT },
        keepalive_interval: Some(QUIET),
        keepalive_max: UNANSWERED,
        nodelay: true,
        ..Config::default()
    })
}

#[cfg(test)]
mod tests {
    use russh::keys::EcdsaCurve;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn kinds_of_keys_that_are_known_come_first_and_the_others_stay() {
        let ecdsa = Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 };
        let all = host_keys(&[]);
        assert!(all.len() > 1 && !all.iter().any(|kind| matches!(kind, Algorithm::Rsa { .. })), "{all:?}");
        let kinds = host_keys(std::slice::from_ref(&ecdsa));
        assert_eq!((&kinds[0], kinds.len()), (&ecdsa, all.len()));
    }

    /// What is lost on the way, and what is not answered.
    #[test]
    fn a_machine_that_vanishes_is_missed_within_half_a_minute() {
        let keepalive = QUIET * u32::try_from(UNANSWERED + 1).unwrap();
        assert!(keepalive < Duration::from_secs(30) && QUIET + UNACKNOWLEDGED < Duration::from_secs(30));
    }

    async fn refused(host: &str, port: u16) -> SshError {
        let target = SshTarget { user: "u".to_owned(), host: host.to_owned(), port };
        let dir = tempfile::tempdir().unwrap();
        let policy = HostKeyPolicy::KnownHosts { file: dir.path().join("known_hosts"), pin_first: true };
        let limit = Duration::from_millis(300);
        let options = ConnectOptions { limit, attempt_limit: limit, retry_refused: false };
        Session::connect(&target, &KeyPair::generate("").unwrap(), &policy, options).await.unwrap_err()
    }

    #[tokio::test]
    async fn each_way_not_to_answer_has_its_own_words() {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let error = refused("127.0.0.1", free).await.to_string();
        assert!(error.contains("nothing listens at that port"), "{error}");

        // A name server has the time that it needs.
        let nowhere = SshTarget { user: "u".to_owned(), host: "no-such-machine.invalid".to_owned(), port: 22 };
        let error = dial(&nowhere).await.unwrap_err().to_string();
        assert_eq!(error, "cannot resolve `no-such-machine.invalid`");

        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let error = refused("127.0.0.1", silent.local_addr().unwrap().port()).await.to_string();
        assert!(error.contains("accepts connections, but did not answer SSH"), "{error}");

        let rude = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = rude.local_addr().unwrap().port();
        let ends = tokio::spawn(async move {
            while let Ok((mut stream, _)) = rude.accept().await {
                // It is closed in any case.
                let _ = stream.shutdown().await;
            }
        });
        let error = refused("127.0.0.1", port).await.to_string();
        assert!(error.contains("closed the connection before logging in"), "{error}");
        ends.abort();
    }
}
