//! The security group: from where a machine's ports can be reached.
//!
//! | port | from |
//! |---|---|
//! | 22 | the operator's address, or `ssh_from`; the group itself, as the leader installs the machines that it starts |
//! | 5080 | the group itself; the operator's address, or `ssh_from` |
//!
//! Nothing else is allowed in. A rule for an operator's address is removed when that address has changed.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use super::api::{IpPermission, IpRange, Ipv6Range, SecurityGroup, UserIdGroupPair};
use super::clients::Clients;
use super::error::CloudError;
use super::names::{CLUSTER, Names, filter, tag_value};
use super::options::AwsOptions;
use crate::plan::{Action, Change};

const SSH: i32 = 22;
const CONTROL: i32 = 5080;
/// The description of the rules between nodes.
const NODES: &str = "disco nodes";

/// An inbound rule for one port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rule {
    pub(super) port: i32,
    pub(super) from: Source,
}

/// The source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// The members of the group.
    Group,
    /// A block of addresses, such as `203.0.113.7/32`, and the operator who opened it.
    Block { block: String, by: String },
}

/// The group of the cluster's machines, with up-to-date rules.
pub(super) async fn ensure(
    clients: &Clients,
    names: &Names,
    options: &AwsOptions,
    vpc: &str,
) -> Result<String, CloudError> {
    let desired = desired(clients, options).await?;
    let group = match find(clients, names, Some(vpc)).await? {
        Some(group) => group,
        None => make(clients, names, vpc).await?,
    };
    let id = group.group_id.unwrap_or_default();
    let present = rules(&group.ip_permissions, &id);
    for rule in missing(&present, &desired) {
        allow(clients, &id, rule).await?;
    }
    for rule in outdated(&present, &desired, options.ssh_from.is_some()) {
        match clients.ec2.revoke_security_group_ingress(&id, &permission(rule, &id)).await {
            // An earlier attempt of this request, or another operator, has closed it.
            Err(error) if error.code() == "InvalidPermission.NotFound" => {}
            revoked => revoked?,
        }
    }
    Ok(id)
}

/// Opens the existing group for this operator's present address.
pub(super) async fn admit(clients: &Clients, names: &Names, options: &AwsOptions) -> Result<(), CloudError> {
    let Some(group) = find(clients, names, None).await? else { return Ok(()) };
    ensure(clients, names, options, &group.vpc_id.unwrap_or_default()).await.map(|_| ())
}

/// What [`ensure`] would do.
pub(super) async fn plan(
    clients: &Clients,
    names: &Names,
    options: &AwsOptions,
    vpc: &str,
) -> Result<Option<Change>, CloudError> {
    let desired = desired(clients, options).await?;
    let group = find(clients, names, Some(vpc)).await?;
    let present =
        group.as_ref().map(|group| rules(&group.ip_permissions, group.group_id.as_deref().unwrap_or_default()));
    let details = difference(present.as_ref(), &desired, options.ssh_from.is_some());
    let action = if group.is_some() { Action::Change } else { Action::Create };
    Ok(details.map(|details| Change::free(action, "security group", names.security_group(), details)))
}

/// The changes to the rules, as text; `None`: no changes. `all` as in [`outdated`].
fn difference(present: Option<&BTreeSet<Rule>>, desired: &BTreeSet<Rule>, all: bool) -> Option<String> {
    let nothing = BTreeSet::new();
    let before = present.unwrap_or(&nothing);
    let opened: Vec<String> = missing(before, desired).into_iter().map(Rule::to_string).collect();
    let closed: Vec<String> = outdated(before, desired, all).into_iter().map(Rule::to_string).collect();
    let parts = [("lets in", opened), ("closes", closed)].into_iter().filter(|(_, rules)| !rules.is_empty());
    let words: Vec<String> = parts.map(|(verb, rules)| format!("{verb} {}", rules.join(", "))).collect();
    (!words.is_empty()).then(|| words.join("; "))
}

/// The rules that the group should have.
async fn desired(clients: &Clients, options: &AwsOptions) -> Result<BTreeSet<Rule>, CloudError> {
    let blocks = match &options.ssh_from {
        Some(given) => given.to_vec(),
        None => vec![block(super::address::of_operator(clients).await?)],
    };
    Ok(desired_rules(&blocks, &operator()))
}

/// The group, if it exists. A node does not know the VPC.
pub(super) async fn find(
    clients: &Clients,
    names: &Names,
    vpc: Option<&str>,
) -> Result<Option<SecurityGroup>, CloudError> {
    let mut filters = vec![filter("group-name", [names.security_group()])];
    filters.extend(vpc.map(|vpc| filter("vpc-id", [vpc.to_owned()])));
    let found = clients.ec2.describe_security_groups(&filters).await?;
    let Some(group) = found.into_iter().next() else { return Ok(None) };
    if tag_value(&group.tags, CLUSTER) != Some(&names.cluster) {
        let why = "it does not have this cluster's tag";
        return Err(CloudError::Foreign { what: "the security group", name: names.security_group(), why });
    }
    Ok(Some(group))
}

async fn make(clients: &Clients, names: &Names, vpc: &str) -> Result<SecurityGroup, CloudError> {
    let (name, description) = (names.security_group(), format!("Nodes of the Disco cluster {}", names.cluster));
    let tags = names.specification("security-group", "security-group", &[]);
    match clients.ec2.create_security_group(&name, &description, Some(vpc), Some(&tags)).await {
        Ok(group_id) => Ok(SecurityGroup { group_id, ..SecurityGroup::default() }),
        // A concurrent caller was faster.
        Err(error) if error.code() == "InvalidGroup.Duplicate" => find(clients, names, Some(vpc)).await?.ok_or(error),
        Err(error) => Err(error),
    }
}

async fn allow(clients: &Clients, id: &str, rule: &Rule) -> Result<(), CloudError> {
    match clients.ec2.authorize_security_group_ingress(id, &permission(rule, id)).await {
        Err(error) if error.code() != "InvalidPermission.Duplicate" => Err(error),
        _ => Ok(()),
    }
}

/// Removes the group. It is no error if it does not exist.
pub(super) async fn remove(clients: &Clients, names: &Names) -> Result<(), CloudError> {
    let Some(group) = find(clients, names, None).await? else { return Ok(()) };
    match clients.ec2.delete_security_group(&group.group_id.unwrap_or_default()).await {
        Err(error) if error.code() == "InvalidGroup.NotFound" => Ok(()),
        // In use until its last machine has ended.
        Err(error) if matches!(error.code(), "DependencyViolation" | "InvalidGroup.InUse") => {
            Err(CloudError::Busy { what: "the security group", name: names.security_group() })
        }
        removed => removed,
    }
}

/// The rules for these sources.
pub(super) fn desired_rules(blocks: &[String], by: &str) -> BTreeSet<Rule> {
    let mut rules = BTreeSet::new();
    for port in [SSH, CONTROL] {
        rules.insert(Rule { port, from: Source::Group });
        for block in blocks {
            rules.insert(Rule { port, from: Source::Block { block: block.clone(), by: by.to_owned() } });
        }
    }
    rules
}

/// Desired rules that do not exist. It does not matter for which operator an existing rule was opened.
fn missing<'a>(present: &BTreeSet<Rule>, desired: &'a BTreeSet<Rule>) -> Vec<&'a Rule> {
    desired.iter().filter(|rule| !present.iter().any(|one| one.is_same(rule))).collect()
}

/// Rules for an earlier address of this operator; with `ssh_from`, all rules for other blocks.
fn outdated<'a>(present: &'a BTreeSet<Rule>, desired: &BTreeSet<Rule>, all: bool) -> Vec<&'a Rule> {
    let own: BTreeSet<&str> = desired.iter().filter_map(|rule| rule.by()).collect();
    present
        .iter()
        .filter(|rule| rule.by().is_some_and(|by| all || own.contains(by)))
        .filter(|rule| !desired.iter().any(|one| one.is_same(rule)))
        .collect()
}

/// Such as `22 from nodes`.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.from {
            Source::Group => write!(f, "{} from nodes", self.port),
            Source::Block { block, .. } => write!(f, "{} from {block}", self.port),
        }
    }
}

impl Rule {
    fn by(&self) -> Option<&str> {
        match &self.from {
            Source::Block { by, .. } => Some(by),
            Source::Group => None,
        }
    }

    /// Whether EC2 takes both for one rule: the operator is only in its description.
    fn is_same(&self, other: &Self) -> bool {
        let same_source = match (&self.from, &other.from) {
            (Source::Group, Source::Group) => true,
            (Source::Block { block, .. }, Source::Block { block: other, .. }) => network(block) == network(other),
            _ => false,
        };
        self.port == other.port && same_source
    }
}

/// A block as EC2 stores it, without the bits of a host: `203.0.113.7/24` is `203.0.113.0/24`. Other text stays as it is.
fn network(block: &str) -> String {
    let parsed = block.split_once('/').and_then(|(ip, bits)| Some((ip.parse().ok()?, bits.parse::<u32>().ok()?)));
    match parsed {
        Some((IpAddr::V4(ip), bits @ 0..=32)) => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            format!("{}/{bits}", std::net::Ipv4Addr::from_bits(ip.to_bits() & mask))
        }
        Some((IpAddr::V6(ip), bits @ 0..=128)) => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            format!("{}/{bits}", std::net::Ipv6Addr::from_bits(ip.to_bits() & mask))
        }
        _ => block.to_owned(),
    }
}

/// The existing rules for one TCP port each. Others were not made by Disco, and are left alone.
fn rules(permissions: &[IpPermission], group: &str) -> BTreeSet<Rule> {
    let mut rules = BTreeSet::new();
    for permission in permissions {
        let (Some("tcp"), Some(port)) = (permission.ip_protocol.as_deref(), permission.from_port) else { continue };
        if permission.to_port != Some(port) {
            continue;
        }
        let v4 = permission.ip_ranges.iter().map(|range| (&range.cidr_ip, &range.description));
        let v6 = permission.ipv6_ranges.iter().map(|range| (&range.cidr_ipv6, &range.description));
        for (block, by) in v4.chain(v6) {
            let (block, by) = (block.clone().unwrap_or_default(), by.clone().unwrap_or_default());
            rules.insert(Rule { port, from: Source::Block { block, by } });
        }
        if permission.user_id_group_pairs.iter().any(|pair| pair.group_id.as_deref() == Some(group)) {
            rules.insert(Rule { port, from: Source::Group });
        }
    }
    rules
}

fn permission(rule: &Rule, group: &str) -> IpPermission {
    let tcp = IpPermission {
        ip_protocol: Some("tcp".to_owned()),
        from_port: Some(rule.port),
        to_port: Some(rule.port),
        ..IpPermission::default()
    };
    match &rule.from {
        Source::Group => {
            let (group_id, description) = (Some(group.to_owned()), Some(NODES.to_owned()));
            IpPermission { user_id_group_pairs: vec![UserIdGroupPair { group_id, description }], ..tcp }
        }
        Source::Block { block, by } => {
            let (block, description) = (Some(block.clone()), Some(by.clone()));
            if block.as_ref().is_some_and(|block| block.contains(':')) {
                IpPermission { ipv6_ranges: vec![Ipv6Range { cidr_ipv6: block, description }], ..tcp }
            } else {
                IpPermission { ip_ranges: vec![IpRange { cidr_ip: block, description }], ..tcp }
            }
        }
    }
}

/// One address as a block.
fn block(address: IpAddr) -> String {
    format!("{address}/{}", if address.is_ipv4() { 32 } else { 128 })
}

/// `disco operator USER@HOST`, limited to the characters that a rule's description may have.
fn operator() -> String {
    let read = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let user = read("USER").or_else(|| read("LOGNAME")).unwrap_or_else(|| "operator".to_owned());
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let text = format!("{user}@{host}");
    let good = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@');
    format!("disco operator {}", text.chars().filter(good).take(60).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(block: &str) -> BTreeSet<Rule> {
        desired_rules(&[block.to_owned()], "disco operator me@here")
    }

    #[test]
    fn two_ports_come_in_from_the_operator_and_among_nodes_and_nothing_else() {
        let rules = own("203.0.113.7/32");
        assert_eq!(rules.len(), 4);
        for rule in &rules {
            assert!([22, 5080].contains(&rule.port), "{rule:?}");
            let from_anywhere = matches!(&rule.from, Source::Block { block, .. } if block != "203.0.113.7/32");
            assert!(!from_anywhere, "{rule:?}");
        }
    }

    #[test]
    fn rules_are_read_back_as_they_were_written() {
        for block in ["203.0.113.7/32", "2001:db8::7/128"] {
            let desired = own(block);
            let written: Vec<IpPermission> = desired.iter().map(|rule| permission(rule, "sg-1")).collect();
            assert_eq!(rules(&written, "sg-1"), desired);
            // Another group's members are not ours.
            assert!(!rules(&written, "sg-2").contains(&Rule { port: CONTROL, from: Source::Group }));
        }
    }

    #[test]
    fn an_operators_old_address_is_closed_and_others_stay() {
        let mut present = own("198.51.100.1/32");
        present.extend(desired_rules(&["192.0.2.1/32".to_owned()], "disco operator other@there"));
        let now = own("203.0.113.7/32");
        let closed = outdated(&present, &now, false);
        assert_eq!(closed.len(), 2);
        assert!(
            closed.iter().all(|rule| matches!(&rule.from, Source::Block { block, .. } if block == "198.51.100.1/32"))
        );
        // `ssh_from` lists all blocks.
        assert_eq!(outdated(&present, &now, true).len(), 4);
        assert!(outdated(&now, &now, true).is_empty());
    }

    #[test]
    fn a_rule_that_another_operator_opened_for_the_same_block_is_the_same_rule() {
        let present = desired_rules(&["203.0.113.0/24".to_owned()], "disco operator other@there");
        // The bits of the host are not stored.
        let desired = desired_rules(&["203.0.113.7/24".to_owned()], "disco operator me@here");
        assert_eq!(missing(&present, &desired), Vec::<&Rule>::new());
        for all in [false, true] {
            assert_eq!(outdated(&present, &desired, all), Vec::<&Rule>::new());
            assert_eq!(difference(Some(&present), &desired, all), None);
        }
        assert_eq!(network("2001:db8::7/32"), "2001:db8::/32");
        assert_eq!((network("0.0.0.0/0"), network("203.0.113.7")), ("0.0.0.0/0".to_owned(), "203.0.113.7".to_owned()));
    }

    #[test]
    fn rules_that_disco_does_not_make_are_left_alone() {
        let own = Rule { port: SSH, from: Source::Block { block: "203.0.113.7/32".to_owned(), by: "me".to_owned() } };
        let tcp = permission(&own, "sg-1");
        let all = IpPermission { ip_protocol: Some("-1".to_owned()), from_port: None, to_port: None, ..tcp.clone() };
        let udp = IpPermission { ip_protocol: Some("udp".to_owned()), ..tcp.clone() };
        let range = IpPermission { to_port: Some(65_535), ..tcp.clone() };
        assert_eq!(rules(&[all, udp, range], "sg-1"), BTreeSet::new());
        assert_eq!(rules(&[tcp], "sg-1"), BTreeSet::from([own]));
    }

    #[test]
    fn a_plan_says_what_is_opened_and_closed() {
        let now = own("203.0.113.7/32");
        let made = difference(None, &now, false).unwrap();
        assert_eq!(made, "lets in 22 from nodes, 22 from 203.0.113.7/32, 5080 from nodes, 5080 from 203.0.113.7/32");
        assert_eq!(difference(Some(&now), &now, false), None);
        let moved = difference(Some(&own("198.51.100.1/32")), &now, false).unwrap();
        assert_eq!(
            moved,
            "lets in 22 from 203.0.113.7/32, 5080 from 203.0.113.7/32; closes 22 from 198.51.100.1/32, 5080 from 198.51.100.1/32"
        );
    }
}
