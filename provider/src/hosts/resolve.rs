//! Names to addresses.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::{ProviderError, SshTarget};

/// A name server that does not answer in this time is taken for one that is not there.
const LIMIT: Duration = Duration::from_secs(5);

/// The address of a host that other nodes can best use: IPv4 is preferred, as nodes must agree on one.
///
/// # Errors
/// The name has no address, or nobody says so in time.
pub(super) async fn resolve(host: &SshTarget) -> Result<IpAddr, ProviderError> {
    let failed = |source| ProviderError::Resolve { host: host.host.clone(), source };
    if let Ok(ip) = host.host.parse() {
        return Ok(ip);
    }
    let found = tokio::time::timeout(LIMIT, tokio::net::lookup_host((host.host.as_str(), host.port))).await;
    let late = |_| failed(io::Error::new(io::ErrorKind::TimedOut, "no name server answered"));
    let found: Vec<SocketAddr> = found.map_err(late)?.map_err(failed)?.collect();
    best(&found).ok_or_else(|| failed(io::Error::new(io::ErrorKind::NotFound, "the name has no address")))
}

/// One that others can reach comes before one that only this machine can.
fn best(found: &[SocketAddr]) -> Option<IpAddr> {
    found.iter().map(SocketAddr::ip).min_by_key(|ip| (is_own(*ip), !ip.is_ipv4()))
}

/// Whether the address means something to this machine, or on one of its links, alone.
pub(super) fn is_own(ip: IpAddr) -> bool {
    ip.is_loopback() || matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

/// Whether other nodes can call a host there: `others` are the addresses of the rest. A network of loopback addresses alone is
/// one computer, and works.
///
/// # Errors
/// Why not, and what to write instead.
pub(super) fn check(
    host: &SshTarget,
    ip: IpAddr,
    others: impl IntoIterator<Item = IpAddr>,
) -> Result<(), ProviderError> {
    let literal = host.host.parse::<IpAddr>().is_ok();
    let localhost = host.host.eq_ignore_ascii_case("localhost");
    // Debian gives a machine's own name 127.0.1.1 in `/etc/hosts`: right for itself, and a dead end for everyone else.
    let misled = !literal && !localhost;
    if is_own(ip) && (misled || !ip.is_loopback() || others.into_iter().any(|other| !other.is_loopback())) {
        return Err(ProviderError::OwnAddress { host: host.host.clone(), ip, ssh: host.to_string() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(host: &str) -> SshTarget {
        SshTarget { user: "pi".to_owned(), host: host.to_owned(), port: 22 }
    }

    #[test]
    fn an_address_that_others_can_use_comes_first() {
        let at =
            |list: &[&str]| best(&list.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), 22)).collect::<Vec<_>>());
        assert_eq!(at(&["127.0.1.1", "fd00::7", "10.0.0.7"]), "10.0.0.7".parse().ok());
        assert_eq!(at(&["fe80::1", "fd00::7"]), "fd00::7".parse().ok());
        assert_eq!(at(&["127.0.1.1"]), "127.0.1.1".parse().ok());
        assert_eq!(at(&[]), None);
    }

    #[test]
    fn a_machine_is_not_founded_where_no_other_can_reach_it() {
        let (own, other) = ("127.0.1.1".parse().unwrap(), "10.0.0.8".parse().unwrap());
        let refused = check(&target("web-1"), own, []).unwrap_err().to_string();
        assert!(
            refused.contains("web-1") && refused.contains("127.0.1.1") && refused.contains("advertise"),
            "{refused}"
        );
        assert!(check(&target("127.0.0.1"), "127.0.0.1".parse().unwrap(), [other]).is_err());
        assert!(check(&target("fe80::1%eth0"), "fe80::1".parse().unwrap(), []).is_err());
        assert!(check(&target("127.0.0.1"), "127.0.0.1".parse().unwrap(), [own]).is_ok());
        assert!(check(&target("localhost"), "127.0.0.1".parse().unwrap(), []).is_ok());
        assert!(check(&target("web-2"), other, [own]).is_ok());
    }
}
