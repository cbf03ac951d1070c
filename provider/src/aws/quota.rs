//! The quotas of an account, and how much of them is used.

use std::collections::BTreeMap;

use super::api::{Instance, InstanceState};
use super::clients::Clients;
use super::error::CloudError;
use super::instances;
use super::options::StartOptions;

/// Letters that the types of the "standard" families begin with, whose processors are counted together.
/// <https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html>
const STANDARD: &str = "acdhimrtz";
/// Codes of the quotas of virtual processors in these families.
const ON_DEMAND: &str = "L-1216C47A";
const SPOT: &str = "L-34B43A08";
/// How many types one request describes.
const TYPES: usize = 100;

/// The numbers of machines, virtual processors and addresses, with their quotas.
pub(super) async fn look(clients: &Clients, start: Option<&StartOptions>) -> Result<String, CloudError> {
    let (asked, addresses, machines) = futures_util::join!(
        clients.ec2.describe_account_attributes(),
        clients.ec2.describe_addresses(&[]),
        instances::all_present(clients),
    );
    let (found, addresses) = (asked?, addresses?.len());
    let value = |name: &str| {
        let attribute = found.iter().find(|one| one.name.as_deref() == Some(name));
        attribute.and_then(|one| one.value.as_ref()?.parse().ok())
    };
    let present = machines?;
    let processors = match start {
        Some(start) => processors(clients, start, &present).await?,
        None => None,
    };
    let machines = within("machines", present.len(), 1, value("max-instances"), "InstanceLimitExceeded")?;
    let addresses = within("Elastic IPs", addresses, 1, value("vpc-max-elastic-ips"), "AddressLimitExceeded")?;
    Ok([Some(machines), processors, Some(addresses)].into_iter().flatten().collect::<Vec<_>>().join(", "))
}

/// Virtual processors of the kind that the script's machine has; `None` for a family with its own quota.
async fn processors(
    clients: &Clients,
    start: &StartOptions,
    present: &[Instance],
) -> Result<Option<String>, CloudError> {
    let Ok((_, instance_type)) = start.image_and_type() else { return Ok(None) };
    if !is_standard(instance_type) {
        return Ok(None);
    }
    let counted = present.iter().filter(|one| is_counted(one, start.spot));
    let used: Vec<&str> = counted.filter_map(|one| one.instance_type.as_deref()).collect();
    let sizes = sizes(clients, used.iter().copied().chain([instance_type])).await?;
    let size = |name: &str| sizes.get(name).copied().unwrap_or_default();
    let (kind, quota, code) = match start.spot {
        true => ("spot vCPUs", SPOT, "MaxSpotInstanceCountExceeded"),
        false => ("vCPUs", ON_DEMAND, "VcpuLimitExceeded"),
    };
    let used = used.into_iter().map(size).sum();
    match most(clients, quota).await {
        Ok(most) => within(kind, used, size(instance_type), most, code).map(Some),
        // A cluster can be made without the permission to read quotas.
        Err(error) => Ok(Some(format!("{used} {kind}, quota unknown ({error})"))),
    }
}

/// The account's quota with that code, if it has one.
async fn most(clients: &Clients, code: &str) -> Result<Option<usize>, CloudError> {
    // Whole numbers, which the service sends as floating-point ones.
    let value = clients.quotas.get_service_quota("ec2", code).await?.filter(|value| *value >= 0.0);
    Ok(value.and_then(|value| format!("{value:.0}").parse().ok()))
}

/// Virtual processors of each type.
async fn sizes<'a>(
    clients: &Clients,
    types: impl Iterator<Item = &'a str>,
) -> Result<BTreeMap<String, usize>, CloudError> {
    let mut names: Vec<&str> = types.collect();
    names.sort_unstable();
    names.dedup();
    let mut sizes = BTreeMap::new();
    for names in names.chunks(TYPES) {
        for found in clients.ec2.describe_instance_types(names).await? {
            if let (Some(name), Some(size)) = (found.instance_type, found.default_v_cpus) {
                sizes.insert(name, size);
            }
        }
    }
    Ok(sizes)
}

fn is_standard(instance_type: &str) -> bool {
    // `dl1`, `hpc6a`, `inf1`, `mac1`, `trn1` and the like begin with such a letter too, and have more than one.
    let family = instance_type.split('.').next().unwrap_or_default();
    let letters: String = family.chars().take_while(char::is_ascii_alphabetic).collect();
    (letters.len() == 1 || letters == "im" || letters == "is") && letters.starts_with(|first| STANDARD.contains(first))
}

/// Only running machines count, spot and on-demand ones separately.
fn is_counted(one: &Instance, spot: bool) -> bool {
    matches!(one.state, Some(InstanceState::Pending | InstanceState::Running))
        && (one.lifecycle.as_deref() == Some("spot")) == spot
        && one.instance_type.as_deref().is_some_and(is_standard)
}

/// How much of a quota is used, as text; an error if `more` does not fit. Without a quota there is no limit.
fn within(what: &str, used: usize, more: usize, most: Option<usize>, code: &'static str) -> Result<String, CloudError> {
    let Some(most) = most else { return Ok(format!("{used} {what}")) };
    let words = format!("{used} of {most} {what} are used");
    if used + more > most {
        let words = if more > 1 { format!("{words}, and one machine takes {more}") } else { words };
        return Err(CloudError::Quota { code, words });
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::super::doctor::finding;
    use super::*;

    #[test]
    fn a_quota_that_is_used_up_is_told_with_how_to_get_more() {
        let room = within("Elastic IPs", 4, 1, Some(5), "AddressLimitExceeded");
        assert_eq!(room.unwrap(), "4 of 5 Elastic IPs are used");
        let full = finding("quota", within("Elastic IPs", 5, 1, Some(5), "AddressLimitExceeded"));
        assert!(!full.good && full.detail.contains("5 of 5 Elastic IPs are used"), "{full:?}");
        assert!(full.hint.unwrap().contains("Service Quotas"));
        assert_eq!(within("machines", 30, 1, None, "").unwrap(), "30 machines");
        let narrow = finding("quota", within("vCPUs", 31, 2, Some(32), "VcpuLimitExceeded"));
        assert!(narrow.detail.contains("31 of 32 vCPUs are used, and one machine takes 2"), "{narrow:?}");
        assert!(narrow.hint.unwrap().contains("Running On-Demand instances"));
        let spot = finding("quota", within("spot vCPUs", 0, 2, Some(0), "MaxSpotInstanceCountExceeded"));
        assert!(spot.hint.unwrap().contains("Standard Spot Instance Requests"));
    }

    #[test]
    fn families_that_are_counted_together() {
        for name in ["t4g.micro", "m7i.large", "c8g.xlarge", "im4gn.large", "is4gen.medium", "z1d.large"] {
            assert!(is_standard(name), "{name}");
        }
        for name in [
            "g5.xlarge",
            "p4d.24xlarge",
            "inf1.xlarge",
            "trn1.2xlarge",
            "mac2.metal",
            "dl1.24xlarge",
            "x2idn.metal",
            "",
        ] {
            assert!(!is_standard(name), "{name}");
        }
    }
}
