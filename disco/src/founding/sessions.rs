//! SSH connections to machines, and the reason why a machine has no connection.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use disco_provider::{
    Instance,
    ssh::{ConnectOptions, HostKeyPolicy, KeyPair, Session, SshError},
};

use crate::{error::Failure, exit::ExitStatus};

/// Connections of one command, one for each machine: a server counts them, and may answer many by keeping this computer out.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<HashMap<String, Session>>);

impl Sessions {
    /// The connection to a machine that is there already, or a new one.
    pub(crate) async fn connect(
        &self,
        machine: &Instance,
        key: &KeyPair,
        policy: &HostKeyPolicy,
        options: ConnectOptions,
    ) -> Result<Session, SshError> {
        let target = machine.ssh.to_string();
        let known = self.open().get(&target).filter(|session| !session.is_closed()).cloned();
        if let Some(session) = known {
            return Ok(session);
        }
        let session = Session::connect(&machine.ssh, key, policy, options).await?;
        self.open().insert(target, session.clone());
        Ok(session)
    }

    fn open(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A refusal of SSH, with the exit code that fits.
pub(crate) fn ssh_failure(error: &SshError) -> Failure {
    let status = match error {
        SshError::LoginRefused { .. }
        | SshError::SecondFactor { .. }
        | SshError::HostKeyChanged { .. }
        | SshError::HostKeyUnknown { .. } => ExitStatus::Denied,
        SshError::Unresolved { .. }
        | SshError::Connect { .. }
        | SshError::Closed { .. }
        | SshError::NoAnswer { .. } => ExitStatus::Unreachable,
        SshError::KeyFile { .. } | SshError::KeyPermissions { .. } | SshError::KeyFormat { .. } => ExitStatus::Usage,
        _ => ExitStatus::Failed,
    };
    let failure = Failure::new(status, error.to_string());
    match std::error::Error::source(error) {
        Some(source) => failure.because(source),
        None => failure,
    }
}
