//! Which machines this project may change: those of its own cluster, and those without an owner.

use disco_provider::{
    Machine,
    install::{Binaries, Other, Owner},
};

use crate::project::ClusterRecord;

impl ClusterRecord {
    /// The cluster as owner of existing machines: others are left alone.
    pub(crate) fn owner(&self) -> Owner {
        Owner { cluster_id: self.id.clone(), cluster_name: self.name.clone(), ..Owner::default() }
    }

    /// The cluster as owner of a machine that becomes a node, and that must not be another of its machines. `binaries` will be
    /// installed there.
    pub(super) fn owner_of(&self, machine: &Machine, binaries: Option<&Binaries>) -> Owner {
        let others = self.machines.iter().filter_map(|machine| machine.id.clone()).filter(|id| *id != machine.id);
        Owner {
            machine: Some(machine.id.clone()),
            others: others.map(|machine| Other { machine, node: None }).collect(),
            programs: binaries.map(Binaries::checksums).unwrap_or_default(),
            ..self.owner()
        }
    }
}
