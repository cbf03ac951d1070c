//! Machines of Amazon EC2, and of compatible APIs.
//!
//! The resources of a cluster. Each is made at most once, however many callers request it:
//!
//! | | found by | made at most once by |
//! |---|---|---|
//! | machines | tags `disco:cluster`, `disco:token` | a client token made of the machine's name and zone |
//! | key pairs, security group, instance role and profile | their names | the same, as names are unique |
//! | Elastic IP | tag `disco:cluster` | keeping one of those found |
//!
//! Invariants:
//! - Nothing is changed that does not carry the tag of this cluster.
//! - Only the operator makes resources other than machines. A node gets its credentials from its instance role, which allows it
//!   to start machines of its cluster and to end those with the cluster's tag (see `policy`), and nothing else.
//! - Only this module names the SDK, and its clients are made for the first request. The calls of EC2, IAM and Service Quotas are `api`.

mod address;
mod announcements;
mod api;
mod clients;
mod doctor;
mod environment;
mod error;
mod image;
mod imds;
mod instances;
mod key_pairs;
mod launch;
mod names;
mod network;
mod options;
mod planning;
mod policy;
mod prices;
mod provider;
mod quota;
mod removal;
mod role;
mod security_group;
mod user_data;

pub use error::CloudError;
pub use provider::AwsProvider;
