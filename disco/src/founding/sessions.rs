//! SSH connections to machines, and the failures of connecting.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use disco_provider::{
    Machine,
    ssh::{ConnectOptions, HostKeyPolicy, KeyPair, Session, SshError},
};

use crate::{error::Failure, exit::ExitStatus};

/// The SSH connections of one command, one per machine: a server may lock out a computer that connects too often.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<HashMap<String, Session>>);

impl Sessions {
    /// Returns the open connection to a machine, or opens one.
    pub(crate) async fn connect(
        &self,
        machine: &Machine,
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

/// Converts an SSH error to a failure with the matching exit code.
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
