//! Security groups and their rules, as EC2 is sent them and answers them.

use super::form::{Fields, Form};
use super::types::Tag;
use super::xml::{Element, Read, Unreadable};

/// A security group.
#[derive(Debug, Clone, Default)]
pub(crate) struct SecurityGroup {
    pub(crate) group_id: Option<String>,
    pub(crate) vpc_id: Option<String>,
    /// What is let in.
    pub(crate) ip_permissions: Vec<IpPermission>,
    pub(crate) tags: Vec<Tag>,
}

impl Read for SecurityGroup {
    fn read(element: Element<'_>) -> Result<Self, Unreadable> {
        Ok(Self {
            group_id: element.text("groupId"),
            vpc_id: element.text("vpcId"),
            ip_permissions: element.set("ipPermissions")?,
            tags: element.set("tagSet")?,
        })
    }
}

/// A rule for some ports.
#[derive(Debug, Clone, Default)]
pub(crate) struct IpPermission {
    /// `tcp`, or `-1` for all.
    pub(crate) ip_protocol: Option<String>,
    pub(crate) from_port: Option<i32>,
    pub(crate) to_port: Option<i32>,
    pub(crate) ip_ranges: Vec<IpRange>,
    pub(crate) ipv6_ranges: Vec<Ipv6Range>,
    pub(crate) user_id_group_pairs: Vec<UserIdGroupPair>,
}

impl Fields for IpPermission {
    fn add(&self, form: Form, prefix: &str) -> Form {
        form.set_some(&format!("{prefix}.IpProtocol"), self.ip_protocol.as_deref())
            .set_some(&format!("{prefix}.FromPort"), self.from_port)
            .set_some(&format!("{prefix}.ToPort"), self.to_port)
            .each(&format!("{prefix}.Groups"), &self.user_id_group_pairs)
            .each(&format!("{prefix}.IpRanges"), &self.ip_ranges)
            .each(&format!("{prefix}.Ipv6Ranges"), &self.ipv6_ranges)
    }
}

impl Read for IpPermission {
    fn read(element: Element<'_>) -> Result<Self, Unreadable> {
        Ok(Self {
            ip_protocol: element.text("ipProtocol"),
            from_port: element.value("fromPort")?,
            to_port: element.value("toPort")?,
            ip_ranges: element.set("ipRanges")?,
            ipv6_ranges: element.set("ipv6Ranges")?,
            user_id_group_pairs: element.set("groups")?,
        })
    }
}

/// A block of addresses.
#[derive(Debug, Clone, Default)]
pub(crate) struct IpRange {
    /// Such as `203.0.113.0/24`.
    pub(crate) cidr_ip: Option<String>,
    pub(crate) description: Option<String>,
}

impl Fields for IpRange {
    fn add(&self, form: Form, prefix: &str) -> Form {
        form.set_some(&format!("{prefix}.CidrIp"), self.cidr_ip.as_deref())
            .set_some(&format!("{prefix}.Description"), self.description.as_deref())
    }
}

impl Read for IpRange {
    fn read(element: Element<'_>) -> Result<Self, Unreadable> {
        Ok(Self { cidr_ip: element.text("cidrIp"), description: element.text("description") })
    }
}

/// A block of addresses of version 6.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ipv6Range {
    /// Such as `2001:db8::/32`.
    pub(crate) cidr_ipv6: Option<String>,
    pub(crate) description: Option<String>,
}

impl Fields for Ipv6Range {
    fn add(&self, form: Form, prefix: &str) -> Form {
        form.set_some(&format!("{prefix}.CidrIpv6"), self.cidr_ipv6.as_deref())
            .set_some(&format!("{prefix}.Description"), self.description.as_deref())
    }
}

impl Read for Ipv6Range {
    fn read(element: Element<'_>) -> Result<Self, Unreadable> {
        Ok(Self { cidr_ipv6: element.text("cidrIpv6"), description: element.text("description") })
    }
}

/// The members of a group.
#[derive(Debug, Clone, Default)]
pub(crate) struct UserIdGroupPair {
    pub(crate) group_id: Option<String>,
    pub(crate) description: Option<String>,
}

impl Fields for UserIdGroupPair {
    fn add(&self, form: Form, prefix: &str) -> Form {
        form.set_some(&format!("{prefix}.GroupId"), self.group_id.as_deref())
            .set_some(&format!("{prefix}.Description"), self.description.as_deref())
    }
}

impl Read for UserIdGroupPair {
    fn read(element: Element<'_>) -> Result<Self, Unreadable> {
        Ok(Self { group_id: element.text("groupId"), description: element.text("description") })
    }
}
