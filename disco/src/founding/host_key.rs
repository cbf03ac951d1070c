use disco_provider::{Instance, ssh::HostKeyPolicy};

use crate::project::Project;

/// The key that the provider knows; where it knows none, the one seen first is pinned for this project.
pub(crate) fn host_key_policy(project: &Project, machine: &Instance) -> HostKeyPolicy {
    machine.host_key_policy(project.state().file("known_hosts"))
}
