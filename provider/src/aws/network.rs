//! The subnets for machines, and the order in which zones are tried.

use std::collections::BTreeMap;

use super::api::Subnet;
use super::clients::Clients;
use super::error::CloudError;
use super::names::filter;
use super::options::AwsOptions;
use crate::Machine;

/// A place for a machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) zone: String,
    pub(super) subnet: String,
    pub(super) vpc: String,
}

/// The subnets for machines of the cluster, by zone. All belong to one VPC.
pub(super) async fn places(clients: &Clients, options: &AwsOptions) -> Result<Vec<Place>, CloudError> {
    let mut filters = Vec::new();
    let looked_for = if !options.subnets.is_empty() {
        format!("subnets {}", options.subnets.join(", "))
    } else if let Some(vpc) = &options.vpc {
        filters.push(filter("vpc-id", [vpc.clone()]));
        format!("subnets of `{vpc}`")
    } else {
        filters.push(filter("default-for-az", ["true".to_owned()]));
        "default subnets".to_owned()
    };
    let found = clients.ec2.describe_subnets(&options.subnets, &filters).await?;
    let places = places_of(&found);
    let mut vpcs: Vec<&str> = places.iter().map(|place| place.vpc.as_str()).collect();
    vpcs.dedup();
    if places.is_empty() {
        let reason = format!("found no {looked_for} in {}", clients.region);
        return Err(CloudError::NoSubnet { reason });
    }
    if vpcs.len() > 1 {
        return Err(CloudError::NoSubnet {
            reason: format!("{looked_for} belong to several VPCs: {}", vpcs.join(", ")),
        });
    }
    Ok(places)
}

/// One subnet for each zone, the one with the most free addresses; by VPC and zone.
fn places_of(subnets: &[Subnet]) -> Vec<Place> {
    let mut zones: BTreeMap<(String, String), (i32, Place)> = BTreeMap::new();
    for subnet in subnets {
        let (Some(zone), Some(id), Some(vpc)) = (&subnet.availability_zone, &subnet.subnet_id, &subnet.vpc_id) else {
            continue;
        };
        let place = Place { zone: zone.clone(), subnet: id.clone(), vpc: vpc.clone() };
        let room = subnet.available_ip_address_count.unwrap_or_default();
        let known = zones.entry((vpc.clone(), zone.clone())).or_insert((room, place.clone()));
        if room > known.0 {
            *known = (room, place);
        }
    }
    zones.into_values().map(|(_, place)| place).collect()
}

/// The order in which zones are tried: the ones with the fewest machines of the cluster first. Among equals the number at the
/// end of the machine's name decides, so that machines started at the same time choose different zones. If a zone was
/// requested, only that one.
pub(super) fn order(
    places: &[Place],
    machines: &[Machine],
    zone: Option<&str>,
    name: &str,
) -> Result<Vec<Place>, CloudError> {
    if let Some(zone) = zone {
        let found: Vec<Place> = places.iter().filter(|place| place.zone == zone).cloned().collect();
        if found.is_empty() {
            let zones: Vec<&str> = places.iter().map(|place| place.zone.as_str()).collect();
            return Err(CloudError::NoSubnet {
                reason: format!("unknown zone `{zone}`: expected one of {}", zones.join(", ")),
            });
        }
        return Ok(found);
    }
    let count = |zone: &str| machines.iter().filter(|machine| machine.zone.as_deref() == Some(zone)).count();
    let number: usize = name.rsplit('-').next().and_then(|number| number.parse().ok()).unwrap_or(1);
    let all = places.len().max(1);
    let first = number.saturating_sub(1) % all;
    let mut ordered: Vec<(usize, Place)> = places.iter().cloned().enumerate().collect();
    ordered.sort_by_key(|(at, place)| (count(&place.zone), (at + all - first) % all));
    Ok(ordered.into_iter().map(|(_, place)| place).collect())
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::{MachineState, SshTarget};

    fn subnet(id: &str, zone: &str, room: i32) -> Subnet {
        Subnet {
            subnet_id: Some(id.to_owned()),
            vpc_id: Some("vpc-1".to_owned()),
            availability_zone: Some(zone.to_owned()),
            available_ip_address_count: Some(room),
        }
    }

    fn machine(zone: &str) -> Machine {
        Machine {
            id: String::new(),
            name: String::new(),
            token: String::new(),
            state: MachineState::Running,
            ssh: SshTarget { user: "root".into(), host: "10.0.0.1".into(), port: 22 },
            ssh_name: None,
            control_address: SocketAddr::from(([10, 0, 0, 1], 5080)),
            listen: None,
            public_address: None,
            host_key: None,
            given_host_key: None,
            pid: None,
            zone: Some(zone.to_owned()),
            price: None,
        }
    }

    fn zones(places: &[Place]) -> Vec<&str> {
        places.iter().map(|place| place.zone.as_str()).collect()
    }

    #[test]
    fn each_zone_has_its_roomiest_subnet() {
        let places = places_of(&[subnet("s-b", "b", 9), subnet("s-a1", "a", 3), subnet("s-a2", "a", 250)]);
        assert_eq!(zones(&places), ["a", "b"]);
        assert_eq!(places[0].subnet, "s-a2");
    }

    #[test]
    fn machines_are_spread() {
        let places = places_of(&[subnet("1", "a", 1), subnet("2", "b", 1), subnet("3", "c", 1)]);
        let order = |zones: &[&str], name| {
            let machines: Vec<Machine> = zones.iter().map(|zone| machine(zone)).collect();
            let places = super::order(&places, &machines, None, name).unwrap();
            places.into_iter().map(|place| place.zone).collect::<Vec<_>>()
        };
        assert_eq!(order(&[], "web-1"), ["a", "b", "c"]);
        // These two are started at the same time.
        assert_eq!(order(&["a"], "web-2"), ["b", "c", "a"]);
        assert_eq!(order(&["a"], "web-3"), ["c", "b", "a"]);
        assert_eq!(order(&["b", "c"], "web-9"), ["a", "c", "b"]);
        assert_eq!(order(&["a", "b", "c"], "first"), ["a", "b", "c"]);
    }

    #[test]
    fn a_zone_that_was_asked_for_is_the_only_one() {
        let places = places_of(&[subnet("1", "a", 1), subnet("2", "b", 1)]);
        assert_eq!(zones(&order(&places, &[machine("b")], Some("b"), "web-1").unwrap()), ["b"]);
        assert!(order(&places, &[], Some("z"), "web-1").unwrap_err().to_string().contains("a, b"));
    }
}
