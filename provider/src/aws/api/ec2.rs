//! The calls of EC2. <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Operations.html>

use aws_config::SdkConfig;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::super::error::CloudError;
use super::form::Form;
use super::query::Query;
use super::rules::{IpPermission, SecurityGroup};
use super::run_instances::RunInstances;
use super::types::{
    AccountAttribute, Address, Filter, Image, Instance, InstanceTypeInfo, KeyPairInfo, ProfileAssociation, Reservation,
    Subnet, TagSpecification,
};

/// EC2 in one region.
#[derive(Debug, Clone)]
pub(crate) struct Ec2 {
    query: Query,
    /// The parameters of every call.
    every: Form,
}

impl Ec2 {
    /// Makes no request.
    pub(crate) fn new(config: &SdkConfig) -> Self {
        Self { query: Query::new("EC2", "ec2", "2016-11-15", config), every: Form::default() }
    }

    /// The same without retries.
    pub(crate) fn once(&self) -> Self {
        Self { query: self.query.once(), ..self.clone() }
    }

    /// The same, with calls that only check whether they would be allowed: then they fail with `DryRunOperation`.
    pub(crate) fn dry_run(&self) -> Self {
        Self { every: self.every.clone().set("DryRun", true), ..self.clone() }
    }

    /// The URL of the API, if it is not Amazon's.
    pub(crate) fn own_endpoint(&self) -> Option<&str> {
        self.query.service().own_endpoint()
    }

    /// Refuses invalid settings of the endpoint.
    pub(crate) fn check_endpoint(&self) -> Result<(), CloudError> {
        self.query.service().endpoint().map(|_| ())
    }

    fn form(&self) -> Form {
        self.every.clone()
    }

    /// Machines.
    pub(crate) async fn describe_instances(&self, filters: &[Filter]) -> Result<Vec<Instance>, CloudError> {
        let form = self.form().each("Filter", filters);
        let found: Vec<Reservation> = self.query.pages("DescribeInstances", &form, "reservationSet").await?;
        Ok(found.into_iter().flat_map(|reservation| reservation.0).collect())
    }

    /// Starts a machine. Returns the machines that were started.
    pub(crate) async fn run_instances(&self, request: &RunInstances) -> Result<Vec<Instance>, CloudError> {
        let form = request.form().append(&self.every);
        self.query.list("RunInstances", &form, "instancesSet").await
    }

    /// Starts a machine that was stopped.
    pub(crate) async fn start_instances(&self, id: &str) -> Result<(), CloudError> {
        self.query.run("StartInstances", &self.form().list("InstanceId", [id])).await
    }

    /// Stops a machine.
    pub(crate) async fn stop_instances(&self, id: &str) -> Result<(), CloudError> {
        self.query.run("StopInstances", &self.form().list("InstanceId", [id])).await
    }

    /// Ends a machine.
    pub(crate) async fn terminate_instances(&self, id: &str) -> Result<(), CloudError> {
        self.query.run("TerminateInstances", &self.form().list("InstanceId", [id])).await
    }

    /// Subnets, of these ids if there are any.
    pub(crate) async fn describe_subnets(&self, ids: &[String], filters: &[Filter]) -> Result<Vec<Subnet>, CloudError> {
        let form = self.form().list("SubnetId", ids).each("Filter", filters);
        self.query.pages("DescribeSubnets", &form, "subnetSet").await
    }

    /// The image with this id.
    pub(crate) async fn describe_images(&self, id: &str) -> Result<Vec<Image>, CloudError> {
        self.query.list("DescribeImages", &self.form().list("ImageId", [id]), "imagesSet").await
    }

    /// Types of machines.
    pub(crate) async fn describe_instance_types(&self, names: &[&str]) -> Result<Vec<InstanceTypeInfo>, CloudError> {
        let form = self.form().list("InstanceType", names);
        self.query.list("DescribeInstanceTypes", &form, "instanceTypeSet").await
    }

    /// Elastic IPs.
    pub(crate) async fn describe_addresses(&self, filters: &[Filter]) -> Result<Vec<Address>, CloudError> {
        self.query.list("DescribeAddresses", &self.form().each("Filter", filters), "addressesSet").await
    }

    /// Allocates an Elastic IP.
    pub(crate) async fn allocate_address(&self, tags: Option<&TagSpecification>) -> Result<(), CloudError> {
        let form = self.form().set("Domain", "vpc").each("TagSpecification", tags);
        self.query.run("AllocateAddress", &form).await
    }

    /// Gives an Elastic IP to a machine, also if another machine has it.
    pub(crate) async fn associate_address(&self, allocation: Option<&str>, machine: &str) -> Result<(), CloudError> {
        let form = self.form().set_some("AllocationId", allocation).set("InstanceId", machine);
        self.query.run("AssociateAddress", &form.set("AllowReassociation", true)).await
    }

    /// Takes an Elastic IP from its machine.
    pub(crate) async fn disassociate_address(&self, association: &str) -> Result<(), CloudError> {
        self.query.run("DisassociateAddress", &self.form().set("AssociationId", association)).await
    }

    /// Gives up an Elastic IP.
    pub(crate) async fn release_address(&self, allocation: Option<&str>) -> Result<(), CloudError> {
        self.query.run("ReleaseAddress", &self.form().set_some("AllocationId", allocation)).await
    }

    /// Security groups.
    pub(crate) async fn describe_security_groups(&self, filters: &[Filter]) -> Result<Vec<SecurityGroup>, CloudError> {
        self.query.list("DescribeSecurityGroups", &self.form().each("Filter", filters), "securityGroupInfo").await
    }

    /// Makes a security group. Returns its id.
    pub(crate) async fn create_security_group(
        &self,
        name: &str,
        description: &str,
        vpc: Option<&str>,
        tags: Option<&TagSpecification>,
    ) -> Result<Option<String>, CloudError> {
        let form = self.form().set("GroupName", name).set("GroupDescription", description);
        let form = form.set_some("VpcId", vpc).each("TagSpecification", tags);
        self.query.read("CreateSecurityGroup", &form, |root| Ok(root.text("groupId"))).await
    }

    /// Adds a rule to a security group.
    pub(crate) async fn authorize_security_group_ingress(
        &self,
        group: &str,
        rule: &IpPermission,
    ) -> Result<(), CloudError> {
        let form = self.form().set("GroupId", group).each("IpPermissions", [rule]);
        self.query.run("AuthorizeSecurityGroupIngress", &form).await
    }

    /// Removes a rule from a security group.
    pub(crate) async fn revoke_security_group_ingress(
        &self,
        group: &str,
        rule: &IpPermission,
    ) -> Result<(), CloudError> {
        let form = self.form().set("GroupId", group).each("IpPermissions", [rule]);
        self.query.run("RevokeSecurityGroupIngress", &form).await
    }

    /// Removes a security group.
    pub(crate) async fn delete_security_group(&self, group: &str) -> Result<(), CloudError> {
        self.query.run("DeleteSecurityGroup", &self.form().set("GroupId", group)).await
    }

    /// Key pairs, with their public halves on request.
    pub(crate) async fn describe_key_pairs(
        &self,
        include_public_key: bool,
        filters: &[Filter],
    ) -> Result<Vec<KeyPairInfo>, CloudError> {
        let form = self.form().set_some("IncludePublicKey", include_public_key.then_some(true));
        self.query.list("DescribeKeyPairs", &form.each("Filter", filters), "keySet").await
    }

    /// Makes a key pair of a public key in the form of OpenSSH.
    pub(crate) async fn import_key_pair(
        &self,
        name: &str,
        public: &str,
        tags: &TagSpecification,
    ) -> Result<(), CloudError> {
        let form = self.form().set("KeyName", name).set("PublicKeyMaterial", STANDARD.encode(public));
        self.query.run("ImportKeyPair", &form.each("TagSpecification", [tags])).await
    }

    /// Removes a key pair.
    pub(crate) async fn delete_key_pair(&self, name: &str) -> Result<(), CloudError> {
        self.query.run("DeleteKeyPair", &self.form().set("KeyName", name)).await
    }

    /// Instance profiles of machines.
    pub(crate) async fn describe_iam_instance_profile_associations(
        &self,
        filters: &[Filter],
    ) -> Result<Vec<ProfileAssociation>, CloudError> {
        const CALL: &str = "DescribeIamInstanceProfileAssociations";
        self.query.list(CALL, &self.form().each("Filter", filters), "iamInstanceProfileAssociationSet").await
    }

    /// Gives an instance profile to a machine.
    pub(crate) async fn associate_iam_instance_profile(&self, machine: &str, profile: &str) -> Result<(), CloudError> {
        let form = self.form().set("IamInstanceProfile.Name", profile).set("InstanceId", machine);
        self.query.run("AssociateIamInstanceProfile", &form).await
    }

    /// Takes an instance profile from a machine.
    pub(crate) async fn disassociate_iam_instance_profile(&self, association: &str) -> Result<(), CloudError> {
        self.query.run("DisassociateIamInstanceProfile", &self.form().set("AssociationId", association)).await
    }

    /// Limits of the account.
    pub(crate) async fn describe_account_attributes(&self) -> Result<Vec<AccountAttribute>, CloudError> {
        self.query.list("DescribeAccountAttributes", &self.form(), "accountAttributeSet").await
    }
}
