//! The address to which the daemon binds on a machine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::Remote;
use crate::Machine;

impl Remote {
    /// The address to which the daemon binds: the one in the script, or the advertised one, if the machine has it. Behind a
    /// router it does not: then the one at which this connection arrived, as forwarded connections arrive there too.
    pub fn listen_address(&self, machine: &Machine) -> SocketAddr {
        let configured = machine.listen;
        configured.unwrap_or_else(|| choose(machine.control_address, &self.probe.addresses, self.probe.reached_at))
    }
}

/// `own` are the machine's addresses, empty if unknown; `reached_at` is the machine's address of a connection to
/// it.
fn choose(advertised: SocketAddr, own: &[IpAddr], reached_at: Option<IpAddr>) -> SocketAddr {
    let wanted = advertised.ip();
    if own.is_empty() || own.contains(&wanted) || wanted.is_loopback() {
        return advertised;
    }
    let any = match wanted {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    // Through a tunnel it arrives at an address that no other node uses.
    let arrived = reached_at.filter(|ip| own.contains(ip) && !ip.is_loopback() && ip.is_ipv4() == wanted.is_ipv4());
    SocketAddr::new(arrived.unwrap_or(any), advertised.port())
}

/// The addresses in the lines of a probe: `ip=10.0.0.7`, `ip=20010db8000000000000000000000001` (as `/proc/net/if_inet6` has it).
pub(super) fn addresses(text: &str) -> Vec<IpAddr> {
    let words = text.lines().filter_map(|line| line.trim().strip_prefix("ip="));
    let mut found: Vec<IpAddr> = words.filter_map(address).collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn address(word: &str) -> Option<IpAddr> {
    let word = word.trim();
    if word.len() == 32 {
        return u128::from_str_radix(word, 16).ok().map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits)));
    }
    word.parse().ok()
}

/// The server's own side in `SSH_CONNECTION`: the third word.
pub(super) fn reached_at(connection: &str) -> Option<IpAddr> {
    connection.split_ascii_whitespace().nth(2)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(advertised: &str, own: &[&str], reached_at: Option<&str>) -> String {
        let own: Vec<IpAddr> = own.iter().map(|ip| ip.parse().unwrap()).collect();
        choose(advertised.parse().unwrap(), &own, reached_at.and_then(|ip| ip.parse().ok())).to_string()
    }

    #[test]
    fn a_machine_binds_to_what_it_has() {
        assert_eq!(bind("10.0.0.7:5080", &["127.0.0.1", "10.0.0.7"], Some("192.168.1.7")), "10.0.0.7:5080");
        // The advertised address belongs to its router.
        assert_eq!(bind("203.0.113.7:5081", &["127.0.0.1", "192.168.1.7"], Some("192.168.1.7")), "192.168.1.7:5081");
        assert_eq!(bind("203.0.113.7:5080", &["127.0.0.1", "192.168.1.7"], Some("127.0.0.1")), "0.0.0.0:5080");
        assert_eq!(bind("[2001:db8::7]:5080", &["127.0.0.1", "fd00::7"], Some("192.168.1.7")), "[::]:5080");
        // All addresses of 127.0.0.0/8 exist, though only one is listed.
        assert_eq!(bind("127.77.0.1:5080", &["127.0.0.1"], Some("127.0.0.1")), "127.77.0.1:5080");
        // If the machine's addresses are unknown, the operator's address is used.
        assert_eq!(bind("203.0.113.7:5080", &[], None), "203.0.113.7:5080");
    }

    #[test]
    fn what_a_machine_tells_is_read() {
        let text = "uid=0\nip=10.0.0.7\nip=127.0.0.1\nip=10.0.0.7\nip=fe80000000000000020c29fffe000007\nip=\nip=eth0";
        let expected = ["10.0.0.7", "127.0.0.1", "fe80::20c:29ff:fe00:7"].map(|ip| ip.parse::<IpAddr>().unwrap());
        assert_eq!(addresses(text), expected);
        assert_eq!(reached_at("198.51.100.4 50312 192.168.1.7 22"), "192.168.1.7".parse().ok());
        assert_eq!(reached_at(""), None);
    }
}
