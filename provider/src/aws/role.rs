//! The role that gives nodes their credentials, and its instance profile.

use serde_json::Value;

use super::api::{InstanceProfile, Role, Tag};
use super::clients::Clients;
use super::error::CloudError;
use super::names::{CLUSTER, Names, filter, tag, tag_value};
use super::policy::{POLICY, policy, trust};
use crate::plan::{Action, Change};

/// Makes sure that the role, its policy and its profile exist. Returns the profile's name.
pub(super) async fn ensure(clients: &Clients, names: &Names) -> Result<String, CloudError> {
    let name = names.role(&clients.region);
    let role = match find(clients, &name).await? {
        Some(role) => role,
        None => make(clients, names, &name).await?,
    };
    if !is_own(&role.tags, names) {
        return Err(foreign(name));
    }
    ensure_policy(clients, names, &role).await?;
    ensure_profile(clients, names, &name).await?;
    Ok(name)
}

/// Attaches the role to a machine, or detaches it.
pub(super) async fn assign(clients: &Clients, names: &Names, machine: &str, votes: bool) -> Result<(), CloudError> {
    let machines = [filter("instance-id", [machine.to_owned()])];
    let found = clients.ec2.describe_iam_instance_profile_associations(&machines).await?;
    let mut present = found.iter().filter(|one| one.state.as_deref() != Some("disassociated"));
    match (present.next(), votes) {
        (None, true) => clients.ec2.associate_iam_instance_profile(machine, &names.role(&clients.region)).await,
        (Some(has), false) => {
            let association = has.association_id.as_deref().unwrap_or_default();
            clients.ec2.disassociate_iam_instance_profile(association).await
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
        Some(role) if !is_own(&role.tags, names) => return Err(foreign(name)),
        Some(role) if !has_policy(clients, names, &role).await? => {
            changes.push(Change::free(Action::Change, "role", &name, "its policy"));
        }
        Some(_) => {}
    }
    let profile = find_profile(clients, &name).await?;
    if !profile.is_some_and(|profile| profile.roles.iter().any(|role| role.role_name == name)) {
        changes.push(Change::free(Action::Create, "instance profile", &name, "gives the role to machines"));
    }
    Ok(changes)
}

fn is_own(tags: &[Tag], names: &Names) -> bool {
    tag_value(tags, CLUSTER) == Some(&names.cluster)
}

fn foreign(name: String) -> CloudError {
    CloudError::Foreign { what: "the role", name, why: "it does not have this cluster's tag" }
}

async fn find(clients: &Clients, name: &str) -> Result<Option<Role>, CloudError> {
    match clients.iam.get_role(name).await {
        Err(error) if is_missing(&error) => Ok(None),
        found => found,
    }
}

async fn make(clients: &Clients, names: &Names, name: &str) -> Result<Role, CloudError> {
    let description = format!("Nodes of the Disco cluster {}", names.cluster);
    let made = clients.iam.create_role(name, &trust().to_string(), &description, &tags(names, "role")).await;
    let found = match made {
        Ok(made) => made,
        // A concurrent caller was faster.
        Err(error) if is_there(&error) => find(clients, name).await?,
        Err(error) => return Err(error),
    };
    found.ok_or_else(|| CloudError::Refused {
        call: "CreateRole",
        code: "NoAnswer".into(),
        reason: "the answer contains no role".into(),
    })
}

/// Whether its policy is up to date.
async fn has_policy(clients: &Clients, names: &Names, role: &Role) -> Result<bool, CloudError> {
    match clients.iam.get_role_policy(&role.role_name, POLICY).await {
        Ok(found) => Ok(decode(&found) == Some(policy(&names.cluster, &role.arn))),
        Err(error) if is_missing(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

async fn ensure_policy(clients: &Clients, names: &Names, role: &Role) -> Result<(), CloudError> {
    if has_policy(clients, names, role).await? {
        return Ok(());
    }
    let policy = policy(&names.cluster, &role.arn);
    clients.iam.put_role_policy(&role.role_name, POLICY, &policy.to_string()).await
}

async fn ensure_profile(clients: &Clients, names: &Names, name: &str) -> Result<(), CloudError> {
    let found = find_profile(clients, name).await?;
    if found.as_ref().is_some_and(|profile| profile.roles.iter().any(|role| role.role_name == name)) {
        return Ok(());
    }
    if found.is_none() {
        match clients.iam.create_instance_profile(name, &tags(names, "instance-profile")).await {
            Err(error) if !is_there(&error) => return Err(error),
            _ => {}
        }
    }
    match clients.iam.add_role_to_instance_profile(name, name).await {
        // A profile has one role: a concurrent caller was faster.
        Err(error) if error.code() != "LimitExceeded" => Err(error),
        _ => Ok(()),
    }
}

async fn find_profile(clients: &Clients, name: &str) -> Result<Option<InstanceProfile>, CloudError> {
    match clients.iam.get_instance_profile(name).await {
        Err(error) if is_missing(&error) => Ok(None),
        found => found,
    }
}

/// Removes profile, policy and role. Missing ones are no error. A role of another cluster is left alone.
pub(super) async fn remove(clients: &Clients, names: &Names) -> Result<(), CloudError> {
    let name = names.role(&clients.region);
    if !exists(clients, names).await? {
        return Ok(());
    }
    let profile = find_profile(clients, &name).await?;
    if profile.is_some_and(|profile| profile.roles.iter().any(|role| role.role_name == name)) {
        gone(clients.iam.remove_role_from_instance_profile(&name, &name).await)?;
    }
    gone(clients.iam.delete_instance_profile(&name).await)?;
    gone(clients.iam.delete_role_policy(&name, POLICY).await)?;
    gone(clients.iam.delete_role(&name).await)
}

/// Whether the role, or only its profile, exists and belongs to this cluster.
pub(super) async fn exists(clients: &Clients, names: &Names) -> Result<bool, CloudError> {
    let name = names.role(&clients.region);
    if find(clients, &name).await?.is_some_and(|role| is_own(&role.tags, names)) {
        return Ok(true);
    }
    Ok(find_profile(clients, &name).await?.is_some_and(|profile| is_own(&profile.tags, names)))
}

fn gone(result: Result<(), CloudError>) -> Result<(), CloudError> {
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
    names.tags(role).into_iter().map(|(key, value)| tag(key, value)).collect()
}

/// IAM returns a policy percent-encoded (RFC 3986).
fn decode(document: &str) -> Option<Value> {
    serde_json::from_slice(&urlencoding::decode_binary(document.as_bytes())).ok()
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
