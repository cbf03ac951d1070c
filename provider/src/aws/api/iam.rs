//! The calls of IAM. <https://docs.aws.amazon.com/IAM/latest/APIReference/API_Operations.html>

use aws_config::SdkConfig;

use super::super::error::CloudError;
use super::form::Form;
use super::query::Query;
use super::types::Tag;
use super::xml::{Element, Read, Unreadable};

/// IAM of the account.
#[derive(Debug, Clone)]
pub(crate) struct Iam(Query);

/// A role.
#[derive(Debug, Clone, Default)]
pub(crate) struct Role {
    pub(crate) role_name: String,
    /// Such as `arn:aws:iam::123456789012:role/disco-web-us-west-2`.
    pub(crate) arn: String,
    pub(crate) tags: Vec<Tag>,
}

impl Read for Role {
    fn read(element: Element<'_>) -> Result<Self, Unreadable> {
        let text = |name| element.text(name).unwrap_or_default();
        Ok(Self { role_name: text("RoleName"), arn: text("Arn"), tags: tags(element)? })
    }
}

/// A tag, as IAM spells it.
struct IamTag(Tag);

impl Read for IamTag {
    fn read(element: Element<'_>) -> Result<Self, Unreadable> {
        let text = |name| element.text(name).unwrap_or_default();
        Ok(Self(Tag { key: text("Key"), value: text("Value") }))
    }
}

fn tags(element: Element<'_>) -> Result<Vec<Tag>, Unreadable> {
    let tags: Vec<IamTag> = element.list("Tags", "member")?;
    Ok(tags.into_iter().map(|tag| tag.0).collect())
}

/// An instance profile, which gives a role to machines.
#[derive(Debug, Clone, Default)]
pub(crate) struct InstanceProfile {
    /// At most one.
    pub(crate) roles: Vec<Role>,
    pub(crate) tags: Vec<Tag>,
}

impl Read for InstanceProfile {
    fn read(element: Element<'_>) -> Result<Self, Unreadable> {
        Ok(Self { roles: element.list("Roles", "member")?, tags: tags(element)? })
    }
}

impl Iam {
    /// Makes no request.
    pub(crate) fn new(config: &SdkConfig) -> Self {
        Self(Query::new("IAM", "iam", "2010-05-08", config))
    }

    /// A role.
    pub(crate) async fn get_role(&self, role: &str) -> Result<Option<Role>, CloudError> {
        self.one("GetRole", &Form::default().set("RoleName", role), "GetRoleResult", "Role").await
    }

    /// Makes a role. The policy says who may assume it.
    pub(crate) async fn create_role(
        &self,
        role: &str,
        trust_policy: &str,
        description: &str,
        tags: &[Tag],
    ) -> Result<Option<Role>, CloudError> {
        let form = Form::default().set("RoleName", role).set("AssumeRolePolicyDocument", trust_policy);
        let form = form.set("Description", description).each("Tags.member", tags);
        self.one("CreateRole", &form, "CreateRoleResult", "Role").await
    }

    /// Removes a role.
    pub(crate) async fn delete_role(&self, role: &str) -> Result<(), CloudError> {
        self.0.run("DeleteRole", &Form::default().set("RoleName", role)).await
    }

    /// A policy of a role, percent-encoded.
    pub(crate) async fn get_role_policy(&self, role: &str, policy: &str) -> Result<String, CloudError> {
        let form = Form::default().set("RoleName", role).set("PolicyName", policy);
        let document = |root: Element<'_>| root.child("GetRolePolicyResult")?.text("PolicyDocument");
        self.0.read("GetRolePolicy", &form, |root| Ok(document(root).unwrap_or_default())).await
    }

    /// Makes or replaces a policy of a role.
    pub(crate) async fn put_role_policy(&self, role: &str, policy: &str, document: &str) -> Result<(), CloudError> {
        let form = Form::default().set("RoleName", role).set("PolicyName", policy);
        self.0.run("PutRolePolicy", &form.set("PolicyDocument", document)).await
    }

    /// Removes a policy of a role.
    pub(crate) async fn delete_role_policy(&self, role: &str, policy: &str) -> Result<(), CloudError> {
        self.0.run("DeleteRolePolicy", &Form::default().set("RoleName", role).set("PolicyName", policy)).await
    }

    /// An instance profile.
    pub(crate) async fn get_instance_profile(&self, profile: &str) -> Result<Option<InstanceProfile>, CloudError> {
        let form = Form::default().set("InstanceProfileName", profile);
        self.one("GetInstanceProfile", &form, "GetInstanceProfileResult", "InstanceProfile").await
    }

    /// Makes an instance profile.
    pub(crate) async fn create_instance_profile(&self, profile: &str, tags: &[Tag]) -> Result<(), CloudError> {
        let form = Form::default().set("InstanceProfileName", profile).each("Tags.member", tags);
        self.0.run("CreateInstanceProfile", &form).await
    }

    /// Removes an instance profile.
    pub(crate) async fn delete_instance_profile(&self, profile: &str) -> Result<(), CloudError> {
        self.0.run("DeleteInstanceProfile", &Form::default().set("InstanceProfileName", profile)).await
    }

    /// Puts a role into an instance profile.
    pub(crate) async fn add_role_to_instance_profile(&self, profile: &str, role: &str) -> Result<(), CloudError> {
        let form = Form::default().set("InstanceProfileName", profile).set("RoleName", role);
        self.0.run("AddRoleToInstanceProfile", &form).await
    }

    /// Takes a role from an instance profile.
    pub(crate) async fn remove_role_from_instance_profile(&self, profile: &str, role: &str) -> Result<(), CloudError> {
        let form = Form::default().set("InstanceProfileName", profile).set("RoleName", role);
        self.0.run("RemoveRoleFromInstanceProfile", &form).await
    }

    async fn one<T: Read>(
        &self,
        call: &'static str,
        form: &Form,
        result: &str,
        name: &str,
    ) -> Result<Option<T>, CloudError> {
        let read = |root: Element<'_>| root.child(result).map(|result| result.one(name)).transpose();
        Ok(self.0.read(call, form, read).await?.flatten())
    }
}
