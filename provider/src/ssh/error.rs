//! Errors of SSH.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

/// An error of SSH.
#[derive(Debug, Error)]
pub enum SshError {
    /// A key file cannot be read.
    #[error("cannot read the key `{}`", path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others can read the private key.
    #[error(
        "the private key `{}` can be read by others (mode {mode:04o}); run `chmod 600 {}`",
        path.display(),
        super::quote(&path.to_string_lossy())
    )]
    KeyPermissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The private key is protected by a passphrase.
    #[error(
        "the private key `{}` is protected by a passphrase, which only an agent may know\nhint: {}",
        path.display(),
        super::login::add_to_agent(path, std::env::var_os("SSH_AUTH_SOCK").is_some())
    )]
    KeyEncrypted {
        /// The file.
        path: PathBuf,
    },
    /// The file is not a key, or a key of an unsupported kind.
    #[error(
        "`{}` is not a key that Disco can use: {reason}; make one with `ssh-keygen -t ed25519 -N '' -f FILE`",
        path.display()
    )]
    KeyFormat {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The two halves belong to different pairs.
    #[error("`{}` is not the public key of `{}`", public.display(), private.display())]
    KeyMismatch {
        /// The private key's file.
        private: PathBuf,
        /// The public key's file.
        public: PathBuf,
    },
    /// A host's name has no address.
    #[error("cannot resolve `{host}`")]
    Unresolved {
        /// The name.
        host: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The connection failed.
    #[error("cannot connect to {endpoint}{}", why_not(source.kind()))]
    Connect {
        /// `host:port`.
        endpoint: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No connection within the time limit.
    #[error("{endpoint} accepts connections, but did not answer SSH within {} s", limit.as_secs_f32())]
    NoAnswer {
        /// `host:port`.
        endpoint: String,
        /// The time limit.
        limit: Duration,
    },
    /// The server closed the connection before the login.
    #[error(
        "{endpoint} closed the connection before logging in; it may block this computer's address by a rule, or for some time \
         after failed logins (`PerSourcePenalties`, `MaxStartups` in its `sshd_config`, fail2ban): try again in a minute"
    )]
    Closed {
        /// `host:port`.
        endpoint: String,
        /// The error of the SSH library.
        #[source]
        source: russh::Error,
    },
    /// The server has no host key of a supported kind.
    #[error(
        "{endpoint} has no host key of a kind that Disco supports: it has {theirs}, Disco supports {ours}\nhint: on that machine, \
         run `ssh-keygen -A` to make the missing keys, then restart its SSH server"
    )]
    HostKeyKinds {
        /// `host:port`.
        endpoint: String,
        /// The kinds that the server offers.
        theirs: String,
        /// The supported kinds.
        ours: String,
    },
    /// The server accepts the key, but requires more.
    #[error(
        "{target} accepts the key {fingerprint}, but requires a second factor ({methods}), which no program can provide\nhint: let \
         this user log in with the key alone: `Match User` with `AuthenticationMethods publickey` in its `sshd_config`"
    )]
    SecondFactor {
        /// `user@host:port`.
        target: String,
        /// The fingerprint of our key.
        fingerprint: String,
        /// The required methods.
        methods: String,
    },
    /// The server shows a different key than before.
    #[error(
        "the host key of {endpoint} has changed: expected {expected}, got {offered}; \
         someone may intercept the connection, or the machine was made anew. {advice}"
    )]
    HostKeyChanged {
        /// `host:port`.
        endpoint: String,
        /// The fingerprint of the key that is known.
        expected: String,
        /// The fingerprint of the key that the server showed.
        offered: String,
        /// How to accept it on purpose.
        advice: String,
    },
    /// The server's key is unknown, and unknown ones are not accepted.
    #[error("unknown host key of {endpoint} ({offered}); add it to `{}`", file.display())]
    HostKeyUnknown {
        /// `host:port`.
        endpoint: String,
        /// The fingerprint of the key that the server showed.
        offered: String,
        /// The file of known keys.
        file: PathBuf,
    },
    /// The user has revoked the server's key.
    #[error("the host key of {endpoint} ({offered}) is revoked by a line `@revoked` of your known hosts")]
    HostKeyRevoked {
        /// `host:port`.
        endpoint: String,
        /// The fingerprint of the key that the server showed.
        offered: String,
    },
    /// The server offers a certificate, which Disco cannot verify.
    #[error("{endpoint} offers a certificate instead of a host key")]
    HostCertificate {
        /// `host:port`.
        endpoint: String,
    },
    /// The file of known keys cannot be used.
    #[error("cannot {action} the known host keys in `{}`", path.display())]
    KnownHosts {
        /// The operation.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The server refused the keys.
    #[error("{target} refused the key{} {}{}", if keys.len() > 1 { "s" } else { "" }, keys.join(", "), and_left_out(left_out, hint))]
    LoginRefused {
        /// `user@host:port`.
        target: String,
        /// The fingerprints of our keys, each with its place.
        keys: Vec<String>,
        /// Why other keys were not tried, in words.
        left_out: Vec<String>,
        /// A command that adds another key.
        hint: Option<String>,
    },
    /// There is no key to log in with.
    #[error(
        "no key to log in to {target}{}",
        if left_out.is_empty() && hint.is_none() {
            ": neither an agent (`SSH_AUTH_SOCK`) nor a file in `~/.ssh` has one\nhint: `ssh-keygen -t ed25519`, then `ssh-copy-id` to the machine"
                .to_owned()
        } else {
            and_left_out(left_out, hint)
        }
    )]
    NoKey {
        /// `user@host:port`.
        target: String,
        /// Why keys cannot be used, in words.
        left_out: Vec<String>,
        /// A command that adds a key.
        hint: Option<String>,
    },
    /// The server ended the connection after too many keys.
    #[error(
        "{target} closed the connection after {tried} keys (`MaxAuthTries` in its `sshd_config`)\nhint: name the right key in \
         `~/.ssh/config`, for this host: `IdentityFile FILE` and `IdentitiesOnly yes`"
    )]
    TooManyKeys {
        /// `user@host:port`.
        target: String,
        /// The number of keys that were tried.
        tried: usize,
    },
    /// The agent did not sign.
    #[error("the agent did not sign with {key} for {target}")]
    Agent {
        /// `user@host:port`.
        target: String,
        /// The key.
        key: String,
        /// Why.
        #[source]
        source: Box<russh::AgentAuthError>,
    },
    /// The login did not end in time, while an agent was to sign: its user may have to confirm that.
    #[error(
        "no login to {target} within {} s; a key of the agent may wait to be confirmed or touched\nhint: run the command again, \
         and confirm the use of the key",
        limit.as_secs_f32()
    )]
    Unconfirmed {
        /// `user@host:port`.
        target: String,
        /// The time limit.
        limit: Duration,
    },
    /// The user's configuration cannot be used.
    #[error(transparent)]
    Config(#[from] super::ConfigError),
    /// The connection to a jump host failed.
    #[error("cannot reach {endpoint} through the jump host {jump}")]
    Jump {
        /// The machine behind it, `host:port`.
        endpoint: String,
        /// The jump host, `user@host:port`.
        jump: String,
        /// Why; shared by all machines behind it.
        #[source]
        source: Arc<SshError>,
    },
    /// A jump host made no connection.
    #[error("the jump host {jump} made no connection to {endpoint}: {reason}")]
    NotForwarded {
        /// The machine behind it, `host:port`.
        endpoint: String,
        /// The jump host, `user@host:port`.
        jump: String,
        /// Why, with a hint.
        reason: &'static str,
    },
    /// The connection broke, or the other side violated the protocol.
    #[error("SSH with {endpoint} failed")]
    Protocol {
        /// `host:port`.
        endpoint: String,
        /// Why.
        #[source]
        source: russh::Error,
    },
    /// The server does not run commands.
    #[error("{endpoint} refused to run a command")]
    CommandRefused {
        /// `host:port`.
        endpoint: String,
    },
    /// The connection ended before the command did.
    #[error("the connection to {endpoint} ended while a command was running")]
    Disconnected {
        /// `host:port`.
        endpoint: String,
    },
    /// A command did not end within its time limit.
    #[error("a command on {endpoint} did not end within {} s: `{command}`", limit.as_secs_f32())]
    CommandTimeout {
        /// `host:port`.
        endpoint: String,
        /// The command, shortened.
        command: String,
        /// The time limit.
        limit: Duration,
    },
    /// A command wrote too much output.
    #[error("a command on {endpoint} wrote more than {limit} bytes: `{command}`")]
    TooMuchOutput {
        /// `host:port`.
        endpoint: String,
        /// The command, shortened.
        command: String,
        /// The limit in bytes.
        limit: usize,
    },
    /// The server ran another command than requested, or mixed its own output into the command's.
    #[error(
        "cannot read the answer of {target} ({status}){}; its login shell, or a forced command for this key, changed it. Commands \
         must run in `/bin/sh` there",
        if printed.is_empty() { String::new() } else { format!(": it printed `{printed}`") }
    )]
    Unclear {
        /// `user@host:port`.
        target: String,
        /// How the command ended.
        status: super::Status,
        /// Its output, shortened.
        printed: String,
    },
    /// The input to send cannot be read.
    #[error("cannot read the data to send to {endpoint}")]
    Input {
        /// `host:port`.
        endpoint: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The terminal cannot be used.
    #[error("cannot use the terminal")]
    Terminal(#[source] io::Error),
}

/// Why keys were not tried, and what to do about it.
fn and_left_out(left_out: &[String], hint: &Option<String>) -> String {
    let why: String = left_out.iter().map(|why| format!("; not tried: {why}")).collect();
    match hint {
        Some(hint) => format!("{why}\nhint: {hint}"),
        None => why,
    }
}

/// Why a connection failed, as far as the error of the system shows.
fn why_not(kind: io::ErrorKind) -> &'static str {
    use io::ErrorKind as K;
    match kind {
        K::ConnectionRefused => ": the machine answers, but nothing listens at that port",
        K::HostUnreachable | K::NetworkUnreachable => ": no route to that address from here",
        K::TimedOut => ": no answer; the machine is off, or a firewall drops the packets",
        _ => "",
    }
}

impl SshError {
    /// Whether this is a definite answer of the other side or the network, which only changes if the machine is booting.
    pub(super) fn is_answer(&self) -> bool {
        use io::ErrorKind as K;
        match self {
            Self::Connect { source, .. } => {
                matches!(source.kind(), K::ConnectionRefused | K::HostUnreachable | K::NetworkUnreachable)
            }
            Self::Unresolved { .. } | Self::NotForwarded { .. } => true,
            _ => false,
        }
    }

    /// Whether a machine that is still booting may cause this error.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Connect { source, .. } => !matches!(
                source.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput | io::ErrorKind::AddrNotAvailable
            ),
            Self::NoAnswer { .. } | Self::Unresolved { .. } | Self::Closed { .. } | Self::NotForwarded { .. } => true,
            Self::Protocol { source, .. } => matches!(
                source,
                russh::Error::IO(_) | russh::Error::Disconnect | russh::Error::HUP | russh::Error::ConnectionTimeout
            ),
            _ => false,
        }
    }
}
