//! The capabilities of a provider, and the pace that it suggests.

use disco_planner::Pace;

/// The operations that a provider supports; any other fails with [`crate::ProviderError::NotSupported`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// It can start new machines.
    pub can_start: bool,
    /// A machine can be stopped and started again with its disk and its address.
    pub can_stop: bool,
    /// A terminated machine ceases to exist, with its disk. If false, `terminate` only releases the machine, and what was
    /// installed on it has to be removed over SSH first.
    pub can_terminate: bool,
    /// A public address that follows the leader can be attached.
    pub can_attach_address: bool,
    /// Machines have their own permissions at the provider, which only voters should have.
    pub has_roles: bool,
    /// A new machine boots for a while, during which it does not answer SSH, or refuses keys that it accepts later.
    pub boots: bool,
    /// How fast the cluster's consensus can run on such machines, unless the operator sets it.
    pub pace: Pace,
}
