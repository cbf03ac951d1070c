//! Whose machines this project may touch: its own cluster's, and such as are nobody's.

use disco_provider::{
    Instance,
    install::{Binaries, Other, Owner},
};

use crate::project::ClusterRecord;

impl ClusterRecord {
    /// The cluster, for machines that are known to be its own, or are left alone.
    pub(crate) fn owner(&self) -> Owner {
        Owner { cluster_id: self.id.clone(), cluster_name: self.name.clone(), ..Owner::default() }
    }

    /// The cluster, for a machine that is to become a node: what its other machines are this one must not be. `binaries` are
    /// what it is to get.
    pub(super) fn owner_of(&self, machine: &Instance, binaries: Option<&Binaries>) -> Owner {
        let others = self.instances.iter().filter_map(|instance| instance.id.clone()).filter(|id| *id != machine.id);
        Owner {
            instance: Some(machine.id.clone()),
            others: others.map(|instance| Other { instance, node: None }).collect(),
            programs: binaries.map(Binaries::checksums).unwrap_or_default(),
            ..self.owner()
        }
    }
}
