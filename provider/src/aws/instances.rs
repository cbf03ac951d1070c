//! Machines: finding them, waiting for them, ending them.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};

use super::api::{Filter, Instance, InstanceState};
use super::clients::Clients;
use super::error::CloudError;
use super::names::{HOST_KEY, NAME, Names, TOKEN, filter, tag_value};
use super::prices;
use crate::start_request::ProgressSink;
use crate::{Machine, MachineState, SshTarget, Usd};

/// The port of `discod` on every machine.
const CONTROL_PORT: u16 = 5080;
/// The port of a machine's SSH server.
const SSH_PORT: u16 = 22;
/// How long a machine may take to run after the request.
pub(super) const RUN_LIMIT: Duration = Duration::from_secs(300);
/// States of machines that exist and run, or can run again.
const PRESENT: [InstanceState; 4] =
    [InstanceState::Pending, InstanceState::Running, InstanceState::Stopping, InstanceState::Stopped];

/// From where machines are reached: by the operator from outside, or by a node from inside the network.
#[derive(Debug, Clone)]
pub(super) struct Viewer {
    pub(super) on_node: bool,
    pub(super) user: String,
}

/// The cluster's present machines, ordered by age.
pub(super) async fn present(clients: &Clients, names: &Names) -> Result<Vec<Instance>, CloudError> {
    let states = PRESENT.iter().map(|state| state.as_str().to_owned());
    describe(clients, &[names.filter(), filter("instance-state-name", states)]).await
}

/// All present machines of the region, whether or not they are the cluster's.
pub(super) async fn all_present(clients: &Clients) -> Result<Vec<Instance>, CloudError> {
    let states = PRESENT.iter().map(|state| state.as_str().to_owned());
    describe(clients, &[filter("instance-state-name", states)]).await
}

/// The cluster's machines with this name, including those that ended recently.
pub(super) async fn named(clients: &Clients, names: &Names, name: &str) -> Result<Vec<Instance>, CloudError> {
    describe(clients, &[names.filter(), filter(&format!("tag:{NAME}"), [name.to_owned()])]).await
}

async fn describe(clients: &Clients, filters: &[Filter]) -> Result<Vec<Instance>, CloudError> {
    let mut found = clients.ec2.describe_instances(filters).await?;
    found.sort_by_key(|one| (one.launch_time.unwrap_or_default(), one.instance_id.clone()));
    Ok(found)
}

pub(super) fn is_present(found: &Instance) -> bool {
    found.state.as_ref().is_some_and(|state| PRESENT.contains(state))
}

pub(super) fn token(found: &Instance) -> Option<&str> {
    tag_value(&found.tags, TOKEN)
}

/// Converts to Disco's type; `None` as long as the machine has no address.
pub(super) fn machine(found: &Instance, viewer: &Viewer, region: &str) -> Option<Machine> {
    let private: IpAddr = found.private_ip_address.as_ref()?.parse().ok()?;
    let public: Option<IpAddr> = found.public_ip_address.as_ref().and_then(|text| text.parse().ok());
    let host = if viewer.on_node { private } else { public.unwrap_or(private) };
    let id = found.instance_id.clone()?;
    let tag = |key| tag_value(&found.tags, key).map(str::to_owned);
    Some(Machine {
        name: tag(NAME).unwrap_or_else(|| id.clone()),
        token: tag(TOKEN).unwrap_or_default(),
        state: state(found),
        ssh: SshTarget { user: viewer.user.clone(), host: host.to_string(), port: SSH_PORT },
        ssh_name: None,
        control_address: SocketAddr::new(private, CONTROL_PORT),
        listen: None,
        public_address: public,
        host_key: None,
        given_host_key: tag(HOST_KEY),
        pid: None,
        zone: found.availability_zone.clone(),
        price: price(found, region),
        id,
    })
}

/// Its price per hour: of a stopped machine only the disk is billed.
fn price(found: &Instance, region: &str) -> Option<Usd> {
    if state(found) == MachineState::Stopped {
        return Some(Usd::ZERO);
    }
    let spot = found.lifecycle.as_deref() == Some("spot");
    found.instance_type.as_deref().filter(|_| !spot).and_then(|kind| prices::on_demand(region, kind))
}

fn state(found: &Instance) -> MachineState {
    match found.state {
        Some(InstanceState::Pending) => MachineState::Pending,
        Some(InstanceState::Running) => MachineState::Running,
        Some(InstanceState::Stopping | InstanceState::Stopped) => MachineState::Stopped,
        _ => MachineState::Terminated,
    }
}

/// Waits until a machine runs, and starts it if it was stopped.
pub(super) async fn running(
    clients: &Clients,
    id: &str,
    viewer: &Viewer,
    progress: &ProgressSink,
) -> Result<Machine, CloudError> {
    let look = || async {
        let found = find(clients, id).await?;
        progress.tell(&format!("machine {id} is {}", found.state.as_ref().map_or("requested", InstanceState::as_str)));
        match found.state {
            Some(InstanceState::Running) => {
                if let Some(machine) = machine(&found, viewer, &clients.region) {
                    return Ok(machine);
                }
            }
            Some(InstanceState::Stopped) => clients.ec2.start_instances(id).await?,
            Some(InstanceState::ShuttingDown | InstanceState::Terminated) => {
                let reason = found.state_reason.unwrap_or_else(|| "the service gave no reason".to_owned());
                return Err(CloudError::Ended { id: id.to_owned(), reason });
            }
            _ => {}
        }
        Err(CloudError::Late { what: format!("machine {id} did not start"), limit: RUN_LIMIT })
    };
    // The limit ends the wait; a pause is at most a few seconds, as a machine usually runs after ten.
    let pauses = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(3))
        .with_factor(1.5)
        .with_jitter()
        .with_total_delay(Some(RUN_LIMIT))
        .without_max_times();
    look.retry(pauses).when(|error| matches!(error, CloudError::Late { .. })).await
}

async fn find(clients: &Clients, id: &str) -> Result<Instance, CloudError> {
    // By a filter: EC2 is eventually consistent, and an unknown id would be an error.
    let found = describe(clients, &[filter("instance-id", [id.to_owned()])]).await?;
    let late = || CloudError::Late { what: format!("machine {id} was not listed"), limit: RUN_LIMIT };
    found.into_iter().next().ok_or_else(late)
}

/// Stops a machine. It is no error if it is already stopping.
pub(super) async fn stop(clients: &Clients, id: &str) -> Result<(), CloudError> {
    clients.ec2.stop_instances(id).await
}

/// Terminates a machine. It is no error if it does not exist.
pub(super) async fn terminate(clients: &Clients, id: &str) -> Result<(), CloudError> {
    match clients.ec2.terminate_instances(id).await {
        Err(error) if error.code() != "InvalidInstanceID.NotFound" => Err(error),
        _ => Ok(()),
    }
}
