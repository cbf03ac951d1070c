//! The machines that the client starts: the first ones of a cluster.

use disco_provider::{Machine, MachineState, ProgressSink, StartRequest};
use disco_runtime_js::cluster::MachineInfo;
use serde_json::Value;

use super::{Founder, founder::provider_failure, install::find_binaries};
use crate::{
    error::{Failure, Outcome},
    project::{ClusterRecord, RequestedMachine},
};

impl Founder {
    /// Starts a machine, or finds the one that the same call of an earlier run started.
    pub(crate) async fn start_instance(&self, options: Value) -> Outcome<MachineInfo> {
        let number = self.next_start();
        let name = format!("{}-{number}", self.name);
        let record = self.record()?;
        let token = start_token(&record, number);
        let known = record.machines.iter().find(|machine| machine.token == token).cloned();
        let task = self.context.printer.task(&name);
        task.state("starting");
        if record.founded
            && let Some(gone) = self.gone(&known).await?
        {
            // The leader removed or replaced it: starting it again would create a second founder.
            task.done(&format!("{gone}: left to the leader to replace"));
            return Ok(not_there(name, MachineState::Terminated));
        }
        if known.is_none() {
            let requested =
                RequestedMachine { token: token.clone(), options: options.clone(), id: None, control: None };
            self.update(|record| record.machines.push(requested))?;
        }
        // A machine of another architecture could not run the binaries.
        let architecture = match self.provider.capabilities().boots {
            true => Some(find_binaries(self.project.root()).await?.discod.architecture()),
            false => None,
        };
        let request = StartRequest {
            token: token.clone(),
            cluster_id: Some(record.id.clone()),
            name: name.clone(),
            options,
            authorized_keys: self.authorized_keys().await?,
            known: known_machines(&record),
            architecture,
            leaving: std::collections::BTreeSet::new(),
            avoid: std::collections::BTreeSet::new(),
            progress: ProgressSink::new(task.reporter()),
        };
        match self.provider.start(request).await {
            Ok(machine) => {
                self.update(|record| {
                    if let Some(entry) = record.machines.iter_mut().find(|entry| entry.token == token) {
                        entry.id = Some(machine.id.clone());
                        entry.control = Some(machine.control_address);
                    }
                })?;
                task.done(&format!("machine {} runs at {}", machine.id, machine.ssh.endpoint()));
                Ok(machine_info(machine))
            }
            Err(error) => {
                task.failed("not started");
                let failure = provider_failure(&error);
                let hint = failure.next_step().map(str::to_owned);
                let failure =
                    Failure::new(failure.status(), format!("cannot start the machine `{name}`")).because(&error);
                Err(match hint {
                    Some(hint) => failure.hint(hint),
                    None => failure,
                })
            }
        }
    }

    /// Why a machine of a founded cluster must not be started; `None` if it exists and may only be down.
    pub(super) async fn gone(&self, known: &Option<RequestedMachine>) -> Outcome<Option<&'static str>> {
        let Some(id) = known.as_ref().and_then(|machine| machine.id.as_deref()) else {
            return Ok(Some("not part of this cluster"));
        };
        let listed = self.provider.list().await.map_err(|error| provider_failure(&error))?;
        let found = listed.iter().find(|machine| machine.id == id).map(|machine| machine.state);
        Ok(match found {
            Some(MachineState::Pending | MachineState::Running | MachineState::Stopped) => None,
            Some(MachineState::Terminated | MachineState::Gone) | None => Some("machine is gone"),
        })
    }
}

/// The token of the script's n-th call of `start_instance`, which requests the same machine in each run.
pub(super) fn start_token(record: &ClusterRecord, number: usize) -> String {
    format!("{}-{}-first-{number}", record.name, &record.id[..8])
}

/// Describes a machine for the script.
pub(super) fn machine_info(machine: Machine) -> MachineInfo {
    let address = machine.public_address.unwrap_or(machine.control_address.ip());
    MachineInfo {
        id: machine.id,
        name: machine.name,
        address: Some(address.to_string()),
        state: machine.state.as_str().to_owned(),
    }
}

/// Describes a machine that is only planned, or no longer exists.
pub(super) fn not_there(name: String, state: MachineState) -> MachineInfo {
    MachineInfo { id: String::new(), name, address: None, state: state.as_str().to_owned() }
}

/// The hosts already in use, for a provider of given hosts.
pub(super) fn known_machines(record: &ClusterRecord) -> std::collections::BTreeMap<String, String> {
    record.machines.iter().filter_map(|machine| Some((machine.id.clone()?, machine.token.clone()))).collect()
}
