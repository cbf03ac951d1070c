//! SSH connections to machines, and the failures of connecting.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use disco_provider::{
    Machine, SshTarget,
    ssh::{ConnectOptions, Hop, HostKeyPolicy, Login, Session, SshConfig, SshError},
};

use super::OperatorKey;
use crate::{error::Failure, exit::ExitStatus, project::Project};

/// The file of host keys in the project's state.
const KNOWN_HOSTS: &str = "known_hosts";

/// The SSH connections of one command, one per machine: a server may lock out a computer that connects too often.
pub(crate) struct Sessions {
    config: SshConfig,
    open: Mutex<HashMap<String, Session>>,
    /// Connections to jump hosts, by the chain that leads there.
    jumps: tokio::sync::Mutex<HashMap<String, Arc<tokio::sync::Mutex<Jump>>>>,
}

/// A connection to a jump host: none yet, or what came of the last attempt. A failed attempt is not repeated, as otherwise each
/// machine behind it would wait for its time limit once more.
type Jump = Option<Result<Session, Arc<SshError>>>;

impl Default for Sessions {
    fn default() -> Self {
        Self { config: SshConfig::of_user(), open: Mutex::default(), jumps: tokio::sync::Mutex::default() }
    }
}

impl Sessions {
    /// The operator's SSH configuration.
    pub(crate) fn config(&self) -> &SshConfig {
        &self.config
    }

    /// Returns the open connection to a machine, or opens one, through jump hosts where the operator's SSH configuration names some.
    pub(crate) async fn connect(
        &self,
        project: &Project,
        machine: &Machine,
        key: &OperatorKey,
        options: ConnectOptions,
    ) -> Result<Session, SshError> {
        let target = machine.ssh.to_string();
        let known = self.open().get(&target).filter(|session| !session.is_closed()).cloned();
        if let Some(session) = known {
            return Ok(session);
        }
        let known_hosts = project.state().file(KNOWN_HOSTS);
        let way = key.way(&self.config, machine, &known_hosts)?;
        let jumps = way.route.map(|route| route.jumps).unwrap_or_default();
        let jump = self.jump(&jumps, &known_hosts, &machine.ssh, options).await?;
        let connected = Session::connect_through(jump.as_ref(), &machine.ssh, &way.login, &way.policy, options).await;
        let session = connected?;
        self.open().insert(target, session.clone());
        Ok(session)
    }

    /// The connection to the last of these jump hosts, which lead to `target`.
    async fn jump(
        &self,
        jumps: &[Hop],
        known_hosts: &Path,
        target: &SshTarget,
        options: ConnectOptions,
    ) -> Result<Option<Session>, SshError> {
        let mut last: Option<Session> = None;
        let mut chain = String::new();
        for hop in jumps {
            chain += &format!("{},", hop.target);
            let place = Arc::clone(self.jumps.lock().await.entry(chain.clone()).or_default());
            // Held while it connects: all machines behind it wait for the one connection.
            let mut place = place.lock().await;
            let connected = match place.clone() {
                Some(Err(error)) => Err(error),
                Some(Ok(session)) if !session.is_closed() => Ok(session),
                _ => {
                    let policy = HostKeyPolicy::WithUser {
                        policy: Box::new(HostKeyPolicy::KnownHosts {
                            file: known_hosts.to_path_buf(),
                            pin_first: true,
                        }),
                        files: hop.known_hosts.clone(),
                        alias: hop.key_alias.clone(),
                    };
                    let login = Login::from(hop);
                    let connected =
                        Session::connect_through(last.as_ref(), &hop.target, &login, &policy, options).await;
                    connected.map_err(Arc::new)
                }
            };
            *place = Some(connected.clone());
            last = Some(connected.map_err(|source| SshError::Jump {
                endpoint: target.endpoint(),
                jump: hop.target.to_string(),
                source,
            })?);
        }
        Ok(last)
    }

    fn open(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Converts an SSH error to a failure with the matching exit code, and the next command.
pub(crate) fn ssh_failure(error: &SshError) -> Failure {
    let text = error.to_string();
    let (text, hint) = text.split_once("\nhint: ").map_or((text.as_str(), None), |(text, hint)| (text, Some(hint)));
    let failure = Failure::new(status_of(error), text);
    if let SshError::Jump { source, .. } = error {
        let inner = ssh_failure(source);
        let failure = inner.causes().iter().fold(failure.cause(inner.message()), |failure, cause| failure.cause(cause));
        return match inner.next_step() {
            Some(hint) => failure.hint(hint),
            None => failure,
        };
    }
    let failure = match std::error::Error::source(error) {
        Some(source) => failure.because(source),
        None => failure,
    };
    match (hint, error) {
        (Some(hint), _) => failure.hint(hint),
        (None, SshError::LoginRefused { target, .. }) => {
            failure.hint(format!("`ssh-copy-id` adds your key to {target}; `disco doctor` tries every host"))
        }
        (None, SshError::Connect { .. } | SshError::Unresolved { .. } | SshError::NotForwarded { .. }) => {
            failure.hint("check its address and port, and whether its SSH server runs; `disco doctor` tries every host")
        }
        _ => failure,
    }
}

fn status_of(error: &SshError) -> ExitStatus {
    match error {
        SshError::LoginRefused { .. }
        | SshError::NoKey { .. }
        | SshError::TooManyKeys { .. }
        | SshError::Agent { .. }
        | SshError::Unconfirmed { .. }
        | SshError::SecondFactor { .. }
        | SshError::HostKeyChanged { .. }
        | SshError::HostKeyRevoked { .. }
        | SshError::HostKeyUnknown { .. } => ExitStatus::Denied,
        SshError::Unresolved { .. }
        | SshError::Connect { .. }
        | SshError::Closed { .. }
        | SshError::NotForwarded { .. }
        | SshError::NoAnswer { .. } => ExitStatus::Unreachable,
        SshError::KeyFile { .. }
        | SshError::KeyPermissions { .. }
        | SshError::KeyEncrypted { .. }
        | SshError::KeyFormat { .. }
        | SshError::Config(_) => ExitStatus::Usage,
        SshError::Jump { source, .. } => status_of(source),
        _ => ExitStatus::Failed,
    }
}
