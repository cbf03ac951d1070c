//! Options of `HostsProvider.init`.

use std::net::{IpAddr, SocketAddr};

use serde::Deserialize;
use serde_json::Value;

use super::address::parse_host;
use crate::{ProviderError, SshTarget};

/// The function that takes these options.
pub(crate) const WHAT: &str = "HostsProvider.init";

/// Options of `HostsProvider.init`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HostsOptions {
    /// The provider's name.
    #[serde(default)]
    pub(crate) name: Option<String>,
    /// The machines, each `user@host:port`, or an object.
    #[serde(default)]
    pub(crate) hosts: Vec<Value>,
}

/// A machine given as an object.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Detailed {
    ssh: String,
    #[serde(default)]
    advertise: Option<String>,
    #[serde(default)]
    listen: Option<String>,
    #[serde(default)]
    alias: Option<String>,
    #[serde(default)]
    first: bool,
}

/// A given machine. Its three addresses are the same without NAT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Host {
    /// Its SSH server.
    pub(crate) ssh: SshTarget,
    /// The address by which other nodes reach its daemon, if given.
    pub(crate) advertise: Option<Place>,
    /// The address to which its daemon binds, if given.
    pub(crate) listen: Option<Place>,
    /// The script's text for it, if the operator's SSH configuration changed it.
    pub(crate) alias: Option<String>,
    /// It is used before the others.
    pub(crate) first: bool,
}

/// An address with or without a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) ip: IpAddr,
    pub(crate) port: Option<u16>,
}

impl Host {
    /// Parses an entry of `hosts`.
    pub(crate) fn read(entry: &Value) -> Result<Self, ProviderError> {
        let fail = |reason: String| ProviderError::Options { what: WHAT, reason };
        let detailed = match entry {
            Value::String(ssh) => {
                Detailed { ssh: ssh.clone(), advertise: None, listen: None, alias: None, first: false }
            }
            Value::Object(_) => Detailed::deserialize(entry).map_err(|error| fail(format!("`hosts`: {error}")))?,
            other => {
                let expected = "expected `\"user@host:port\"` or `{ ssh, advertise, listen }`";
                return Err(fail(format!("`hosts`: invalid host {other}: {expected}")));
            }
        };
        let place = |name: &str, text: &Option<String>| {
            text.as_deref()
                .map(|text| Place::read(text).map_err(|why| fail(format!("`{name}: {text:?}`: {why}"))))
                .transpose()
        };
        let advertise = place("advertise", &detailed.advertise)?;
        if let Some(Place { ip, .. }) = advertise
            && ip.is_unspecified()
        {
            return Err(fail(format!("`advertise: \"{ip}\"`: other nodes cannot connect to this address")));
        }
        let (ssh, listen) = (parse_host(&detailed.ssh)?, place("listen", &detailed.listen)?);
        Ok(Self { ssh, advertise, listen, alias: detailed.alias, first: detailed.first })
    }
}

impl Place {
    fn read(text: &str) -> Result<Self, &'static str> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return match address.port() {
                0 => Err("other nodes cannot connect to port 0"),
                port => Ok(Self { ip: address.ip(), port: Some(port) }),
            };
        }
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        bare.parse().map(|ip| Self { ip, port: None }).map_err(|_| "expected `IP` or `IP:PORT`")
    }

    /// With its own port, or `port` if it has none.
    pub(crate) fn with_port(self, port: u16) -> SocketAddr {
        SocketAddr::new(self.ip, self.port.unwrap_or(port))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_host_is_text_or_says_more() {
        let plain = Host::read(&json!("pi@[fe80::1%eth0]:2222")).unwrap();
        assert_eq!((plain.ssh.host.as_str(), plain.ssh.port), ("fe80::1%eth0", 2222));
        let more =
            Host::read(&json!({ "ssh": "pi@home", "advertise": "203.0.113.7:5090", "listen": "0.0.0.0" })).unwrap();
        assert_eq!(more.advertise.map(|place| place.with_port(5080).to_string()).as_deref(), Some("203.0.113.7:5090"));
        assert_eq!(more.listen.map(|place| place.with_port(5080).to_string()).as_deref(), Some("0.0.0.0:5080"));
        let v6 = Host::read(&json!({ "ssh": "pi@home", "advertise": "[fd00::7]" })).unwrap();
        assert_eq!(v6.advertise.map(|place| place.with_port(5080).to_string()).as_deref(), Some("[fd00::7]:5080"));
    }

    #[test]
    fn what_cannot_be_an_address_is_refused_by_name() {
        for (entry, part) in [
            (json!(7), "invalid host 7"),
            (json!({ "advertise": "10.0.0.1" }), "missing field `ssh`"),
            (json!({ "ssh": "pi@home", "adress": "10.0.0.1" }), "unknown field `adress`"),
            (json!({ "ssh": "pi@home", "advertise": "home" }), "`advertise: \"home\"`: expected `IP` or `IP:PORT`"),
            (json!({ "ssh": "pi@home", "advertise": "0.0.0.0" }), "cannot connect to this address"),
            (json!({ "ssh": "pi@home", "listen": "10.0.0.1:0" }), "port 0"),
        ] {
            let message = Host::read(&entry).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }
}
