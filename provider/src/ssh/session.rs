//! Connections.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use russh::client::{AuthResult, Config, Handle, connect_stream};
use russh::keys::{Algorithm, PrivateKeyWithHashAlg};
use russh::{AlgorithmKind, ChannelOpenFailure, Preferred, SshId, cipher};
use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::handler::{Handler, HandlerError};
use super::login::{Key, hash_for};
use super::{HostKeyPolicy, HostKeySeen, KeyPair, Login, SshError};
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
/// The time for a login with an agent, beyond that of the connection: its user may have to confirm each use of a key, or to touch
/// a device. It is no sign that the machine does not answer.
const CONFIRMED_WITHIN: Duration = Duration::from_secs(60);
/// The connection ends if sent data is not acknowledged for this long. By itself the system would retry for a quarter of an hour.
const UNACKNOWLEDGED: Duration = Duration::from_secs(20);
/// A keep-alive is sent after this time without data, and the connection ends after this many unanswered ones. Together less
/// than half a minute.
const QUIET: Duration = Duration::from_secs(7);
const UNANSWERED: usize = 3;

/// How patiently to connect.
#[derive(Debug, Clone, Copy)]
pub struct ConnectOptions {
    /// The time limit for all attempts together. A login with an agent may take longer.
    pub limit: Duration,
    /// The time limit of one attempt.
    pub attempt_limit: Duration,
    /// Whether a refused key is retried as well: a machine that is booting may not know it yet.
    pub retry_refused: bool,
    /// How long a machine may refuse connections.
    pub settles_within: Duration,
}

/// How long a machine on this computer may refuse connections: another process may just be starting it.
const SETTLES_WITHIN: Duration = Duration::from_secs(3);

/// Ten seconds in all, and a refused key or connection is final.
impl Default for ConnectOptions {
    fn default() -> Self {
        let limit = Duration::from_secs(10);
        Self { limit, attempt_limit: limit, retry_refused: false, settles_within: Duration::ZERO }
    }
}

impl ConnectOptions {
    /// Whether another attempt may succeed after this error.
    fn tries_again(&self, error: &SshError, elapsed: Duration) -> bool {
        match error {
            SshError::LoginRefused { .. } => self.retry_refused,
            _ => error.may_pass() && (self.retry_refused || !error.is_answer() || elapsed < self.settles_within),
        }
    }

    /// For a machine on this computer.
    pub fn on_this_computer() -> Self {
        Self { settles_within: SETTLES_WITHIN, ..Self::default() }
    }

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
    key: String,
    /// The connection that carries this one: it must not end before.
    through: Option<Box<Session>>,
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
    /// An unacceptable host key, a refused connection or a refused login at once (for the latter two see
    /// [`ConnectOptions::retry_refused`]); else the last error.
    pub async fn connect(
        target: &SshTarget,
        key: &KeyPair,
        policy: &HostKeyPolicy,
        options: ConnectOptions,
    ) -> Result<Self, SshError> {
        Self::connect_through(None, target, &Login::Pair(key.clone()), policy, options).await
    }

    /// As [`Self::connect`], `through` the machine of another connection, which makes a TCP connection to the target.
    ///
    /// # Errors
    /// As [`Self::connect`]; the jump host makes no connection.
    pub async fn connect_through(
        through: Option<&Self>,
        target: &SshTarget,
        login: &Login,
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
            let error = match Self::attempt(through, target, login, policy, limit).await {
                Ok(session) => return Ok(session),
                Err(error) => error,
            };
            let refused = matches!(error, SshError::LoginRefused { .. });
            let pause = match refused {
                true => PAUSE_AFTER_REFUSAL,
                false => pauses.next().unwrap_or(LONGEST_PAUSE),
            };
            if !options.tries_again(&error, started.elapsed()) || Instant::now() + pause >= deadline {
                return Err(error);
            }
            tracing::debug!(%error, endpoint = %target.endpoint(), "no connection yet");
            tokio::time::sleep(pause).await;
        }
    }

    async fn attempt(
        through: Option<&Self>,
        target: &SshTarget,
        login: &Login,
        policy: &HostKeyPolicy,
        limit: Duration,
    ) -> Result<Self, SshError> {
        let deadline = Instant::now() + limit;
        let endpoint = target.endpoint();
        let not_connected = |source| SshError::Connect { endpoint: endpoint.clone(), source };
        let late = |_| not_connected(io::ErrorKind::TimedOut.into());
        if let Some(jump) = through {
            let stream = tokio::time::timeout_at(deadline, jump.forward(target)).await.map_err(late)??;
            return Self::log_in(stream, through, target, login, policy, limit, deadline).await;
        }
        let stream = tokio::time::timeout_at(deadline, dial(target)).await.map_err(late)??;
        // Without it small packets are delayed.
        stream.set_nodelay(true).map_err(not_connected)?;
        let unacknowledged = u32::try_from(UNACKNOWLEDGED.as_millis()).unwrap_or(u32::MAX);
        sockopt::set_tcp_user_timeout(&stream, unacknowledged).map_err(|error| not_connected(error.into()))?;
        Self::log_in(stream, None, target, login, policy, limit, deadline).await
    }

    async fn log_in(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        through: Option<&Self>,
        target: &SshTarget,
        login: &Login,
        policy: &HostKeyPolicy,
        limit: Duration,
        deadline: Instant,
    ) -> Result<Self, SshError> {
        let no_answer = || SshError::NoAnswer { endpoint: target.endpoint(), limit };
        let seen = Arc::new(OnceLock::new());
        let handler = Handler { target: target.clone(), policy: policy.clone(), seen: Arc::clone(&seen) };
        let kinds = policy.kinds(target)?;
        let greeted = tokio::time::timeout_at(deadline, connect_stream(config(&kinds), stream, handler)).await;
        let mut handle = greeted.map_err(|_| no_answer())?.map_err(|error| match error {
            HandlerError::HostKey(error) => error,
            HandlerError::Protocol(source) => not_greeted(target, source),
        })?;
        let has_agent = matches!(login, Login::User(keys) if keys.agent.is_some());
        let more = if has_agent { CONFIRMED_WITHIN } else { Duration::ZERO };
        let authenticated = tokio::time::timeout_at(deadline + more, authenticate(&mut handle, target, login)).await;
        let key = authenticated.map_err(|_| match has_agent {
            true => SshError::Unconfirmed { target: target.to_string(), limit: limit + more },
            false => no_answer(),
        })??;
        let host_key = seen.get().cloned().ok_or_else(|| protocol(target, russh::Error::UnknownKey))?;
        Ok(Self {
            handle: Arc::new(handle),
            turn: Arc::default(),
            target: target.clone(),
            host_key,
            key,
            through: through.cloned().map(Box::new),
        })
    }

    /// A TCP connection from this machine to another one.
    async fn forward(&self, target: &SshTarget) -> Result<russh::ChannelStream<russh::client::Msg>, SshError> {
        // The originator is only for the server's log.
        let opened =
            self.handle.channel_open_direct_tcpip(target.host.clone(), target.port.into(), "127.0.0.1", 0).await;
        let channel = opened.map_err(|error| {
            let reason = match error {
                russh::Error::ChannelOpenFailure(ChannelOpenFailure::ConnectFailed) => {
                    "nothing answers there, or its name is unknown on the jump host"
                }
                russh::Error::ChannelOpenFailure(ChannelOpenFailure::AdministrativelyProhibited) => {
                    "it is not allowed\nhint: `AllowTcpForwarding yes` in its `sshd_config`"
                }
                source => return protocol(&self.target, source),
            };
            SshError::NotForwarded { endpoint: target.endpoint(), jump: self.target.to_string(), reason }
        })?;
        Ok(channel.into_stream())
    }

    /// The jump host that makes the connection to the machine.
    pub fn jump(&self) -> Option<&SshTarget> {
        self.through.as_ref().map(|jump| &jump.target)
    }

    /// The public key that the server accepted, in OpenSSH's form.
    pub fn key(&self) -> &str {
        &self.key
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

/// Logs in with the first key that the server accepts, and returns it in OpenSSH's form.
async fn authenticate(handle: &mut Handle<Handler>, target: &SshTarget, login: &Login) -> Result<String, SshError> {
    let mut all = login.keys().await;
    let (left_out, hint) = (all.left_out, all.hint);
    if all.keys.is_empty() {
        return Err(SshError::NoKey { target: target.to_string(), left_out, hint });
    }
    let mut refused = Vec::new();
    for key in all.keys {
        let user = target.user.clone();
        let answer = match (&key, &mut all.agent) {
            (Key::Pair(pair), _) => {
                let private = PrivateKeyWithHashAlg::new(pair.private(), None);
                handle.authenticate_publickey(user, private).await.map_err(|source| protocol(target, source))
            }
            (Key::Agent { public, .. }, Some(agent)) => {
                let (public, hash) = (public.clone(), hash_for(public));
                let signed = handle.authenticate_publickey_with(user, public, hash, agent).await;
                signed.map_err(|error| SshError::Agent {
                    target: target.to_string(),
                    key: key.named(),
                    source: Box::new(error),
                })
            }
            (Key::Agent { .. }, None) => continue,
        };
        let closed = handle.is_closed();
        match answer {
            Ok(AuthResult::Success) => return Ok(key.public()),
            Ok(AuthResult::Failure { remaining_methods, partial_success: true }) => {
                let methods: Vec<&str> = remaining_methods.iter().map(Into::into).collect();
                let (target, fingerprint) = (target.to_string(), key.named());
                return Err(SshError::SecondFactor { target, fingerprint, methods: methods.join(", ") });
            }
            // A server ends the connection after too many keys.
            _ if closed && !refused.is_empty() => {
                return Err(SshError::TooManyKeys { target: target.to_string(), tried: refused.len() });
            }
            Ok(AuthResult::Failure { .. }) => {}
            // An agent may refuse to sign, as its user wants it.
            Err(error @ SshError::Agent { .. }) if !closed => tracing::debug!(%error, "the agent did not sign"),
            Err(error) => return Err(error),
        }
        refused.push(key.named());
    }
    Err(SshError::LoginRefused { target: target.to_string(), keys: refused, left_out, hint })
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
        let limit = Duration::from_secs(3);
        let target = SshTarget { user: "u".to_owned(), host: host.to_owned(), port };
        let dir = tempfile::tempdir().unwrap();
        let policy = HostKeyPolicy::KnownHosts { file: dir.path().join("known_hosts"), pin_first: true };
        let options = ConnectOptions { limit, attempt_limit: limit, ..ConnectOptions::default() };
        Session::connect(&target, &KeyPair::generate("").unwrap(), &policy, options).await.unwrap_err()
    }

    #[test]
    fn only_a_machine_that_boots_is_tried_again_after_it_refused() {
        let failed = |kind: io::ErrorKind| SshError::Connect { endpoint: "web:22".to_owned(), source: kind.into() };
        let (plain, boots) = (ConnectOptions::default(), ConnectOptions::booting(Duration::from_secs(60)));
        let (local, at_once) = (ConnectOptions::on_this_computer(), Duration::ZERO);
        for kind in [io::ErrorKind::ConnectionRefused, io::ErrorKind::HostUnreachable] {
            assert!(!plain.tries_again(&failed(kind), at_once) && boots.tries_again(&failed(kind), at_once), "{kind}");
            assert!(
                local.tries_again(&failed(kind), at_once) && !local.tries_again(&failed(kind), SETTLES_WITHIN),
                "{kind}"
            );
        }
        // It may only be slow.
        assert!(plain.tries_again(&failed(io::ErrorKind::TimedOut), at_once));
        let refused =
            SshError::LoginRefused { target: String::new(), keys: Vec::new(), left_out: Vec::new(), hint: None };
        assert!(!plain.tries_again(&refused, at_once) && boots.tries_again(&refused, at_once));
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
