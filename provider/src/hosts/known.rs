//! Machines that the cluster already uses, and how they are recognised in the current script.
//!
//! A given host has no id, so its id is the SSH address that it had when it became a node. That id stays; its current address
//! is the one in the current script.

use std::net::SocketAddr;

use super::options::Host;
use crate::SshTarget;

/// A machine that the cluster uses, as recorded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownMachine {
    /// See [`crate::Machine::id`].
    pub id: String,
    /// How other nodes reach it, if known.
    pub control_address: Option<SocketAddr>,
    /// Its last SSH address, if known.
    pub ssh: Option<SshTarget>,
}

/// For each host of the script the index of the known machine that it is. `control` are the hosts' control addresses, if
/// known.
pub(super) fn recognise(hosts: &[Host], control: &[Option<SocketAddr>], known: &[KnownMachine]) -> Vec<Option<usize>> {
    let mut found: Vec<Option<usize>> =
        hosts.iter().map(|host| known.iter().position(|machine| machine.id == host.ssh.endpoint())).collect();
    // Another port. Several machines at one address cannot be distinguished.
    for at in 0..hosts.len() {
        let same = |name: &str| name.eq_ignore_ascii_case(&hosts[at].ssh.host);
        let rivals = (0..hosts.len()).filter(|other| found[*other].is_none() && same(&hosts[*other].ssh.host)).count();
        let mut left =
            (0..known.len()).filter(|one| !found.contains(&Some(*one)) && named(&known[*one]).is_some_and(same));
        if let (None, 1, Some(one), None) = (found[at], rivals, left.next(), left.next()) {
            found[at] = Some(one);
        }
    }
    // Another name.
    for at in 0..hosts.len() {
        let Some(address) = control.get(at).copied().flatten().filter(|_| found[at].is_none()) else { continue };
        let one = known.iter().position(|machine| machine.control_address == Some(address));
        found[at] = one.filter(|one| !found.contains(&Some(*one)));
    }
    found
}

/// The host in a machine's id.
fn named(machine: &KnownMachine) -> Option<&str> {
    let (host, _) = machine.id.rsplit_once(':')?;
    Some(host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn hosts(list: &[&str]) -> Vec<Host> {
        list.iter().map(|text| Host::read(&json!(text)).unwrap()).collect()
    }

    fn known(list: &[&str]) -> Vec<KnownMachine> {
        list.iter().map(|id| KnownMachine { id: (*id).to_owned(), ..KnownMachine::default() }).collect()
    }

    #[test]
    fn another_port_is_the_same_machine() {
        let known = known(&["web-1:22", "[fd00::7]:22"]);
        let none = [None, None, None];
        assert_eq!(recognise(&hosts(&["a@web-1:2222", "a@[fd00::7]:22"]), &none, &known), [Some(0), Some(1)]);
        assert_eq!(recognise(&hosts(&["a@WEB-1:2222", "a@web-2"]), &none, &known), [Some(0), None]);
    }

    #[test]
    fn several_machines_behind_one_address_are_not_guessed() {
        let known = known(&["nat:2201", "nat:2202"]);
        let none = [None, None, None];
        assert_eq!(
            recognise(&hosts(&["a@nat:2201", "a@nat:2202", "a@nat:2203"]), &none, &known),
            [Some(0), Some(1), None]
        );
        assert_eq!(recognise(&hosts(&["a@nat:2301", "a@nat:2302"]), &none, &known), [None, None]);
        assert_eq!(recognise(&hosts(&["a@nat:2201", "a@nat:2302"]), &none, &known), [Some(0), Some(1)]);
    }

    #[test]
    fn another_name_at_the_same_address_is_the_same_machine() {
        let address: SocketAddr = "10.0.0.7:5080".parse().unwrap();
        let known = [KnownMachine { id: "10.0.0.7:22".into(), control_address: Some(address), ssh: None }];
        assert_eq!(recognise(&hosts(&["a@web-1", "a@web-2"]), &[None, Some(address)], &known), [None, Some(0)]);
    }
}
