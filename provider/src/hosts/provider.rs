//! [`HostsProvider`].

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::future::join_all;

use super::known::{KnownMachine, recognise};
use super::options::{Host, HostsOptions, WHAT};
use super::resolve;
use crate::plan::{Action, Change};
use crate::spec::parse_options;
use crate::{Capabilities, Machine, MachineState, Pace, Provider, ProviderError, SshTarget, StartRequest, Usd};

/// The port of `discod` on a host; further hosts at the same address get the following ports.
const CONTROL_PORT: u16 = 5080;
/// Stands for the unknown address of a host.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), CONTROL_PORT);

/// Existing machines.
#[derive(Debug)]
pub struct HostsProvider {
    name: String,
    hosts: Vec<Host>,
    /// The machines that the cluster already uses, whether or not the script names them.
    known: Vec<KnownMachine>,
    /// Machine id to token, for the hosts that this object has handed out.
    handed_out: Mutex<BTreeMap<String, String>>,
}

/// A host of the script, resolved.
struct Found {
    /// Its id as a machine.
    id: String,
    /// Its SSH server.
    ip: Result<IpAddr, ProviderError>,
    /// How other nodes reach its daemon; [`NOWHERE`] if unknown.
    control: SocketAddr,
}

impl HostsProvider {
    /// Makes it from the options of `HostsProvider.init`.
    ///
    /// # Errors
    /// Unknown options, no hosts, a duplicate host, or text that is not `user@host:port`.
    pub fn from_options(options: &serde_json::Value, known: Vec<KnownMachine>) -> Result<Self, ProviderError> {
        let options: HostsOptions = parse_options(WHAT, options)?;
        let hosts = options.hosts.iter().map(Host::read).collect::<Result<Vec<_>, _>>()?;
        let fail = |reason: String| Err(ProviderError::Options { what: WHAT, reason });
        if hosts.is_empty() {
            return fail("`hosts` is missing or empty; pass `hosts: [\"user@host:port\", …]`".to_owned());
        }
        for (index, host) in hosts.iter().enumerate() {
            let endpoint = host.ssh.endpoint();
            if hosts[..index].iter().any(|other| other.ssh.endpoint() == endpoint) {
                return fail(format!("`{endpoint}` is listed twice"));
            }
        }
        let name = options.name.unwrap_or_else(|| "hosts".to_owned());
        Ok(Self { name, hosts, known, handed_out: Mutex::default() })
    }

    /// Resolves the hosts' names concurrently: one without an address does not block the others.
    async fn find(&self) -> Vec<Found> {
        let ips = join_all(self.hosts.iter().map(|host| resolve::resolve(&host.ssh))).await;
        // Hosts that share an address (several on one computer, or behind one router) get different ports, in the order of
        // the script.
        let mut used: HashMap<IpAddr, u16> = HashMap::new();
        let mut port = |ip: IpAddr| {
            let count = used.entry(ip).or_default();
            *count += 1;
            CONTROL_PORT + (*count - 1)
        };
        let control: Vec<Option<SocketAddr>> = self
            .hosts
            .iter()
            .zip(&ips)
            .map(|(host, ip)| match (host.advertise, ip) {
                (Some(place), _) if place.port.is_some() => Some(place.with_port(CONTROL_PORT)),
                (Some(place), _) => Some(place.with_port(port(place.ip))),
                (None, Ok(ip)) => Some(SocketAddr::new(*ip, port(*ip))),
                (None, Err(_)) => None,
            })
            .collect();
        let recognised = recognise(&self.hosts, &control, &self.known);
        let hosts = self.hosts.iter().zip(ips).zip(control).zip(recognised);
        hosts
            .map(|(((host, ip), control), known)| {
                let known = known.map(|at| &self.known[at]);
                Found {
                    id: known.map_or_else(|| host.ssh.endpoint(), |known| known.id.clone()),
                    ip,
                    // Without a name server a node keeps its last address.
                    control: control.or(known.and_then(|known| known.control_address)).unwrap_or(NOWHERE),
                }
            })
            .collect()
    }

    fn host(&self, index: usize, token: &str, found: &Found) -> Machine {
        let host = &self.hosts[index];
        // Operators reach it at its SSH host, if the nodes use another address.
        let outer = found.ip.as_ref().ok().copied();
        let public = outer.filter(|ip| host.advertise.is_some() && *ip != found.control.ip() && !resolve::is_own(*ip));
        Machine {
            public_address: public,
            listen: host.listen.map(|place| place.with_port(found.control.port())),
            ssh_name: host.alias.clone(),
            ..machine(&found.id, token, &host.ssh, found.control)
        }
    }

    /// Machines that the cluster uses and the script does not name, or no longer names.
    fn unnamed(&self, found: &[Found]) -> Vec<Machine> {
        let left = self.known.iter().filter(|known| !found.iter().any(|found| found.id == known.id));
        left.filter_map(|known| {
            let ssh = known.ssh.as_ref()?;
            Some(machine(&known.id, "", ssh, known.control_address.unwrap_or(NOWHERE)))
        })
        .collect()
    }

    /// The host for a token: the one that has it, else the first free one with an address; hosts that failed recently come
    /// last.
    fn choose(&self, request: &StartRequest, found: &[Found]) -> Result<usize, ProviderError> {
        let mut handed_out = self.handed_out.lock().unwrap_or_else(PoisonError::into_inner);
        let holder = |id: &str| request.known.get(id).or_else(|| handed_out.get(id));
        let is_known = |id: &str| self.known.iter().any(|known| known.id == id);
        let free = |at: &usize| holder(&found[*at].id).is_none() && !is_known(&found[*at].id);
        let all = 0..found.len();
        let held = all.clone().find(|at| holder(&found[*at].id).is_some_and(|token| *token == request.token));
        let usable = |at: &usize| free(at) && found[*at].control != NOWHERE;
        let good = |at: &usize| usable(at) && !request.avoid.contains(&found[*at].id);
        let index = held
            .or_else(|| all.clone().find(|at| good(at) && self.hosts[*at].first))
            .or_else(|| all.clone().find(good))
            .or_else(|| all.clone().find(usable))
            .or_else(|| all.clone().find(free))
            .ok_or(ProviderError::NoHostLeft { count: found.len() })?;
        handed_out.insert(found[index].id.clone(), request.token.clone());
        Ok(index)
    }
}

/// A given machine, with the fields that all of them share.
fn machine(id: &str, token: &str, ssh: &SshTarget, control_address: SocketAddr) -> Machine {
    Machine {
        id: id.to_owned(),
        name: ssh.host.clone(),
        token: token.to_owned(),
        state: MachineState::Running,
        ssh: ssh.clone(),
        ssh_name: None,
        control_address,
        listen: None,
        public_address: None,
        host_key: None,
        given_host_key: None,
        pid: None,
        zone: None,
        price: Some(Usd::ZERO),
    }
}

#[async_trait]
impl Provider for HostsProvider {
    fn kind(&self) -> &'static str {
        "hosts"
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            can_start: true,
            can_stop: false,
            can_terminate: false,
            can_attach_address: false,
            has_roles: false,
            boots: false,
            pace: Pace::Default,
        }
    }

    async fn start(&self, request: StartRequest) -> Result<Machine, ProviderError> {
        let mut found = self.find().await;
        let index = self.choose(&request, &found)?;
        let (host, known) = (&self.hosts[index], self.known.iter().any(|known| known.id == found[index].id));
        let machine = self.host(index, &request.token, &found[index]);
        if found[index].control == NOWHERE
            && let Err(error) = found.swap_remove(index).ip
        {
            return Err(error);
        }
        // A machine that has become a node may keep its address.
        if host.advertise.is_none() && !known {
            let others = found.iter().filter(|other| other.id != machine.id && other.control != NOWHERE);
            resolve::check(&host.ssh, machine.control_address.ip(), others.map(|other| other.control.ip()))?;
        }
        Ok(machine)
    }

    async fn plan_start(&self, request: &StartRequest) -> Result<Vec<Change>, ProviderError> {
        let found = self.find().await;
        let host = found[self.choose(request, &found)?].id.clone();
        if request.known.get(&host) == Some(&request.token) {
            return Ok(Vec::new());
        }
        Ok(vec![Change::free(Action::Change, "host", host, format!("becomes `{}`", request.name))])
    }

    /// Every host of the script, in use or not, and the cluster's other machines. A host that was not handed out by this object has
    /// an empty token. It is not checked whether a host answers: its state is always `running`.
    async fn list(&self) -> Result<Vec<Machine>, ProviderError> {
        let found = self.find().await;
        let handed_out = self.handed_out.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let token = |id: &str| handed_out.get(id).map_or("", String::as_str);
        let named = found.iter().enumerate().map(|(index, found)| self.host(index, token(&found.id), found));
        Ok(named.chain(self.unnamed(&found)).collect())
    }

    fn ssh_target(&self, id: &str) -> Option<SshTarget> {
        let ip = |host: &Host| host.ssh.host.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, CONTROL_PORT));
        let control: Vec<_> = self.hosts.iter().map(ip).collect();
        let recognised = recognise(&self.hosts, &control, &self.known);
        let at = recognised.iter().position(|known| known.is_some_and(|known| self.known[known].id == id));
        let named = at.or_else(|| self.hosts.iter().position(|host| host.ssh.endpoint() == id));
        let known = || self.known.iter().find(|known| known.id == id)?.ssh.clone();
        named.map(|at| self.hosts[at].ssh.clone()).or_else(known)
    }

    fn describe(&self, _options: &serde_json::Value) -> String {
        "one of the configured hosts".to_owned()
    }

    async fn stop(&self, _id: &str) -> Result<(), ProviderError> {
        Err(ProviderError::NotSupported { kind: "hosts", operation: "stop a machine" })
    }

    async fn terminate(&self, id: &str) -> Result<(), ProviderError> {
        self.handed_out.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        Ok(())
    }

    async fn attach_address(&self, _id: &str) -> Result<Option<IpAddr>, ProviderError> {
        Ok(None)
    }
}
