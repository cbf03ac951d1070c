//! `ports`: `[[IP:]PUBLISHED:]TARGET[/PROTOCOL]`, ranges of equal length, or the long form. Canonical as one long form for each port.

use std::net::IpAddr;

use super::{Form, Read, text_of};
use crate::{
    problem::Problem,
    schema::container::PORT,
    yaml::{Entry, Map, Node, Value},
};

/// All of TCP, or half of TCP and UDP: one range too many would fill the memory.
const MOST_PORTS: usize = 65_536;

/// One port of a service.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Port {
    host_ip: Option<String>,
    published: Option<u16>,
    target: u16,
    protocol: &'static str,
}

impl Form<'_> {
    pub(super) fn ports(&mut self, node: Node) -> Read {
        let place = node.place;
        let Value::List(list) = node.value else { return Err(self.wrong(&node, "a list")) };
        let mut ports: Vec<Node> = Vec::new();
        for (index, item) in list.into_iter().enumerate() {
            if ports.len() > MOST_PORTS {
                let message = format!("`{}` has more than {MOST_PORTS} ports", self.name());
                return Err(Problem::at(item.place, message));
            }
            self.refuse_item_tag(&item);
            self.path.push(index.to_string());
            let read = match item.value {
                Value::Map(_) => self.long_port(item).map(|port| vec![port]),
                _ => self.short_port(&item),
            };
            self.path.pop();
            match read {
                Ok(read) => ports.extend(read),
                Err(problem) => self.findings.error(problem),
            }
        }
        Ok(Node::new(place, Value::List(ports)))
    }

    fn short_port(&self, item: &Node) -> Result<Vec<Node>, Problem> {
        let Some(text) = item.scalar() else { return Err(self.wrong(item, "a port such as `8080:80`")) };
        let ports = parse(text).map_err(|why| self.invalid(item, &why))?;
        Ok(ports.iter().map(|port| port.node(item)).collect())
    }

    fn long_port(&mut self, item: Node) -> Read {
        let place = item.place;
        let mut port = self.object(PORT, item)?;
        let name = self.name();
        let missing = |what: &str| Problem::at(place, format!("`{name}`: {what} is missing"));
        let map = port.map_mut().ok_or_else(|| missing("`target`"))?;
        let target = map.get("target").filter(|entry| !entry.node.is_null()).ok_or_else(|| missing("`target`"))?;
        let at = target.node.place;
        let number = port_number(text_of(&target.node));
        let number = number.map_err(|why| Problem::at(at, format!("`{name}.target`: {why}")))?;
        insert(map, at, "target", Value::Int(i64::from(number)));
        if let Some(published) = map.get("published").filter(|entry| !entry.node.is_null()) {
            let at = published.node.place;
            range(text_of(&published.node)).map_err(|why| Problem::at(at, format!("`{name}.published`: {why}")))?;
        }
        if let Some(host) = map.get("host_ip").filter(|entry| !entry.node.is_null()) {
            let at = host.node.place;
            let ip = address(text_of(&host.node)).map_err(|why| Problem::at(at, format!("`{name}.host_ip`: {why}")))?;
            insert(map, at, "host_ip", Value::Text(ip));
        }
        for (key, value) in [("protocol", "tcp"), ("mode", "ingress")] {
            if map.get(key).is_none_or(|entry| entry.node.is_null()) {
                insert(map, place, key, Value::Text(value.to_owned()));
            }
        }
        Ok(port)
    }
}

fn insert(map: &mut Map, place: crate::place::Place, key: &str, value: Value) {
    map.insert(key.to_owned(), Entry { place, node: Node::new(place, value) });
}

impl Port {
    fn node(&self, item: &Node) -> Node {
        let mut map = Map::new();
        insert(&mut map, item.place, "mode", Value::Text("ingress".to_owned()));
        if let Some(host_ip) = &self.host_ip {
            insert(&mut map, item.place, "host_ip", Value::Text(host_ip.clone()));
        }
        insert(&mut map, item.place, "target", Value::Int(i64::from(self.target)));
        if let Some(published) = self.published {
            insert(&mut map, item.place, "published", Value::Text(published.to_string()));
        }
        insert(&mut map, item.place, "protocol", Value::Text(self.protocol.to_owned()));
        Node::new(item.place, Value::Map(map))
    }
}

/// What makes two entries the same port: a later file replaces that one.
pub(crate) fn identity(port: &Node) -> String {
    let text = |key: &str| match port.get(key).map(|node| &node.value) {
        Some(Value::Text(text)) => text.clone(),
        Some(Value::Int(number)) => number.to_string(),
        _ => String::new(),
    };
    let host_ip = match text("host_ip").as_str() {
        "" => "0.0.0.0".to_owned(),
        ip => ip.to_owned(),
    };
    format!("{host_ip} {} {} {}", text("published"), text("target"), text("protocol"))
}

/// The short form.
fn parse(text: &str) -> Result<Vec<Port>, String> {
    let (ports, protocol) = match text.split_once('/') {
        None => (text, "tcp"),
        Some((ports, "tcp")) => (ports, "tcp"),
        Some((ports, "udp")) => (ports, "udp"),
        Some((_, other)) => return Err(format!("unknown protocol `{other}`: expected `tcp` or `udp`")),
    };
    let (rest, target) = match ports.rsplit_once(':') {
        Some((rest, target)) => (Some(rest), target),
        None => (None, ports),
    };
    let (host_ip, published) =
        match rest.map(|rest| rest.rsplit_once(':').map_or((None, rest), |(ip, p)| (Some(ip), p))) {
            None => (None, None),
            Some((ip, "")) if ip.is_some() => (ip, None),
            Some((ip, published)) => (ip, Some(published)),
        };
    let host_ip = host_ip.map(address).transpose()?;
    let (first, last) = range(target)?;
    let count = last - first;
    let published = match published {
        None => None,
        Some(published) => {
            let (published_first, published_last) = range(published)?;
            if published_last - published_first != count {
                return Err(format!(
                    "{} published ports for {} targets: expected two ranges of one length; for one of several published ports \
                     use the long form with `published: \"{published}\"`",
                    u32::from(published_last - published_first) + 1,
                    u32::from(count) + 1
                ));
            }
            Some(published_first)
        }
    };
    let port = |offset: u16| Port {
        host_ip: host_ip.clone(),
        published: published.map(|first| first + offset),
        target: first + offset,
        protocol,
    };
    Ok((0..=count).map(port).collect())
}

pub(super) fn check_exposed(text: &str) -> Result<(), String> {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    if !matches!(protocol, "tcp" | "udp") {
        return Err(format!("unknown protocol `{protocol}`: expected `tcp` or `udp`"));
    }
    range(ports).map(|_| ())
}

fn range(text: &str) -> Result<(u16, u16), String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (port_number(first)?, port_number(last)?);
    if last < first {
        return Err(format!("the range {first}-{last} runs backwards"));
    }
    Ok((first, last))
}

fn port_number(text: &str) -> Result<u16, String> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse::<u16>() {
        Ok(0) => Err("port 0 is invalid: leave out the published port, and the cluster chooses one".to_owned()),
        Ok(port) if digits => Ok(port),
        _ if digits => Err(format!("port {text} is more than 65535")),
        _ => Err(format!("`{text}` is not a port: expected a number from 1 to 65535")),
    }
}

/// An IPv6 address with or without brackets.
fn address(text: &str) -> Result<String, String> {
    let bare = text.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(text);
    match bare.parse::<IpAddr>() {
        Ok(_) => Ok(bare.to_owned()),
        Err(_) => Err(format!("`{text}` is not an IP address")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let show = |port: &Port| {
            let published = port.published.map_or("-".to_owned(), |port| port.to_string());
            format!("{} {published} {} {}", port.host_ip.as_deref().unwrap_or("*"), port.target, port.protocol)
        };
        parse(text).unwrap().iter().map(show).collect()
    }

    #[test]
    fn each_short_form_is_read_and_expanded() {
        assert_eq!(shown("22:22"), ["* 22 22 tcp"]);
        assert_eq!(shown("80"), ["* - 80 tcp"]);
        assert_eq!(shown("53:53/udp"), ["* 53 53 udp"]);
        assert_eq!(shown("3000-3002"), ["* - 3000 tcp", "* - 3001 tcp", "* - 3002 tcp"]);
        assert_eq!(shown("127.0.0.1::80"), ["127.0.0.1 - 80 tcp"]);
        assert_eq!(shown("127.0.0.1:8080:80"), ["127.0.0.1 8080 80 tcp"]);
        assert_eq!(shown("9090-9091:8080-8081"), ["* 9090 8080 tcp", "* 9091 8081 tcp"]);
        assert_eq!(shown("[::1]:6000:6000"), ["::1 6000 6000 tcp"]);
        assert_eq!(shown("::1:6000:6000"), ["::1 6000 6000 tcp"]);
        assert_eq!(shown("[::1]::80"), ["::1 - 80 tcp"]);
        assert_eq!(shown("1-65535").len(), 65_535);
    }

    #[test]
    fn what_is_no_port_is_refused() {
        for (text, why) in [
            ("0:80", "port 0"),
            ("80:0", "port 0"),
            ("70000:80", "more than 65535"),
            ("8000-8010:80", "11 published ports for 1 targets"),
            ("80:8000-8010", "1 published ports for 11 targets"),
            ("9-8", "backwards"),
            ("80/sctp", "unknown protocol"),
            ("host:80:80", "not an IP address"),
            ("a:80", "not a port"),
            ("", "not a port"),
            (":80", "not a port"),
            ("80:", "not a port"),
            ("+80", "not a port"),
            ("80-", "not a port"),
        ] {
            let found = parse(text).unwrap_err();
            assert!(found.contains(why), "{text}: {found}");
        }
    }
}
