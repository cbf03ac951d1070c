//! The parameters of `RunInstances`.

use super::form::{Fields, Form};
use super::types::TagSpecification;

/// One machine to start. Without `Debug`, as the user data holds the machine's host key.
#[derive(Clone, Default)]
pub(crate) struct RunInstances {
    pub(crate) image_id: String,
    pub(crate) instance_type: String,
    /// Of two requests with the same token, one starts a machine.
    pub(crate) client_token: Option<String>,
    pub(crate) subnet_id: Option<String>,
    pub(crate) security_group_id: Option<String>,
    pub(crate) key_name: Option<String>,
    /// The name of an instance profile.
    pub(crate) iam_instance_profile: Option<String>,
    /// In base64.
    pub(crate) user_data: Option<String>,
    /// Version 2 of the metadata service alone, and not from containers: a forged server-side request cannot get a session.
    pub(crate) protects_metadata: bool,
    /// A spot machine, which is not restarted, and terminates when it is interrupted.
    pub(crate) spot: bool,
    pub(crate) disk: Option<BlockDevice>,
    pub(crate) tags: Vec<TagSpecification>,
}

/// The disk of a machine, which is deleted with it.
#[derive(Debug, Clone, Default)]
pub(crate) struct BlockDevice {
    /// Such as `/dev/sda1`.
    pub(crate) device_name: String,
    /// In GiB.
    pub(crate) volume_size: Option<i32>,
    /// Such as `gp3`.
    pub(crate) volume_type: Option<String>,
    pub(crate) iops: Option<i32>,
    pub(crate) encrypted: Option<bool>,
}

impl Fields for BlockDevice {
    fn add(&self, form: Form, prefix: &str) -> Form {
        form.set(&format!("{prefix}.DeviceName"), &self.device_name)
            .set(&format!("{prefix}.Ebs.DeleteOnTermination"), true)
            .set_some(&format!("{prefix}.Ebs.VolumeSize"), self.volume_size)
            .set_some(&format!("{prefix}.Ebs.VolumeType"), self.volume_type.as_deref())
            .set_some(&format!("{prefix}.Ebs.Iops"), self.iops)
            .set_some(&format!("{prefix}.Ebs.Encrypted"), self.encrypted)
    }
}

impl RunInstances {
    /// As the parameters of the call.
    pub(super) fn form(&self) -> Form {
        let mut form = Form::default()
            .set("ImageId", &self.image_id)
            .set("InstanceType", &self.instance_type)
            .set("MinCount", 1)
            .set("MaxCount", 1)
            .set_some("ClientToken", self.client_token.as_deref())
            .set_some("SubnetId", self.subnet_id.as_deref())
            .list("SecurityGroupId", &self.security_group_id)
            .set_some("KeyName", self.key_name.as_deref())
            .set_some("IamInstanceProfile.Name", self.iam_instance_profile.as_deref())
            .set_some("UserData", self.user_data.as_deref())
            .each("BlockDeviceMapping", &self.disk)
            .each("TagSpecification", &self.tags);
        if self.protects_metadata {
            form = form
                .set("MetadataOptions.HttpEndpoint", "enabled")
                .set("MetadataOptions.HttpTokens", "required")
                .set("MetadataOptions.HttpPutResponseHopLimit", 1);
        }
        if self.spot {
            form = form
                .set("InstanceMarketOptions.MarketType", "spot")
                .set("InstanceMarketOptions.SpotOptions.SpotInstanceType", "one-time")
                .set("InstanceMarketOptions.SpotOptions.InstanceInterruptionBehavior", "terminate");
        }
        form
    }
}

#[cfg(test)]
mod tests {
    use super::super::types::Tag;
    use super::*;

    #[test]
    fn a_machine_is_requested_with_all_that_was_asked_for_and_nothing_else() {
        let tag = Tag { key: "disco:cluster".to_owned(), value: "web".to_owned() };
        let full = RunInstances {
            image_id: "ami-1".to_owned(),
            instance_type: "t4g.micro".to_owned(),
            client_token: Some("token".to_owned()),
            subnet_id: Some("subnet-1".to_owned()),
            security_group_id: Some("sg-1".to_owned()),
            key_name: Some("disco-web".to_owned()),
            iam_instance_profile: Some("disco-web-us-west-2".to_owned()),
            user_data: Some("I2Nsb3Vk".to_owned()),
            protects_metadata: true,
            spot: true,
            disk: Some(BlockDevice {
                device_name: "/dev/sda1".to_owned(),
                volume_size: Some(20),
                volume_type: Some("gp3".to_owned()),
                iops: Some(3000),
                encrypted: Some(true),
            }),
            tags: vec![TagSpecification { resource_type: "instance", tags: vec![tag] }],
        };
        assert_eq!(
            full.form().body("RunInstances", "2016-11-15"),
            "Action=RunInstances&Version=2016-11-15&ImageId=ami-1&InstanceType=t4g.micro&MinCount=1&MaxCount=1\
             &ClientToken=token&SubnetId=subnet-1&SecurityGroupId.1=sg-1&KeyName=disco-web\
             &IamInstanceProfile.Name=disco-web-us-west-2&UserData=I2Nsb3Vk\
             &BlockDeviceMapping.1.DeviceName=%2Fdev%2Fsda1&BlockDeviceMapping.1.Ebs.DeleteOnTermination=true\
             &BlockDeviceMapping.1.Ebs.VolumeSize=20&BlockDeviceMapping.1.Ebs.VolumeType=gp3\
             &BlockDeviceMapping.1.Ebs.Iops=3000&BlockDeviceMapping.1.Ebs.Encrypted=true\
             &TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key=disco%3Acluster\
             &TagSpecification.1.Tag.1.Value=web\
             &MetadataOptions.HttpEndpoint=enabled&MetadataOptions.HttpTokens=required\
             &MetadataOptions.HttpPutResponseHopLimit=1&InstanceMarketOptions.MarketType=spot\
             &InstanceMarketOptions.SpotOptions.SpotInstanceType=one-time\
             &InstanceMarketOptions.SpotOptions.InstanceInterruptionBehavior=terminate"
        );
        let bare =
            RunInstances { image_id: "ami-1".into(), instance_type: "t3.nano".into(), ..RunInstances::default() };
        assert_eq!(
            bare.form().body("RunInstances", "2016-11-15"),
            "Action=RunInstances&Version=2016-11-15&ImageId=ami-1&InstanceType=t3.nano&MinCount=1&MaxCount=1"
        );
    }
}
