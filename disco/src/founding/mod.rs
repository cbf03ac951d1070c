//! Creates and repairs a cluster: implements `cluster.start_instance`, `ssh_install`, `scale` and `destroy` of `client.js`.
//!
//! [`Founder`] does what the script requests; [`Planning`] records it for `disco plan`.
//!
//! Invariants:
//! - Every step can be interrupted anywhere and repeated: keys and certificates are written before they are used, a machine's token
//!   is recorded before the provider is called, and existing objects are left alone.
//! - A node becomes the founder of a cluster only while `.disco/cluster.json` has `founded: false`. Afterwards, nodes only join.
//! - The root's key never leaves `.disco/`; the first node's signing key is removed here once that node has answered.

mod adding;
mod address;
mod authority;
mod connecting;
mod destroy;
mod expired_nodes;
mod failing;
mod founder;
mod install;
mod key_pair;
mod machines;
mod name;
mod operator_key;
mod orphans;
mod owner;
mod place;
mod planning;
mod presence;
mod progress;
mod saved_keys;
mod scaling;
mod script;
mod sessions;
mod signing_key;

pub(crate) use self::{
    adding::{AddedHost, existing_node},
    authority::{client_certificates, client_name, issue_client, renew_operator, require_root},
    connecting::{ConnectRequest, connect},
    destroy::{LeftHost, destroy, recorded_provider, remains},
    expired_nodes::{NodeIdentity, Revival, bring_back},
    failing::failing,
    founder::{Founder, Purpose, make_provider, names_hosts, provider_failure},
    install::find_binaries,
    key_pair::operator_key,
    name::valid_cluster_name,
    operator_key::OperatorKey,
    orphans::{end_orphans, orphans_to_end},
    place::{END_ORPHANS, elsewhere, orphans_by_folder, refusal, require_original},
    planning::{Planned, Planning, cluster_plan},
    progress::{TaskProgress, install_failure},
    script::push_script,
    sessions::{Sessions, ssh_failure},
    signing_key::{renew_signing_key, replace_signing_key},
};
