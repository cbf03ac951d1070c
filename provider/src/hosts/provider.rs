//! [`HostsProvider`].

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::net::TcpStream;

use super::address::parse_host;
use super::options::HostsOptions;
use crate::plan::{Action, Change};
use crate::spec::parse_options;
use crate::{Capabilities, Instance, InstanceState, Pace, Provider, ProviderError, SshTarget, StartRequest, Usd};

/// Where `discod` listens on a host; further hosts at the same address count up from here.
const CONTROL_PORT: u16 = 5080;

/// How long a host may take to accept a connection.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// Machines that exist already.
#[derive(Debug)]
pub struct HostsProvider {
    name: String,
    hosts: Vec<SshTarget>,
    /// Instance id to token, for what was handed out by this object.
    handed_out: Mutex<BTreeMap<String, String>>,
}

impl HostsProvider {
    /// Makes it from the options of `HostsProvider.init`.
    ///
    /// # Errors
    /// Unknown options, no host at all, a host twice, or text that is not `user@host:port`.
    pub fn from_options(options: &serde_json::Value) -> Result<Self, ProviderError> {
        const WHAT: &str = "HostsProvider.init";
        let options: HostsOptions = parse_options(WHAT, options)?;
        let hosts = options.hosts.iter().map(|text| parse_host(text)).collect::<Result<Vec<_>, _>>()?;
        let fail = |reason: String| Err(ProviderError::Options { what: WHAT, reason });
        if hosts.is_empty() {
            return fail("`hosts` is missing or empty; give `hosts: [\"user@host:port\", …]`".to_owned());
        }
        for (index, host) in hosts.iter().enumerate() {
            if hosts[..index].iter().any(|other| other.endpoint() == host.endpoint()) {
                return fail(format!("`{}` is given twice", host.endpoint()));
            }
        }
        let name = options.name.unwrap_or_else(|| "hosts".to_owned());
        Ok(Self { name, hosts, handed_out: Mutex::default() })
    }

    /// Where `discod` shall listen: hosts that share an address (several on one computer) get ports of their own, in the
    /// order in which they are given.
    async fn control_addresses(&self) -> Result<Vec<SocketAddr>, ProviderError> {
        let mut used: HashMap<IpAddr, u16> = HashMap::new();
        let mut addresses = Vec::with_capacity(self.hosts.len());
        for host in &self.hosts {
            let ip = resolve(host).await?;
            let count = used.entry(ip).or_default();
            addresses.push(SocketAddr::new(ip, CONTROL_PORT + *count));
            *count += 1;
        }
        Ok(addresses)
    }

    fn instance(&self, index: usize, token: &str, control_address: SocketAddr) -> Instance {
        let host = &self.hosts[index];
        Instance {
            id: host.endpoint(),
            name: host.host.clone(),
            token: token.to_owned(),
            state: InstanceState::Running,
            ssh: host.clone(),
            control_address,
            public_address: None,
            host_key: None,
            given_host_key: None,
            pid: None,
            zone: None,
            price: Some(Usd::ZERO),
        }
    }

    /// The host for a token: the one that has it already, else the first that is free.
    fn choose(&self, request: &StartRequest) -> Result<usize, ProviderError> {
        let mut handed_out = self.handed_out.lock().unwrap_or_else(PoisonError::into_inner);
        let holder = |id: &str| request.known.get(id).or_else(|| handed_out.get(id));
        let ids: Vec<String> = self.hosts.iter().map(SshTarget::endpoint).collect();
        let index = ids
            .iter()
            .position(|id| holder(id).is_some_and(|token| *token == request.token))
            .or_else(|| ids.iter().position(|id| holder(id).is_none()))
            .ok_or(ProviderError::NoHostLeft { count: ids.len() })?;
        handed_out.insert(ids[index].clone(), request.token.clone());
        Ok(index)
    }
}

/// The first address of a host; IPv4 is preferred, as nodes must agree on one.
async fn resolve(host: &SshTarget) -> Result<IpAddr, ProviderError> {
    let failed = |source| ProviderError::Resolve { host: host.host.clone(), source };
    let found: Vec<SocketAddr> =
        tokio::net::lookup_host((host.host.as_str(), host.port)).await.map_err(failed)?.collect();
    found.iter().find(|address| address.is_ipv4()).or(found.first()).map(SocketAddr::ip).ok_or_else(|| {
        let source = std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address");
        ProviderError::Resolve { host: host.host.clone(), source }
    })
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

    async fn start(&self, request: StartRequest) -> Result<Instance, ProviderError> {
        let addresses = self.control_addresses().await?;
        let index = self.choose(&request)?;
        Ok(self.instance(index, &request.token, addresses[index]))
    }

    async fn plan_start(&self, request: &StartRequest) -> Result<Vec<Change>, ProviderError> {
        let index = self.choose(request)?;
        let host = self.hosts[index].endpoint();
        if request.known.get(&host) == Some(&request.token) {
            return Ok(Vec::new());
        }
        Ok(vec![Change::free(Action::Change, "host", host, format!("becomes `{}`", request.name))])
    }

    /// Every given host, in use or not: a host that was not handed out by this object has an empty token. One whose SSH
    /// port does not answer counts as stopped.
    async fn list(&self) -> Result<Vec<Instance>, ProviderError> {
        let addresses = self.control_addresses().await?;
        let handed_out = self.handed_out.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let instances = self.hosts.iter().zip(addresses).enumerate().map(async |(index, (host, address))| {
            let token = handed_out.get(&host.endpoint()).map_or("", String::as_str);
            let connect = TcpStream::connect((address.ip(), host.port));
            let answers = matches!(tokio::time::timeout(ANSWER_LIMIT, connect).await, Ok(Ok(_)));
            let state = if answers { InstanceState::Running } else { InstanceState::Stopped };
            Instance { state, ..self.instance(index, token, address) }
        });
        Ok(futures_util::future::join_all(instances).await)
    }

    fn describe(&self, _options: &serde_json::Value) -> String {
        "one of the given hosts".to_owned()
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
