//! Whether an account can hold a cluster: each requirement with what is missing.

use super::clients::Clients;
use super::error::CloudError;
use super::names::Names;
use super::network;
use super::options::AwsOptions;
use crate::provider::Finding;

/// Looks at credentials, region, network and permissions; makes nothing.
pub(super) async fn examine(clients: &Clients, names: &Names, options: &AwsOptions) -> Vec<Finding> {
    let identity = match clients.sts.get_caller_identity().send().await.map_err(CloudError::of("GetCallerIdentity")) {
        Ok(identity) => identity,
        // Nothing else can be asked.
        Err(error) => return vec![finding("credentials", Err(error))],
    };
    let who = format!("{} in account {}", identity.arn().unwrap_or("?"), identity.account().unwrap_or("?"));
    let mut findings = vec![finding("credentials", Ok(who))];
    let (places, quota, permissions) =
        futures_util::join!(network::places(clients, options), quota(clients), permissions(clients, names));
    let zones = places.map(|places| {
        let zones: Vec<&str> = places.iter().map(|place| place.zone.as_str()).collect();
        format!("{}, subnets in {}", clients.region, zones.join(", "))
    });
    findings.push(finding("region", zones));
    findings.push(finding("quota", quota));
    findings.extend(permissions);
    findings
}

fn finding(name: &'static str, result: Result<String, CloudError>) -> Finding {
    match result {
        Ok(detail) => Finding { name, detail, good: true, hint: None },
        Err(error) => Finding { name, detail: error.to_string(), good: false, hint: error.hint().map(str::to_owned) },
    }
}

/// What the account's own attributes say: how many machines and addresses there may be.
async fn quota(clients: &Clients) -> Result<String, CloudError> {
    let asked = clients.ec2.describe_account_attributes().send().await;
    let found = asked.map_err(CloudError::of("DescribeAccountAttributes"))?;
    let value = |name: &str| {
        let attribute = found.account_attributes().iter().find(|one| one.attribute_name() == Some(name));
        let value = attribute.and_then(|one| one.attribute_values().first()).and_then(|one| one.attribute_value());
        value.unwrap_or("?").to_owned()
    };
    Ok(format!("{} machines, {} Elastic IPs", value("max-instances"), value("vpc-max-elastic-ips")))
}

/// Asks for what a bootstrap would do, without doing it: EC2 says whether it would have been allowed.
async fn permissions(clients: &Clients, names: &Names) -> Vec<Finding> {
    let group = clients.ec2.create_security_group().group_name(names.security_group()).description("Disco");
    let address = clients.ec2.allocate_address();
    let key = clients.ec2.delete_key_pair().key_name(names.operator_key());
    let role = names.role(&clients.region);
    let asked = futures_util::join!(
        async { group.dry_run(true).send().await.map(|_| ()).map_err(CloudError::of("CreateSecurityGroup")) },
        async { address.dry_run(true).send().await.map(|_| ()).map_err(CloudError::of("AllocateAddress")) },
        async { key.dry_run(true).send().await.map(|_| ()).map_err(CloudError::of("DeleteKeyPair")) },
        async { clients.iam.get_role().role_name(role).send().await.map(|_| ()).map_err(CloudError::of("GetRole")) },
    );
    let denied: Vec<CloudError> =
        [asked.0, asked.1, asked.2, asked.3].into_iter().filter_map(Result::err).filter(is_denied).collect();
    if denied.is_empty() {
        return vec![finding("permissions", Ok("key pairs, security groups, addresses, roles".to_owned()))];
    }
    denied.into_iter().map(|error| finding("permissions", Err(error))).collect()
}

/// `DryRunOperation` stands for success, and so does that something is there already, or is not.
fn is_denied(error: &CloudError) -> bool {
    matches!(error, CloudError::Denied { .. } | CloudError::Credentials { .. } | CloudError::Unreachable { .. })
}
