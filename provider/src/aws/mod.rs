//! Machines of Amazon EC2, and of APIs that behave like it.
//!
//! What is made for a cluster, once at most, however often and by however many it is asked for:
//!
//! | | found by | made at most once by |
//! |---|---|---|
//! | machines | tags `disco:cluster`, `disco:token` | a client token made of the machine's name and zone |
//! | key pairs, security group, instance role and profile | their names | the same, as names are unique |
//! | Elastic IP | tag `disco:cluster` | keeping one of those that are found |
//!
//! Invariants:
//! - Nothing is touched that does not carry the tag of this cluster.
//! - Only the operator makes what is beside the machines. A node has its credentials from its instance role, which allows it
//!   to start machines of its cluster and to end what carries the cluster's tag (see `policy`), and nothing else.
//! - The SDK is named here alone, and its client is made when the first request is.

mod address;
mod announcements;
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
