//! From a project to a cluster: what `cluster.start_instance`, `ssh_install`, `scale` and `destroy` of `client.js` do.
//!
//! Invariants:
//! - Every step may be interrupted anywhere and done again: keys and certificates are written before they are used, machines
//!   are asked for by a token that is recorded before, and what is there already is left alone.
//! - A node is made the founder of a cluster only while `.disco/cluster.json` says that the cluster was not founded. From
//!   then on nodes only ever join.
//! - The root's key never leaves `.disco/`; the signing key that the first node is given is removed here once that node
//!   answered.

mod authority;
mod comeback;
mod connecting;
mod destroy;
mod failing;
mod founder;
mod host_key;
mod install;
mod instances;
mod kept;
mod key_pair;
mod name;
mod orphans;
mod owner;
mod place;
mod planning;
mod progress;
mod scaling;
mod script;
mod sessions;
mod signing_key;

pub(crate) use self::{
    authority::{renew_operator, require_root},
    comeback::{NodeIdentity, bring_back},
    connecting::{Wish, connect},
    destroy::{destroy, recorded_provider, remains},
    failing::failing,
    founder::{Founder, Purpose, make_provider, names_hosts, provider_failure},
    host_key::host_key_policy,
    install::find_binaries,
    key_pair::operator_key,
    name::valid_cluster_name,
    orphans::end_orphans,
    place::{END_ORPHANS, elsewhere, orphans_by_folder, refusal, require_original},
    planning::{Planned, foresee},
    progress::{TaskProgress, install_failure},
    script::push_script,
    sessions::{Sessions, ssh_failure},
    signing_key::{renew_signing_key, replace_signing_key},
};
