//! The machines that the client starts: the first ones of a cluster.

use disco_provider::{Instance, InstanceState, ProgressSink, StartRequest};
use disco_runtime_js::cluster::InstanceInfo;
use serde_json::Value;

use super::{Founder, founder::provider_failure, install::find_binaries};
use crate::{
    error::{Failure, Outcome},
    project::{ClusterRecord, InstanceRecord},
};

impl Founder {
    /// Starts a machine, or finds the one that the same call of an earlier run started.
    pub(crate) async fn start_instance(&self, options: Value) -> Outcome<InstanceInfo> {
        let number = self.next_start();
        if let Some(planning) = &self.planning {
            return self.plan_instance(planning, number, options).await;
        }
        let name = format!("{}-{number}", self.name);
        let record = self.record()?;
        let token = start_token(&record, number);
        let known = record.instances.iter().find(|instance| instance.token == token).cloned();
        let task = self.context.printer.task(&name);
        task.state("starting");
        if record.founded
            && let Some(gone) = self.gone(&known).await?
        {
            // The leader removed or replaced it: starting it again would create a second founder.
            task.done(&format!("{gone}: left to the leader to replace"));
            return Ok(not_there(name, InstanceState::Terminated));
        }
        if known.is_none() {
            let requested = InstanceRecord { token: token.clone(), options: options.clone(), id: None, control: None };
            self.update(|record| record.instances.push(requested))?;
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
            authorized_keys: self.authorized_keys()?,
            known: known_instances(&record),
            architecture,
            leaving: std::collections::BTreeSet::new(),
            avoid: std::collections::BTreeSet::new(),
            progress: ProgressSink::new(task.reporter()),
        };
        match self.provider.start(request).await {
            Ok(instance) => {
                self.update(|record| {
                    if let Some(entry) = record.instances.iter_mut().find(|entry| entry.token == token) {
                        entry.id = Some(instance.id.clone());
                        entry.control = Some(instance.control_address);
                    }
                })?;
                task.done(&format!("machine {} runs at {}", instance.id, instance.ssh.endpoint()));
                Ok(instance_info(instance))
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
    pub(super) async fn gone(&self, known: &Option<InstanceRecord>) -> Outcome<Option<&'static str>> {
        let Some(id) = known.as_ref().and_then(|instance| instance.id.as_deref()) else {
            return Ok(Some("not part of this cluster"));
        };
        let listed = self.provider.list().await.map_err(|error| provider_failure(&error))?;
        let found = listed.iter().find(|instance| instance.id == id).map(|instance| instance.state);
        Ok(match found {
            Some(InstanceState::Pending | InstanceState::Running | InstanceState::Stopped) => None,
            Some(InstanceState::Terminated | InstanceState::Gone) | None => Some("machine is gone"),
        })
    }
}

/// The token of the script's n-th call of `start_instance`, which requests the same machine in each run.
pub(super) fn start_token(record: &ClusterRecord, number: usize) -> String {
    format!("{}-{}-first-{number}", record.name, &record.id[..8])
}

/// Describes a machine for the script.
pub(super) fn instance_info(instance: Instance) -> InstanceInfo {
    let address = instance.public_address.unwrap_or(instance.control_address.ip());
    InstanceInfo {
        id: instance.id,
        name: instance.name,
        address: Some(address.to_string()),
        state: instance.state.as_str().to_owned(),
    }
}

/// Describes a machine that is only planned, or no longer exists.
pub(super) fn not_there(name: String, state: InstanceState) -> InstanceInfo {
    InstanceInfo { id: String::new(), name, address: None, state: state.as_str().to_owned() }
}

/// The hosts already in use, for a provider of given hosts.
pub(super) fn known_instances(record: &ClusterRecord) -> std::collections::BTreeMap<String, String> {
    record.instances.iter().filter_map(|instance| Some((instance.id.clone()?, instance.token.clone()))).collect()
}
