//! The role that gives nodes their credentials, and its instance profile.

use aws_sdk_ec2::types::{IamInstanceProfileAssociationState, IamInstanceProfileSpecification};
use aws_sdk_iam::types::{InstanceProfile, Role, Tag};
use serde_json::Value;

use super::clients::Clients;
use super::error::CloudError;
use super::names::{CLUSTER, Names, filter};
use super::policy::{POLICY, policy, trust};
use crate::plan::{Action, Change};

/// Makes sure that the role, its policy and its profile exist. Returns the profile's name.
pub(super) async fn ensure(clients: &Clients, names: &Names) -> Result<String, CloudError> {
    let name = names.role(&clients.region);
    let role = match find(clients, &name).await? {
        Some(role) => role,
        None => make(clients, names, &name).await?,
    };
    if !is_own(&role, names) {
        return Err(foreign(name));
    }
    ensure_policy(clients, names, &role).await?;
    ensure_profile(clients, names, &name).await?;
    Ok(name)
}

/// Attaches the role to a machine, or detaches it.
pub(super) async fn assign(clients: &Clients, names: &Names, machine: &str, votes: bool) -> Result<(), CloudError> {
    let request = clients.ec2.describe_iam_instance_profile_associations();
    let asked = request.filters(filter("instance-id", [machine.to_owned()])).send().await;
    let found = asked.map_err(CloudError::of("DescribeIamInstanceProfileAssociations"))?;
    let gone = Some(&IamInstanceProfileAssociationState::Disassociated);
    let mut present = found.iam_instance_profile_associations().iter().filter(|one| one.state() != gone);
    match (present.next(), votes) {
        (None, true) => {
            let profile = IamInstanceProfileSpecification::builder().name(names.role(&clients.region)).build();
            let request = clients.ec2.associate_iam_instance_profile().instance_id(machine);
            let given = request.iam_instance_profile(profile).send().await;
            given.map(|_| ()).map_err(CloudError::of("AssociateIamInstanceProfile"))
        }
        (Some(has), false) => {
            let request = clients.ec2.disassociate_iam_instance_profile();
            let taken = request.association_id(has.association_id().unwrap_or_default()).send().await;
            taken.map(|_| ()).map_err(CloudError::of("DisassociateIamInstanceProfile"))
        }
        _ => Ok(()),
    }
}

/// What [`ensure`] would do.
pub(super) async fn plan(clients: &Clients, names: &Names) -> Result<Vec<Change>, CloudError> {
    let name = names.role(&clients.region);
    let mut changes = Vec::new();
    match find(clients, &name).await? {
        None => changes.push(Change::free(
            Action::Create,
            "role",
            &name,
            "permissions of nodes, limited to the cluster's tag",
        )),
        Some(role) if !is_own(&role, names) => return Err(foreign(name)),
        Some(role) if !has_policy(clients, names, &role).await? => {
            changes.push(Change::free(Action::Change, "role", &name, "its policy"));
        }
        Some(_) => {}
    }
    let profile = find_profile(clients, &name).await?;
    if !profile.is_some_and(|profile| profile.roles().iter().any(|role| role.role_name() == name)) {
        changes.push(Change::free(Action::Create, "instance profile", &name, "gives the role to machines"));
    }
    Ok(changes)
}

fn is_own(role: &Role, names: &Names) -> bool {
    role.tags().iter().any(|tag| tag.key() == CLUSTER && tag.value() == names.cluster)
}

fn foreign(name: String) -> CloudError {
    CloudError::Foreign { what: "the role", name, why: "it does not have this cluster's tag" }
}

async fn find(clients: &Clients, name: &str) -> Result<Option<Role>, CloudError> {
    match clients.iam.get_role().role_name(name).send().await.map_err(CloudError::of("GetRole")) {
        Ok(found) => Ok(found.role),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn make(clients: &Clients, names: &Names, name: &str) -> Result<Role, CloudError> {
    const CALL: &str = "CreateRole";
    let made = clients
        .iam
        .create_role()
        .role_name(name)
        .assume_role_policy_document(trust().to_string())
        .description(format!("Nodes of the Disco cluster {}", names.cluster))
        .set_tags(Some(tags(names, "role")))
        .send()
        .await
        .map_err(CloudError::of(CALL));
    let found = match made {
        Ok(made) => made.role,
        // A concurrent caller was faster.
        Err(error) if is_there(&error) => find(clients, name).await?,
        Err(error) => return Err(error),
    };
    found.ok_or_else(|| CloudError::Refused {
        call: CALL,
        code: "NoAnswer".into(),
        reason: "the answer contains no role".into(),
    })
}

/// Whether its policy is up to date.
async fn has_policy(clients: &Clients, names: &Names, role: &Role) -> Result<bool, CloudError> {
    let request = clients.iam.get_role_policy().role_name(role.role_name()).policy_name(POLICY);
    match request.send().await.map_err(CloudError::of("GetRolePolicy")) {
        Ok(found) => Ok(decode(found.policy_document()) == Some(policy(&names.cluster, role.arn()))),
        Err(error) if is_missing(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

async fn ensure_policy(clients: &Clients, names: &Names, role: &Role) -> Result<(), CloudError> {
    if has_policy(clients, names, role).await? {
        return Ok(());
    }
    let policy = policy(&names.cluster, role.arn());
    let request = clients.iam.put_role_policy().role_name(role.role_name()).policy_name(POLICY);
    request.policy_document(policy.to_string()).send().await.map_err(CloudError::of("PutRolePolicy"))?;
    Ok(())
}

async fn ensure_profile(clients: &Clients, names: &Names, name: &str) -> Result<(), CloudError> {
    let found = find_profile(clients, name).await?;
    if found.as_ref().is_some_and(|profile| profile.roles().iter().any(|role| role.role_name() == name)) {
        return Ok(());
    }
    if found.is_none() {
        let request = clients.iam.create_instance_profile().instance_profile_name(name);
        let made = request.set_tags(Some(tags(names, "instance-profile"))).send().await;
        match made.map_err(CloudError::of("CreateInstanceProfile")) {
            Err(error) if !is_there(&error) => return Err(error),
            _ => {}
        }
    }
    let request = clients.iam.add_role_to_instance_profile().instance_profile_name(name).role_name(name);
    match request.send().await.map_err(CloudError::of("AddRoleToInstanceProfile")) {
        // A profile has one role: a concurrent caller was faster.
        Err(error) if error.code() != "LimitExceeded" => Err(error),
        _ => Ok(()),
    }
}

async fn find_profile(clients: &Clients, name: &str) -> Result<Option<InstanceProfile>, CloudError> {
    let request = clients.iam.get_instance_profile().instance_profile_name(name);
    match request.send().await.map_err(CloudError::of("GetInstanceProfile")) {
        Ok(found) => Ok(found.instance_profile),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes profile, policy and role. Missing ones are no error. A role of another cluster is left alone.
pub(super) async fn remove(clients: &Clients, names: &Names) -> Result<(), CloudError> {
    let name = names.role(&clients.region);
    if !exists(clients, names).await? {
        return Ok(());
    }
    let profile = find_profile(clients, &name).await?;
    if profile.is_some_and(|profile| profile.roles().iter().any(|role| role.role_name() == name)) {
        let detached = clients.iam.remove_role_from_instance_profile().instance_profile_name(&name).role_name(&name);
        gone(detached.send().await.map_err(CloudError::of("RemoveRoleFromInstanceProfile")))?;
    }
    let profile = clients.iam.delete_instance_profile().instance_profile_name(&name);
    gone(profile.send().await.map_err(CloudError::of("DeleteInstanceProfile")))?;
    let document = clients.iam.delete_role_policy().role_name(&name).policy_name(POLICY);
    gone(document.send().await.map_err(CloudError::of("DeleteRolePolicy")))?;
    gone(clients.iam.delete_role().role_name(&name).send().await.map_err(CloudError::of("DeleteRole")))
}

/// Whether the role, or only its profile, exists and belongs to this cluster.
pub(super) async fn exists(clients: &Clients, names: &Names) -> Result<bool, CloudError> {
    let name = names.role(&clients.region);
    let own = |tags: &[Tag]| tags.iter().any(|tag| tag.key() == CLUSTER && tag.value() == names.cluster);
    if find(clients, &name).await?.is_some_and(|role| own(role.tags())) {
        return Ok(true);
    }
    Ok(find_profile(clients, &name).await?.is_some_and(|profile| own(profile.tags())))
}

fn gone<T>(result: Result<T, CloudError>) -> Result<(), CloudError> {
    match result {
        Err(error) if !is_missing(&error) => Err(error),
        _ => Ok(()),
    }
}

fn is_missing(error: &CloudError) -> bool {
    matches!(error.code(), "NoSuchEntity" | "NoSuchEntityException")
}

fn is_there(error: &CloudError) -> bool {
    matches!(error.code(), "EntityAlreadyExists" | "EntityAlreadyExistsException")
}

fn tags(names: &Names, role: &str) -> Vec<Tag> {
    let tags = names.tags(role).into_iter();
    // Both required fields are set, so it cannot fail.
    tags.filter_map(|(key, value)| Tag::builder().key(key).value(value).build().ok()).collect()
}

/// IAM returns a policy percent-encoded (RFC 3986).
fn decode(document: &str) -> Option<Value> {
    let bytes = document.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let coded = (bytes[at] == b'%').then(|| bytes.get(at + 1..at + 3)).flatten();
        match coded.and_then(|digits| hex::decode(digits).ok()) {
            Some(byte) => {
                plain.extend(byte);
                at += 3;
            }
            None => {
                plain.push(bytes[at]);
                at += 1;
            }
        }
    }
    serde_json::from_slice(&plain).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_policy_is_read_in_both_forms() {
        assert_eq!(decode("%7B%22a%22%3A%20%5B1%5D%7D"), Some(json!({ "a": [1] })));
        assert_eq!(decode(r#"{"a": "50%"}"#), Some(json!({ "a": "50%" })));
        assert_eq!(decode("%7B"), None);
    }
}
