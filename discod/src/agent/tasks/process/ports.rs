//! Whether a task's ports are free on the node.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};

use disco_store::typed::TaskPort;

use crate::holder;

/// Why the task cannot have its ports, if so: each is bound for a moment.
pub(super) fn taken(address: IpAddr, ports: &[TaskPort]) -> Option<String> {
    ports.iter().find_map(|port| {
        let at = SocketAddr::new(address, port.number);
        let bound = match port.protocol.as_str() {
            "udp" => UdpSocket::bind(at).map(drop),
            _ => TcpListener::bind(at).map(drop),
        };
        let error = bound.err()?;
        match error.kind() {
            ErrorKind::AddrInUse => {
                let holder = holder::of(at).filter(|_| port.protocol != "udp");
                let holder = holder.map(|holder| format!(" by {holder}")).unwrap_or_default();
                Some(format!("port {}/{} is in use on the node{holder}", port.number, port.protocol))
            }
            ErrorKind::PermissionDenied => {
                Some(format!("port {}/{}: the daemon has no right to use it", port.number, port.protocol))
            }
            // Behind a router the node's address is none of the machine's; the task itself reports what fails.
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(number: u16, protocol: &str) -> TaskPort {
        TaskPort { target: 80, number, protocol: protocol.to_owned() }
    }

    #[test]
    fn a_port_that_is_in_use_is_named_with_its_holder() {
        let address: IpAddr = "127.0.0.1".parse().unwrap();
        let listener = TcpListener::bind((address, 0)).unwrap();
        let number = listener.local_addr().unwrap().port();
        let why = taken(address, &[port(number, "tcp")]).unwrap();
        let holder = format!("port {number}/tcp is in use on the node by process {}", std::process::id());
        assert!(why.starts_with(&holder), "{why}");
        // Another address of the machine is another node.
        assert_eq!(taken("127.0.0.9".parse().unwrap(), &[port(number, "tcp")]), None);
        drop(listener);
        assert_eq!(taken(address, &[port(number, "tcp"), port(number, "udp")]), None);
        let socket = UdpSocket::bind((address, number)).unwrap();
        assert!(taken(address, &[port(number, "udp")]).unwrap().contains("/udp is in use"));
        drop(socket);
    }
}
