//! What EC2 is sent and what it answers. The names are those of its API.

use std::str::FromStr;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

use super::form::{Fields, Form};
use super::xml::{Element, Read, Unreadable};

/// A filter of what a `Describe` call returns.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    /// Such as `tag:disco:cluster`.
    pub(crate) name: String,
    /// Any of them matches.
    pub(crate) values: Vec<String>,
}

impl Fields for Filter {
    fn add(&self, form: Form, prefix: &str) -> Form {
        form.set(&format!("{prefix}.Name"), &self.name).list(&format!("{prefix}.Value"), &self.values)
    }
}

/// A tag of a resource.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tag {
    pub(crate) key: String,
    pub(crate) value: String,
}

impl Fields for Tag {
    fn add(&self, form: Form, prefix: &str) -> Form {
        form.set(&format!("{prefix}.Key"), &self.key).set(&format!("{prefix}.Value"), &self.value)
    }
}

impl Read for Tag {
    fn read(element: Element<'_>) -> Result<Self, Unreadable> {
        let text = |name| element.text(name).unwrap_or_default();
        Ok(Self { key: text("key"), value: text("value") })
    }
}

/// The tags of a resource that is to be made.
#[derive(Debug, Clone)]
pub(crate) struct TagSpecification {
    /// Such as `security-group`.
    pub(crate) resource_type: &'static str,
    pub(crate) tags: Vec<Tag>,
}

impl Fields for TagSpecification {
    fn add(&self, form: Form, prefix: &str) -> Form {
        form.set(&format!("{prefix}.ResourceType"), self.resource_type).each(&format!("{prefix}.Tag"), &self.tags)
    }
}

/// The state of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum InstanceState {
    Pending,
    Running,
    ShuttingDown,
    Terminated,
    Stopping,
    Stopped,
    /// A state that is not known here.
    Other(String),
}

impl InstanceState {
    /// Its name.
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::ShuttingDown => "shutting-down",
            Self::Terminated => "terminated",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Other(name) => name,
        }
    }
}

impl From<String> for InstanceState {
    fn from(name: String) -> Self {
        let known = [Self::Pending, Self::Running, Self::ShuttingDown, Self::Terminated, Self::Stopping, Self::Stopped];
        known.into_iter().find(|state| state.as_str() == name).unwrap_or(Self::Other(name))
    }
}

/// A machine.
#[derive(Debug, Clone, Default)]
pub(crate) struct Instance {
    pub(crate) instance_id: Option<String>,
    pub(crate) instance_type: Option<String>,
    /// `spot`, or nothing.
    pub(crate) lifecycle: Option<String>,
    pub(crate) state: Option<InstanceState>,
    /// Why it stopped or ended.
    pub(crate) state_reason: Option<String>,
    /// In seconds since 1970.
    pub(crate) launch_time: Option<i64>,
    pub(crate) availability_zone: Option<String>,
    pub(crate) private_ip_address: Option<String>,
    pub(crate) public_ip_address: Option<String>,
    pub(crate) tags: Vec<Tag>,
}

impl Read for Instance {
    fn read(element: Element<'_>) -> Result<Self, Unreadable> {
        let within = |parent: &str, name: &str| element.child(parent).and_then(|parent| parent.text(name));
        Ok(Self {
            instance_id: element.text("instanceId"),
            instance_type: element.text("instanceType"),
            lifecycle: element.text("instanceLifecycle"),
            state: within("instanceState", "name").map(InstanceState::from),
            state_reason: within("stateReason", "message"),
            launch_time: element.value::<Time>("launchTime")?.map(|time| time.0),
            availability_zone: within("placement", "availabilityZone"),
            private_ip_address: element.text("privateIpAddress"),
            public_ip_address: element.text("ipAddress"),
            tags: element.set("tagSet")?,
        })
    }
}

/// Machines that were started together.
pub(super) struct Reservation(pub(super) Vec<Instance>);

impl Read for Reservation {
    fn read(element: Element<'_>) -> Result<Self, Unreadable> {
        element.set("instancesSet").map(Self)
    }
}

struct Time(i64);

impl FromStr for Time {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        DateTime::from_str(text, Format::DateTimeWithOffset).map(|time| Self(time.secs())).map_err(|_| ())
    }
}

/// A subnet.
#[derive(Debug, Clone, Default)]
pub(crate) struct Subnet {
    pub(crate) subnet_id: Option<String>,
    pub(crate) vpc_id: Option<String>,
    pub(crate) availability_zone: Option<String>,
    pub(crate) available_ip_address_count: Option<i32>,
}

impl Read for Subnet {
    fn read(element: Element<'_>) -> Result<Self, Unreadable> {
        Ok(Self {
            subnet_id: element.text("subnetId"),
            vpc_id: element.text("vpcId"),
            availability_zone: element.text("availabilityZone"),
            available_ip_address_count: element.value("availableIpAddressCount")?,
        })
    }
}

/// An image.
#[derive(Debug, Clone, Default)]
pub(crate) struct Image {
    /// Such as `arm64`.
    pub(crate) architecture: Option<String>,
    pub(crate) root_device_name: Option<String>,
}

impl Read for Image {
    fn read(element: Element<'_>) -> Result<Self, Unreadable> {
        Ok(Self { architecture: element.text("architecture"), root_device_name: element.text("rootDeviceName") })
    }
}

/// A type of machines.
#[derive(Debug, Clone, Default)]
pub(crate) struct InstanceTypeInfo {
    pub(crate) instance_type: Option<String>,
    /// Such as `arm64`.
    pub(crate) supported_architectures: Vec<String>,
    pub(crate) default_v_cpus: Option<usize>,
}

impl Read for InstanceTypeInfo {
    fn read(element: Element<'_>) -> Result<Self, Unreadable> {
        let processor = element.child("processorInfo");
        let size = element.child("vCpuInfo").map(|info| info.value("defaultVCpus")).transpose()?;
        Ok(Self {
            instance_type: element.text("instanceType"),
            supported_architectures: processor
                .map(|info| info.set("supportedArchitectures"))
                .transpose()?
                .unwrap_or_default(),
            default_v_cpus: size.flatten(),
        })
    }
}

/// An Elastic IP.
#[derive(Debug, Clone, Default)]
pub(crate) struct Address {
    pub(crate) allocation_id: Option<String>,
    pub(crate) association_id: Option<String>,
    pub(crate) instance_id: Option<String>,
    pub(crate) public_ip: Option<String>,
}

impl Read for Address {
    fn read(element: Element<'_>) -> Result<Self, Unreadable> {
        Ok(Self {
            allocation_id: element.text("allocationId"),
            association_id: element.text("associationId"),
            instance_id: element.text("instanceId"),
            public_ip: element.text("publicIp"),
        })
    }
}

/// A key pair, without its private half.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeyPairInfo {
    pub(crate) key_name: Option<String>,
    pub(crate) key_fingerprint: Option<String>,
    pub(crate) public_key: Option<String>,
}

impl Read for KeyPairInfo {
    fn read(element: Element<'_>) -> Result<Self, Unreadable> {
        Ok(Self {
            key_name: element.text("keyName"),
            key_fingerprint: element.text("keyFingerprint"),
            public_key: element.text("publicKey"),
        })
    }
}

/// An instance profile on a machine.
#[derive(Debug, Clone, Default)]
pub(crate) struct ProfileAssociation {
    pub(crate) association_id: Option<String>,
    /// `associated`, `disassociated` and those between.
    pub(crate) state: Option<String>,
}

impl Read for ProfileAssociation {
    fn read(element: Element<'_>) -> Result<Self, Unreadable> {
        Ok(Self { association_id: element.text("associationId"), state: element.text("state") })
    }
}

/// A limit of the account.
#[derive(Debug, Clone, Default)]
pub(crate) struct AccountAttribute {
    /// Such as `max-instances`.
    pub(crate) name: Option<String>,
    /// The first of its values.
    pub(crate) value: Option<String>,
}

impl Read for AccountAttribute {
    fn read(element: Element<'_>) -> Result<Self, Unreadable> {
        let first = element.child("attributeValueSet").and_then(|set| set.child("item"));
        Ok(Self { name: element.text("attributeName"), value: first.and_then(|item| item.text("attributeValue")) })
    }
}
