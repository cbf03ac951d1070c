//! Names and tags of the resources that Disco makes.

use ring::digest::{SHA256, digest};

use super::api::{Filter, Tag, TagSpecification};

/// The cluster's name: a resource with this tag belongs to the cluster.
pub(super) const CLUSTER: &str = "disco:cluster";
/// The resource's role in the cluster.
pub(super) const ROLE: &str = "disco:role";
/// The program that made it, with its version.
pub(super) const CREATED_BY: &str = "disco:created-by";
/// On machines: the token of the request that started it.
pub(super) const TOKEN: &str = "disco:token";
/// On machines: the public half of the host key in its user data.
pub(super) const HOST_KEY: &str = "disco:host-key";
/// The name that the AWS console shows.
pub(super) const NAME: &str = "Name";

/// Value of [`CREATED_BY`].
pub(super) const PROGRAM: &str = concat!("disco/", env!("CARGO_PKG_VERSION"));

/// Names of one cluster's resources in one region.
#[derive(Debug, Clone)]
pub(super) struct Names {
    pub(super) cluster: String,
}

impl Names {
    /// The key pair of the operator.
    pub(super) fn operator_key(&self) -> String {
        format!("disco-{}", self.cluster)
    }

    /// The key pair of the cluster itself, with which its leader logs in on the machines that it starts.
    pub(super) fn cluster_key(&self) -> String {
        format!("disco-{}-nodes", self.cluster)
    }

    /// The security group.
    pub(super) fn security_group(&self) -> String {
        format!("disco-{}", self.cluster)
    }

    /// The role of voters and its instance profile. Roles are the account's, not a region's. At most 64 characters.
    pub(super) fn role(&self, region: &str) -> String {
        format!("disco-{}-{region}", self.cluster)
    }

    /// The tags of every resource.
    pub(super) fn tags(&self, role: &str) -> Vec<(&'static str, String)> {
        vec![(CLUSTER, self.cluster.clone()), (ROLE, role.to_owned()), (CREATED_BY, PROGRAM.to_owned())]
    }

    /// The same tags, as part of a request to EC2.
    pub(super) fn specification(
        &self,
        resource_type: &'static str,
        role: &str,
        more: &[(&'static str, String)],
    ) -> TagSpecification {
        let tags = self.tags(role).into_iter().chain(more.iter().cloned()).map(|(key, value)| tag(key, value));
        TagSpecification { resource_type, tags: tags.collect() }
    }

    /// The filter for the cluster's resources.
    pub(super) fn filter(&self) -> Filter {
        filter(&format!("tag:{CLUSTER}"), [self.cluster.clone()])
    }

    /// The client token that makes a start idempotent: at most 64 characters. `after` is the last machine of that name that has
    /// ended, whose token the service still remembers.
    pub(super) fn client_token(&self, name: &str, zone: &str, after: Option<&str>) -> String {
        let text = ["disco", &self.cluster, name, zone, after.unwrap_or_default()].join("\0");
        hex::encode(digest(&SHA256, text.as_bytes()))
    }
}

pub(super) fn tag(key: &str, value: impl Into<String>) -> Tag {
    Tag { key: key.to_owned(), value: value.into() }
}

pub(super) fn filter(name: &str, values: impl IntoIterator<Item = String>) -> Filter {
    Filter { name: name.to_owned(), values: values.into_iter().collect() }
}

/// The value of a tag.
pub(super) fn tag_value<'a>(tags: &'a [Tag], key: &str) -> Option<&'a str> {
    tags.iter().find(|tag| tag.key == key).map(|tag| tag.value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names { cluster: "web".to_owned() }
    }

    #[test]
    fn a_client_token_is_the_same_for_the_same_machine_alone() {
        let token = names().client_token("web-1", "us-west-2a", None);
        assert_eq!(token.len(), 64);
        assert_eq!(token, names().client_token("web-1", "us-west-2a", None));
        let others = [
            names().client_token("web-2", "us-west-2a", None),
            names().client_token("web-1", "us-west-2b", None),
            names().client_token("web-1", "us-west-2a", Some("i-1")),
            Names { cluster: "web2".to_owned() }.client_token("web-1", "us-west-2a", None),
        ];
        assert!(others.iter().all(|other| *other != token));
    }

    #[test]
    fn the_longest_names_fit() {
        let names = Names { cluster: "c".repeat(40) };
        assert!(names.role("ap-southeast-11").len() <= 64, "{}", names.role("ap-southeast-11"));
    }
}
