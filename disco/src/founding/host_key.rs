use disco_provider::{Instance, ssh::HostKeyPolicy};

use crate::project::Project;

/// The key that the provider knows; where it knows none, the one seen first is pinned for this project.
pub(crate) fn host_key_policy(project: &Project, machine: &Instance) -> HostKeyPolicy {
    match &machine.host_key {
        Some(key) => HostKeyPolicy::Pinned(key.clone()),
        None => HostKeyPolicy::KnownHosts { file: project.state().file("known_hosts"), pin_first: true },
    }
}
