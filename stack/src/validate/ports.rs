//! One port of the cluster is published once.

use crate::{
    problem::{Findings, Problem},
    yaml::{Map, Node},
};

struct Claim<'a> {
    service: &'a str,
    host_ip: Option<&'a str>,
    node: &'a Node,
}

pub(super) fn check(services: &Map, findings: &mut Findings) {
    let mut claims: std::collections::BTreeMap<(u16, &str), Vec<Claim<'_>>> = std::collections::BTreeMap::new();
    for (service, entry) in services {
        for node in entry.node.get("ports").and_then(Node::list).unwrap_or_default() {
            let text = |key: &str| node.get(key).and_then(Node::scalar);
            // Of a range the cluster takes a free one.
            let Some(port) = text("published").and_then(|port| port.parse::<u16>().ok()) else { continue };
            let host_ip = text("host_ip").filter(|ip| !matches!(*ip, "0.0.0.0" | "::" | ""));
            let claim = Claim { service, host_ip, node };
            let others = claims.entry((port, text("protocol").unwrap_or("tcp"))).or_default();
            let clash = others.iter().find(|other| match (other.host_ip, host_ip) {
                (Some(a), Some(b)) => a == b,
                _ => true,
            });
            if let Some(other) = clash {
                let message = format!("port {port} is published twice, by `{}` and by `{service}`", other.service);
                let place = node.place;
                findings.error(Problem::at(place, message).related("first here", other.node.place));
            }
            others.push(claim);
        }
    }
    for (service, entry) in services {
        check_host_mode(service, &entry.node, findings);
    }
}

/// With its own network a container publishes; in the host's or another's it cannot.
fn check_host_mode(service: &str, node: &Node, findings: &mut Findings) {
    let Some(mode) = node.get("network_mode").and_then(Node::scalar) else { return };
    let ports = node.get("ports").and_then(Node::list).unwrap_or_default();
    if let Some(port) = ports.first().filter(|_| mode == "host" || mode == "none" || mode.starts_with("service:")) {
        let message = format!("the service `{service}` publishes a port and has `network_mode: {mode}`");
        let hint = match mode {
            "host" => "leave out `ports`: the program's own ports are those of the node",
            _ => "leave out `ports`",
        };
        findings.error(Problem::at(port.place, message).hint(hint));
    }
}
