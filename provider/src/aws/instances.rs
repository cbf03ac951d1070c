//! Machines: finding them, waiting for them, ending them.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use aws_sdk_ec2::types::{Filter, Instance as Ec2Instance, InstanceLifecycleType, InstanceStateName};
use backon::{ExponentialBuilder, Retryable};

use super::clients::Clients;
use super::error::CloudError;
use super::names::{HOST_KEY, NAME, Names, TOKEN, filter, tag_value};
use super::prices;
use crate::start_request::ProgressSink;
use crate::{Instance, InstanceState, SshTarget, Usd};

/// The port of `discod` on every machine.
const CONTROL_PORT: u16 = 5080;
/// The port of a machine's SSH server.
const SSH_PORT: u16 = 22;
/// How long a machine may take to run after the request.
pub(super) const RUN_LIMIT: Duration = Duration::from_secs(300);
/// States of machines that exist and run, or can run again.
const PRESENT: [InstanceStateName; 4] =
    [InstanceStateName::Pending, InstanceStateName::Running, InstanceStateName::Stopping, InstanceStateName::Stopped];

/// From where machines are reached: by the operator from outside, or by a node from inside the network.
#[derive(Debug, Clone)]
pub(super) struct Viewer {
    pub(super) on_node: bool,
    pub(super) user: String,
}

/// The cluster's present machines, ordered by age.
pub(super) async fn present(clients: &Clients, names: &Names) -> Result<Vec<Ec2Instance>, CloudError> {
    let states = PRESENT.iter().map(|state| state.as_str().to_owned());
    describe(clients, vec![names.filter(), filter("instance-state-name", states)]).await
}

/// All present machines of the region, whether or not they are the cluster's.
pub(super) async fn all_present(clients: &Clients) -> Result<Vec<Ec2Instance>, CloudError> {
    let states = PRESENT.iter().map(|state| state.as_str().to_owned());
    describe(clients, vec![filter("instance-state-name", states)]).await
}

/// The cluster's machines with this name, including those that ended recently.
pub(super) async fn named(clients: &Clients, names: &Names, name: &str) -> Result<Vec<Ec2Instance>, CloudError> {
    describe(clients, vec![names.filter(), filter(&format!("tag:{NAME}"), [name.to_owned()])]).await
}

async fn describe(clients: &Clients, filters: Vec<Filter>) -> Result<Vec<Ec2Instance>, CloudError> {
    let request = clients.ec2.describe_instances().set_filters(Some(filters));
    let pages = request.into_paginator().send().collect::<Result<Vec<_>, _>>().await;
    let pages = pages.map_err(CloudError::of("DescribeInstances"))?;
    let reservations = pages.into_iter().flat_map(|page| page.reservations.unwrap_or_default());
    let mut found: Vec<Ec2Instance> =
        reservations.flat_map(|reservation| reservation.instances.unwrap_or_default()).collect();
    found.sort_by_key(|one| (one.launch_time().map_or(0, |time| time.secs()), one.instance_id.clone()));
    Ok(found)
}

pub(super) fn is_present(found: &Ec2Instance) -> bool {
    found.state().and_then(|state| state.name()).is_some_and(|state| PRESENT.contains(state))
}

pub(super) fn token(found: &Ec2Instance) -> Option<&str> {
    tag_value(found.tags(), TOKEN)
}

/// Converts to Disco's type; `None` as long as the machine has no address.
pub(super) fn instance(found: &Ec2Instance, viewer: &Viewer, region: &str) -> Option<Instance> {
    let private: IpAddr = found.private_ip_address()?.parse().ok()?;
    let public: Option<IpAddr> = found.public_ip_address().and_then(|text| text.parse().ok());
    let host = if viewer.on_node { private } else { public.unwrap_or(private) };
    let id = found.instance_id()?.to_owned();
    let tag = |key| tag_value(found.tags(), key).map(str::to_owned);
    Some(Instance {
        name: tag(NAME).unwrap_or_else(|| id.clone()),
        token: tag(TOKEN).unwrap_or_default(),
        state: state(found),
        ssh: SshTarget { user: viewer.user.clone(), host: host.to_string(), port: SSH_PORT },
        control_address: SocketAddr::new(private, CONTROL_PORT),
        listen: None,
        public_address: public,
        host_key: None,
        given_host_key: tag(HOST_KEY),
        pid: None,
        zone: found.placement().and_then(|placement| placement.availability_zone()).map(str::to_owned),
        price: price(found, region),
        id,
    })
}

/// Its price per hour: of a stopped machine only the disk is billed.
fn price(found: &Ec2Instance, region: &str) -> Option<Usd> {
    if state(found) == InstanceState::Stopped {
        return Some(Usd::ZERO);
    }
    let spot = found.instance_lifecycle() == Some(&InstanceLifecycleType::Spot);
    found.instance_type().filter(|_| !spot).and_then(|kind| prices::on_demand(region, kind.as_str()))
}

fn state(found: &Ec2Instance) -> InstanceState {
    match found.state().and_then(|state| state.name()) {
        Some(InstanceStateName::Pending) => InstanceState::Pending,
        Some(InstanceStateName::Running) => InstanceState::Running,
        Some(InstanceStateName::Stopping | InstanceStateName::Stopped) => InstanceState::Stopped,
        _ => InstanceState::Terminated,
    }
}

/// Waits until a machine runs, and starts it if it was stopped.
pub(super) async fn running(
    clients: &Clients,
    id: &str,
    viewer: &Viewer,
    progress: &ProgressSink,
) -> Result<Instance, CloudError> {
    let look = || async {
        let found = find(clients, id).await?;
        let name = found.state().and_then(|state| state.name()).cloned();
        progress.tell(&format!("machine {id} is {}", name.as_ref().map_or("requested", |name| name.as_str())));
        match name {
            Some(InstanceStateName::Running) => {
                if let Some(instance) = instance(&found, viewer, &clients.region) {
                    return Ok(instance);
                }
            }
            Some(InstanceStateName::Stopped) => {
                let started = clients.ec2.start_instances().instance_ids(id).send().await;
                started.map_err(CloudError::of("StartInstances"))?;
            }
            Some(InstanceStateName::ShuttingDown | InstanceStateName::Terminated) => {
                let reason = found.state_reason().and_then(|reason| reason.message());
                let reason = reason.unwrap_or("the service gave no reason").to_owned();
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

async fn find(clients: &Clients, id: &str) -> Result<Ec2Instance, CloudError> {
    // By a filter: EC2 is eventually consistent, and an unknown id would be an error.
    let found = describe(clients, vec![filter("instance-id", [id.to_owned()])]).await?;
    let late = || CloudError::Late { what: format!("machine {id} was not listed"), limit: RUN_LIMIT };
    found.into_iter().next().ok_or_else(late)
}

/// Stops a machine. It is no error if it is already stopping.
pub(super) async fn stop(clients: &Clients, id: &str) -> Result<(), CloudError> {
    clients.ec2.stop_instances().instance_ids(id).send().await.map_err(CloudError::of("StopInstances"))?;
    Ok(())
}

/// Terminates a machine. It is no error if it does not exist.
pub(super) async fn terminate(clients: &Clients, id: &str) -> Result<(), CloudError> {
    let ended = clients.ec2.terminate_instances().instance_ids(id).send().await;
    match ended.map_err(CloudError::of("TerminateInstances")) {
        Err(error) if error.code() != "InvalidInstanceID.NotFound" => Err(error),
        _ => Ok(()),
    }
}
