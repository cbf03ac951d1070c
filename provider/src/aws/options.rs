//! Options of `AwsProvider.init`, and of `start_instance` with it.

use serde::Deserialize;

use super::error::CloudError;

/// Options of `AwsProvider.init`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AwsOptions {
    #[serde(default)]
    pub(super) name: Option<String>,
    /// The region; overrides `AWS_REGION` and the profile's.
    #[serde(default)]
    pub(super) region: Option<String>,
    /// The profile of the operator's credentials; a node never reads it.
    #[serde(default)]
    pub(super) profile: Option<String>,
    /// The URL of an API to use instead of Amazon's, for all services.
    #[serde(default)]
    pub(super) endpoint: Option<String>,
    /// The VPC; `None`: the default one.
    #[serde(default)]
    pub(super) vpc: Option<String>,
    /// The subnets; none: the default ones of all zones.
    #[serde(default)]
    pub(super) subnets: Vec<String>,
    /// The addresses that may reach SSH and the control port from outside, such as `203.0.113.0/24`; none: the operator's address.
    #[serde(default)]
    pub(super) ssh_from: Option<OneOrMany>,
    /// An existing instance profile, instead of a role that Disco makes.
    #[serde(default)]
    pub(super) instance_profile: Option<String>,
    /// The login user, for images without cloud-init.
    #[serde(default)]
    pub(super) ssh_user: Option<String>,
    /// The most machines that the cluster may have.
    #[serde(default)]
    pub(super) max_nodes: Option<u32>,
    /// The most that all machines of the cluster may cost per hour, on demand.
    #[serde(default)]
    pub(super) max_hourly_usd: Option<f64>,
}

/// A text, or a list of them.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    pub(super) fn to_vec(&self) -> Vec<String> {
        match self {
            Self::One(one) => vec![one.clone()],
            Self::Many(many) => many.clone(),
        }
    }
}

/// Options of `start_instance`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StartOptions {
    /// Such as `ami-0e8c824f386e1de06`.
    #[serde(default)]
    pub(super) image: Option<String>,
    /// Such as `t4g.micro`.
    #[serde(default)]
    pub(super) instance_type: Option<String>,
    /// Only for the first machine: the cluster names the others.
    #[serde(default)]
    pub(super) name: Option<String>,
    /// Only for the first machine: the cluster spreads the others.
    #[serde(default)]
    pub(super) zone: Option<String>,
    #[serde(default)]
    pub(super) volume: Option<Volume>,
    #[serde(default)]
    pub(super) spot: bool,
    /// User data in addition to Disco's own, in any form that cloud-init supports.
    #[serde(default)]
    pub(super) user_data: Option<String>,
}

/// The disk: its size in GiB, or an object.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Volume {
    Size(i32),
    Options(VolumeOptions),
}

/// Details of the disk.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VolumeOptions {
    /// GiB.
    #[serde(default)]
    pub(super) size: Option<i32>,
    /// Such as `gp3`.
    #[serde(default, rename = "type")]
    pub(super) kind: Option<String>,
    #[serde(default)]
    pub(super) iops: Option<i32>,
    #[serde(default)]
    pub(super) encrypted: Option<bool>,
}

impl Volume {
    pub(super) fn options(&self) -> VolumeOptions {
        match self {
            Self::Size(size) => VolumeOptions { size: Some(*size), ..VolumeOptions::default() },
            Self::Options(options) => options.clone(),
        }
    }
}

impl StartOptions {
    /// A short description.
    pub(super) fn describe(&self) -> String {
        let words = [self.instance_type.as_deref(), self.image.as_deref(), self.spot.then_some("spot")];
        words.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    /// Both are required: there is no useful default.
    pub(super) fn image_and_type(&self) -> Result<(&str, &str), CloudError> {
        match (self.image.as_deref(), self.instance_type.as_deref()) {
            (Some(image), Some(instance_type)) => Ok((image, instance_type)),
            _ => Err(CloudError::NoImage),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_volume_is_a_size_or_more() {
        let parse = |value| serde_json::from_value::<StartOptions>(json!({ "volume": value })).unwrap();
        assert_eq!(parse(json!(20)).volume.unwrap().options().size, Some(20));
        let more = parse(json!({ "size": 30, "type": "gp3", "encrypted": true })).volume.unwrap().options();
        assert_eq!((more.size, more.kind.as_deref(), more.encrypted), (Some(30), Some("gp3"), Some(true)));
    }

    #[test]
    fn other_keys_are_refused() {
        assert!(serde_json::from_value::<AwsOptions>(json!({ "regoin": "us-west-2" })).is_err());
        assert!(serde_json::from_value::<StartOptions>(json!({ "imgae": "ami-1" })).is_err());
    }

    #[test]
    fn a_machine_is_described_by_what_was_asked_for() {
        let parse = |value| serde_json::from_value::<StartOptions>(value).unwrap().describe();
        assert_eq!(parse(json!({ "image": "ami-1", "instance_type": "t4g.micro" })), "t4g.micro, ami-1");
        assert_eq!(parse(json!({ "instance_type": "t3.nano", "spot": true })), "t3.nano, spot");
        assert_eq!(parse(json!({})), "");
    }

    #[test]
    fn an_image_and_a_type_must_be_given() {
        let options: StartOptions = serde_json::from_value(json!({ "image": "ami-1" })).unwrap();
        assert!(options.image_and_type().is_err());
    }
}
