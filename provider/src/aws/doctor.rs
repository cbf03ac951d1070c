//! Checks whether an account meets the requirements of a cluster, and reports what is missing.

use super::api::RunInstances;
use super::clients::Clients;
use super::error::CloudError;
use super::names::Names;
use super::options::{AwsOptions, StartOptions};
use super::{image, network, quota};
use crate::StartRequest;
use crate::install::Architecture;
use crate::provider::Finding;
use crate::spec::parse_options;

/// Checks credentials, region, network and permissions; makes nothing.
pub(super) async fn examine(
    clients: &Clients,
    names: &Names,
    options: &AwsOptions,
    machine: Option<&StartRequest>,
) -> Vec<Finding> {
    let identity = match clients.sts.get_caller_identity().send().await.map_err(CloudError::of("GetCallerIdentity")) {
        Ok(identity) => identity,
        // No other check is possible.
        Err(error) => return vec![finding("credentials", Err(error))],
    };
    let who = format!("{} in account {}", identity.arn().unwrap_or("?"), identity.account().unwrap_or("?"));
    let mut findings = vec![finding("credentials", Ok(who))];
    // The machine that the script requests. Invalid options are reported when they are used.
    let start = machine.and_then(|machine| {
        Some((parse_options::<StartOptions>("start_instance", &machine.options).ok()?, machine.architecture))
    });
    let requested = start.as_ref().map(|(start, _)| start);
    let (places, quota, permissions, image) = futures_util::join!(
        network::places(clients, options),
        quota::look(clients, requested),
        permissions(clients, names, requested),
        async {
            let (start, architecture) = start.as_ref()?;
            Some(image(clients, start, *architecture).await)
        },
    );
    let zones = places.map(|places| {
        let zones: Vec<&str> = places.iter().map(|place| place.zone.as_str()).collect();
        format!("{}, subnets in {}", clients.region, zones.join(", "))
    });
    findings.push(finding("region", zones));
    findings.extend(image.map(|image| finding("image", image)));
    findings.push(finding("quota", quota));
    findings.extend(permissions);
    findings
}

pub(super) fn finding(name: &'static str, result: Result<String, CloudError>) -> Finding {
    match result {
        Ok(detail) => Finding { name, detail, good: true, hint: None },
        Err(error) => Finding { name, detail: error.to_string(), good: false, hint: error.hint().map(str::to_owned) },
    }
}

/// Whether the programs run on the image and type that the script requests.
async fn image(
    clients: &Clients,
    start: &StartOptions,
    architecture: Option<Architecture>,
) -> Result<String, CloudError> {
    let (image, instance_type) = start.image_and_type()?;
    image::check(clients, image, instance_type, architecture).await?;
    let built = architecture.map(|architecture| format!(", for {architecture}")).unwrap_or_default();
    Ok(format!("{image} on {instance_type}{built}"))
}

/// Checks the permissions for a bootstrap by dry runs: EC2 answers whether it would have allowed the call.
async fn permissions(clients: &Clients, names: &Names, start: Option<&StartOptions>) -> Vec<Finding> {
    let dry = clients.ec2.dry_run();
    let (group, key, role) = (names.security_group(), names.operator_key(), names.role(&clients.region));
    let asked = futures_util::join!(
        async { dry.create_security_group(&group, "Disco", None, None).await.map(|_| ()) },
        dry.allocate_address(None),
        dry.delete_key_pair(&key),
        start_allowed(clients, names, start),
        async { clients.iam.get_role(&role).await.map(|_| ()) },
    );
    let all = format!("key pairs, security groups, addresses, roles{}", start.map_or("", |_| ", machines"));
    verdict([asked.0, asked.1, asked.2, asked.3, asked.4], all)
}

/// The findings of dry runs. `all` are the checked permissions.
fn verdict(answers: [Result<(), CloudError>; 5], all: String) -> Vec<Finding> {
    let permissions = |error| finding("permissions", Err(error));
    let (denied, others): (Vec<_>, Vec<_>) = answers.into_iter().filter_map(Result::err).partition(is_denied);
    if !denied.is_empty() {
        return denied.into_iter().map(permissions).collect();
    }
    match others.into_iter().find(CloudError::may_pass) {
        // Neither granted nor denied.
        Some(error) => vec![Finding {
            detail: format!("not all permissions were checked: {error}"),
            hint: Some("run `disco doctor` again in a minute".to_owned()),
            ..permissions(error)
        }],
        None => vec![finding("permissions", Ok(all))],
    }
}

/// A dry run of the start of the script's machine, with its tags.
async fn start_allowed(clients: &Clients, names: &Names, start: Option<&StartOptions>) -> Result<(), CloudError> {
    let Some((image, instance_type)) = start.and_then(|start| start.image_and_type().ok()) else { return Ok(()) };
    let request = RunInstances {
        image_id: image.to_owned(),
        instance_type: instance_type.to_owned(),
        tags: vec![names.specification("instance", "node", &[])],
        ..RunInstances::default()
    };
    clients.ec2.dry_run().run_instances(&request).await.map(|_| ())
}

/// `DryRunOperation` stands for success; so do errors that a resource already exists or does not exist.
fn is_denied(error: &CloudError) -> bool {
    matches!(error, CloudError::Denied { .. } | CloudError::Credentials { .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: &str) -> Result<(), CloudError> {
        Err(CloudError::Refused { call: "AllocateAddress", code: code.to_owned(), reason: "x".to_owned() })
    }

    fn verdict_of(answers: [Result<(), CloudError>; 5]) -> Vec<(bool, String)> {
        verdict(answers, "all".to_owned()).into_iter().map(|found| (found.good, found.detail)).collect()
    }

    #[test]
    fn an_answer_that_is_missing_is_no_missing_permission() {
        let granted = || refused("DryRunOperation");
        assert_eq!(
            verdict_of([granted(), refused("InvalidGroup.Duplicate"), Ok(()), granted(), granted()]),
            [(true, "all".to_owned())]
        );
        let silent = || Err(CloudError::Unreachable { call: "GetRole", reason: "no answer".to_owned() });
        for passing in [refused("RequestLimitExceeded"), refused("ServiceUnavailable"), silent()] {
            let found = verdict_of([granted(), passing, granted(), granted(), granted()]);
            assert_eq!(found.len(), 1);
            assert!(!found[0].0 && found[0].1.starts_with("not all permissions were checked: "), "{found:?}");
        }
        let denied = Err(CloudError::Denied { call: "GetRole", reason: "no".to_owned() });
        let found = verdict_of([granted(), silent(), denied, granted(), granted()]);
        assert_eq!(found, [(false, "AWS denied `GetRole`: no".to_owned())]);
    }
}
