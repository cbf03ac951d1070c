//! Resolves names to addresses.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::{ProviderError, SshTarget};

/// A name server that does not answer within this time counts as absent.
const LIMIT: Duration = Duration::from_secs(5);

/// The address of a host that is most useful to other nodes: IPv4 is preferred, as nodes must agree on one.
///
/// # Errors
/// The name has no address, or no name server answers in time.
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

/// Addresses that others can reach come before those that only this machine can.
fn best(found: &[SocketAddr]) -> Option<IpAddr> {
    found.iter().map(SocketAddr::ip).min_by_key(|ip| (is_own(*ip), !ip.is_ipv4()))
}

/// Whether the address is only valid on this machine or on one of its links.
pub(super) fn is_own(ip: IpAddr) -> bool {
    ip.is_loopback() || matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

/// Checks that other nodes can connect to a host at this address: `others` are the addresses of the rest. A cluster with only
/// loopback addresses is on one computer, and works.
///
/// # Errors
/// Why they cannot, with a hint what to write instead.
pub(super) fn check(
    host: &SshTarget,
    ip: IpAddr,
    others: impl IntoIterator<Item = IpAddr>,
) -> Result<(), ProviderError> {
    let literal = host.host.parse::<IpAddr>().is_ok();
    let localhost = host.host.eq_ignore_ascii_case("localhost");
    // Debian maps a machine's own name to 127.0.1.1 in `/etc/hosts`, which only works on the machine itself.
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
