use disco_provider::{Machine, ssh::HostKeyPolicy};

use crate::project::Project;

/// Expects the host key that the provider knows; without one, trusts the first key seen and pins it for this project.
pub(crate) fn host_key_policy(project: &Project, machine: &Machine) -> HostKeyPolicy {
    machine.host_key_policy(project.state().file("known_hosts"))
}
