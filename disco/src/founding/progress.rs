use disco_provider::install::{InstallError, InstallProgress, Step};

use super::sessions::ssh_failure;
use crate::{error::Failure, exit::ExitStatus, printer::Task};

/// Shows an installation as a progress line.
pub(crate) struct TaskProgress<'a> {
    pub(crate) task: &'a Task,
}

impl InstallProgress for TaskProgress<'_> {
    fn step(&self, step: Step) {
        match step {
            Step::Checking => self.task.state("inspecting the machine"),
            Step::Uploading { name } => self.task.state(&format!("sending {name}")),
            Step::Identity => self.task.state("creating its identity"),
            Step::Starting => self.task.state("starting"),
            // The caller shows the outcome.
            Step::Done => {}
        }
    }

    fn sent(&self, name: &'static str, sent: u64, total: u64) {
        self.task.bytes(&format!("sending {name}"), sent, total);
    }
}

/// Converts an installation error to a failure with the matching exit code.
pub(crate) fn install_failure(machine: &str, error: &InstallError) -> Failure {
    let status = match error {
        InstallError::Ssh(error) => ssh_failure(error).status(),
        InstallError::BinaryMissing { .. }
        | InstallError::DanglingSymlink { .. }
        | InstallError::BinaryUnreadable { .. }
        | InstallError::NotElf { .. }
        | InstallError::WrongArchitecture { .. }
        | InstallError::NoInterpreter { .. } => ExitStatus::Usage,
        InstallError::Refused { .. } => ExitStatus::Guarded,
        _ => ExitStatus::Failed,
    };
    let failure = Failure::new(status, format!("cannot install `{machine}`")).because(error);
    match error.refusal() {
        Some(refusal) => failure.hint(refusal.hint()),
        None => failure,
    }
}
