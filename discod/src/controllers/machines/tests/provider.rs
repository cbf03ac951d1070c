//! A provider in memory.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use async_trait::async_trait;
use disco_provider::{Capabilities, Machine, MachineState, Pace, Provider, ProviderError, SshTarget, StartRequest};

use super::leader::FakeLeader;
use super::world::State;

/// It starts and ends machines.
pub(super) const CLOUD: Capabilities = Capabilities {
    can_start: true,
    can_stop: true,
    can_terminate: true,
    can_attach_address: true,
    has_roles: true,
    boots: true,
    pace: Pace::Fast,
};

/// Its machines are given.
pub(super) const HOSTS: Capabilities =
    Capabilities { can_start: false, can_terminate: false, can_attach_address: false, has_roles: false, ..CLOUD };

/// A machine `i-NUMBER` that runs.
pub(super) fn machine(number: u64, token: &str) -> Machine {
    let host = format!("10.0.0.{number}");
    Machine {
        id: format!("i-{number}"),
        name: token.to_owned(),
        token: token.to_owned(),
        state: MachineState::Running,
        control_address: format!("{host}:5080").parse().unwrap(),
        ssh: SshTarget { user: "root".to_owned(), host, port: 22 },
        ssh_name: None,
        listen: None,
        public_address: None,
        host_key: None,
        given_host_key: None,
        pid: None,
        zone: None,
        price: None,
    }
}

/// The provider, as one leader uses it.
pub(super) struct FakeProvider(pub FakeLeader);

impl fmt::Debug for FakeProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FakeProvider")
    }
}

fn failed(error: anyhow::Error) -> ProviderError {
    ProviderError::MachineStart { id: "?".to_owned(), reason: error.to_string() }
}

/// The machine with the token, or a new one.
fn start(state: &mut State, request: &StartRequest) -> Machine {
    if let Some(started) = state.machines.iter().find(|machine| machine.token == request.token) {
        return started.clone();
    }
    let number = request.token.trim_start_matches("web-").parse().unwrap();
    let started = machine(number, &request.token);
    state.machines.push(started.clone());
    started
}

/// The given machine that belongs to the token, or a free one, one that failed recently last.
fn choose(state: &State, request: &StartRequest) -> Option<Machine> {
    let own = state.machines.iter().find(|machine| request.known.get(&machine.id) == Some(&request.token));
    let free = || state.machines.iter().filter(|machine| !request.known.contains_key(&machine.id));
    let chosen = own.or_else(|| free().min_by_key(|machine| request.avoid.contains(&machine.id)));
    chosen.cloned()
}

#[async_trait]
impl Provider for FakeProvider {
    fn kind(&self) -> &'static str {
        "fake"
    }

    fn name(&self) -> &str {
        "fake"
    }

    fn capabilities(&self) -> Capabilities {
        self.0.state(|state| state.capabilities)
    }

    async fn start(&self, request: StartRequest) -> Result<Machine, ProviderError> {
        let starts = |state: &mut State| match state.capabilities.can_start {
            true => Some(start(state, &request)),
            false => choose(state, &request),
        };
        let started = self.0.perform(format!("start {}", request.token), starts).await.map_err(failed)?;
        started.ok_or(ProviderError::NoHostLeft { count: 0 })
    }

    async fn list(&self) -> Result<Vec<Machine>, ProviderError> {
        Ok(self.0.state(|state| state.machines.clone()))
    }

    async fn stop(&self, _: &str) -> Result<(), ProviderError> {
        unreachable!("the leader stops no machine")
    }

    async fn terminate(&self, id: &str) -> Result<(), ProviderError> {
        let ends = |state: &mut State| {
            if state.capabilities.can_terminate {
                state.machines.retain(|machine| machine.id != id);
            }
        };
        self.0.perform(format!("end {id}"), ends).await.map_err(failed)
    }

    async fn attach_address(&self, _: &str) -> Result<Option<IpAddr>, ProviderError> {
        unreachable!("the client attaches it")
    }

    async fn move_address(&self, id: &str) -> Result<Option<IpAddr>, ProviderError> {
        let moves = |state: &mut State| state.holder = Some(id.to_owned());
        self.0.perform(format!("address {id}"), moves).await.map_err(failed)?;
        Ok(Some(Ipv4Addr::new(198, 51, 100, 9).into()))
    }

    async fn empower(&self, id: &str, votes: bool) -> Result<(), ProviderError> {
        let grants = |state: &mut State| state.votes.extend([(id.to_owned(), votes)]);
        self.0.perform(format!("rights {id}"), grants).await.map_err(failed)
    }

    fn most_machines(&self) -> Option<usize> {
        self.0.state(|state| state.most)
    }
}
