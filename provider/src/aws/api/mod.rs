//! The calls of EC2, IAM and Service Quotas that Disco makes, with only the parameters that it sends and the fields that it reads.
//!
//! Amazon's own crates for these services take longer to build than the rest of Disco (see ARCHITECTURE.md). Everything except
//! parameters and answers is still Amazon's: credentials and their cache, signing, connections, time limits, retries, the
//! correction of a wrong clock ([`call`]).
//!
//! Invariants:
//! - A call is one method, its name is stated once, and its failure is a [`CloudError`](super::error::CloudError) with that name.
//! - An answer that cannot be read is an error. A field that is missing in an answer is `None`, or an empty list.

mod call;
mod ec2;
mod endpoint;
mod form;
mod iam;
mod query;
mod quotas;
mod rules;
mod run_instances;
mod types;
mod xml;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;

pub(super) use ec2::Ec2;
pub(super) use iam::{Iam, InstanceProfile, Role};
pub(super) use quotas::Quotas;
pub(super) use rules::{IpPermission, IpRange, Ipv6Range, SecurityGroup, UserIdGroupPair};
pub(super) use run_instances::{BlockDevice, RunInstances};
pub(super) use types::{Address, Filter, Instance, InstanceState, KeyPairInfo, Subnet, Tag, TagSpecification};
