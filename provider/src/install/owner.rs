//! Decides whether a machine may be changed. Every operation uses this: founding, joining, repairing, upgrading, new certificates,
//! removing.
//!
//! A machine may be changed if it belongs to no cluster, or to this one by its `node.json` or by the manifest that Disco wrote
//! first. Everything else, and every unclear state, is refused.

use std::fmt;

use serde::Deserialize;

use super::manifest::Manifest;

/// The cluster that is about to change a machine.
#[derive(Debug, Clone, Default)]
pub struct Owner {
    /// Its random id.
    pub cluster_id: String,
    /// Its name.
    pub cluster_name: String,
    /// The provider's id of the intended machine, see [`crate::Machine::id`]; `None`: any machine of the cluster.
    pub machine: Option<String>,
    /// The cluster's other machines: one of them may be this machine under another address.
    pub others: Vec<Other>,
    /// Checksums of the programs to install, in hexadecimal digits; empty if none are installed. Other files in their place
    /// are foreign.
    pub programs: Vec<String>,
}

/// Another machine of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Other {
    /// Its id at the provider.
    pub machine: String,
    /// Its node id, once it is a node.
    pub node: Option<u64>,
}

/// The part of the daemon's `node.json` that identifies its cluster.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Node {
    pub(super) cluster_id: String,
    pub(super) cluster_name: String,
    pub(super) node_id: u64,
    pub(super) name: String,
}

/// What was found on a machine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Found {
    pub(super) node: Option<Node>,
    pub(super) manifest: Option<Manifest>,
    /// Files that only a node has, by their paths.
    pub(super) remains: Vec<String>,
    /// Programs under Disco's names, by path, with their checksums.
    pub(super) programs: Vec<(String, String)>,
    /// Folders that an installation would make.
    pub(super) absent: Vec<String>,
}

/// Why a machine must not be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It belongs to another cluster.
    AnotherCluster {
        /// That cluster's name.
        cluster: String,
        /// Its id.
        id: String,
        /// The node, if it has become one.
        node: Option<(u64, String)>,
    },
    /// It is another machine of this cluster, under another address.
    Twice {
        /// The id by which the cluster knows it.
        machine: String,
        /// Its node id.
        node: Option<u64>,
    },
    /// It has files of a node, but not those that identify the cluster.
    Remains {
        /// One of them.
        path: String,
    },
    /// A program that Disco did not install has the path of one of Disco's.
    Foreign {
        /// Its path.
        path: String,
    },
}

impl Found {
    /// Whether it belongs to no cluster.
    pub(super) fn is_empty(&self) -> bool {
        self.node.is_none() && self.manifest.is_none()
    }

    /// Whether `owner` may change the machine.
    pub(super) fn check(&self, owner: &Owner) -> Result<(), Refusal> {
        let node = self.node.as_ref();
        // Both must name the same cluster; an empty id matches none.
        let claims = node.map(|node| (&node.cluster_id, &node.cluster_name)).into_iter();
        let claims = claims.chain(self.manifest.as_ref().map(|it| (&it.cluster_id, &it.cluster_name)));
        for (id, cluster) in claims {
            if *id != owner.cluster_id || id.is_empty() {
                let node = node.filter(|node| node.cluster_id == *id).map(|node| (node.node_id, node.name.clone()));
                return Err(Refusal::AnotherCluster { cluster: cluster.clone(), id: id.clone(), node });
            }
        }
        if self.is_empty() {
            if let Some(path) = self.remains.first() {
                return Err(Refusal::Remains { path: path.clone() });
            }
            let foreign = self.programs.iter().find(|(_, sum)| !owner.programs.contains(sum));
            return match foreign.filter(|_| !owner.programs.is_empty()) {
                Some((path, _)) => Err(Refusal::Foreign { path: path.clone() }),
                None => Ok(()),
            };
        }
        let Some(machine) = &owner.machine else { return Ok(()) };
        let known = self.manifest.as_ref().and_then(|manifest| manifest.machine.as_ref());
        let same = |other: &&Other| {
            other.machine != *machine
                && (known == Some(&other.machine) || node.is_some_and(|node| other.node == Some(node.node_id)))
        };
        match owner.others.iter().find(same) {
            Some(other) => Err(Refusal::Twice { machine: other.machine.clone(), node: other.node }),
            None => Ok(()),
        }
    }
}

impl Refusal {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::AnotherCluster { .. } => {
                "remove it from this project's `hosts`, or remove it from that cluster first \
                 (`disco node rm NODE` there)"
                    .to_owned()
            }
            Self::Twice { .. } => "list each machine once in `hosts`".to_owned(),
            Self::Remains { path } => format!("if no cluster needs them, remove the folder of `{path}` and try again"),
            Self::Foreign { path } => {
                format!("move it away (`mv {path} {path}.mine`), or use another user on that machine")
            }
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AnotherCluster { cluster, id, node: Some((number, name)) } => {
                write!(f, "it belongs to another cluster, as node {number} `{name}` of `{cluster}` ({id})")
            }
            Self::AnotherCluster { cluster, id, node: None } => {
                write!(f, "it belongs to another cluster, `{cluster}` ({id}), which is installing a node there")
            }
            Self::Twice { machine, node: Some(node) } => {
                write!(f, "it is already node {node} of this cluster, known as `{machine}`")
            }
            Self::Twice { machine, node: None } => {
                write!(f, "it is already a machine of this cluster, known as `{machine}`")
            }
            Self::Remains { path } => {
                write!(f, "it has files of a node (`{path}`), but no record of the node's cluster")
            }
            Self::Foreign { path } => write!(f, "`{path}` exists, and Disco did not install it"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(machine: &str) -> Owner {
        Owner {
            cluster_id: "ours".to_owned(),
            cluster_name: "stage".to_owned(),
            machine: Some(machine.to_owned()),
            others: vec![
                Other { machine: "a:22".to_owned(), node: Some(1) },
                Other { machine: "b:22".to_owned(), node: None },
            ],
            programs: vec!["sum".to_owned()],
        }
    }

    fn node(cluster: &str, id: u64) -> Option<Node> {
        let name = format!("{cluster}-{id}");
        Some(Node { cluster_id: cluster.to_owned(), cluster_name: cluster.to_owned(), node_id: id, name })
    }

    fn manifest(cluster: &str, machine: &str) -> Option<Manifest> {
        let machine = Some(machine.to_owned());
        Some(Manifest {
            cluster_id: cluster.to_owned(),
            cluster_name: cluster.to_owned(),
            machine,
            ..Manifest::default()
        })
    }

    #[test]
    fn what_is_empty_or_ours_may_be_touched() {
        let may = |found: Found| found.check(&owner("c:22")).unwrap();
        may(Found::default());
        may(Found { programs: vec![("/usr/local/bin/disco".to_owned(), "sum".to_owned())], ..Found::default() });
        may(Found { node: node("ours", 3), manifest: manifest("ours", "c:22"), ..Found::default() });
        // Before it has joined, and installed by an earlier version.
        may(Found { manifest: manifest("ours", "c:22"), remains: vec!["/x".to_owned()], ..Found::default() });
        may(Found { node: node("ours", 3), ..Found::default() });
        // Its port was another one, and no other machine has that.
        may(Found { node: node("ours", 3), manifest: manifest("ours", "c:2222"), ..Found::default() });
        // The machine itself is among the known ones.
        let known = Found { node: node("ours", 1), manifest: manifest("ours", "a:22"), ..Found::default() };
        known.check(&owner("a:22")).unwrap();
    }

    #[test]
    fn what_another_cluster_has_is_refused_by_either_file() {
        for found in [
            Found { node: node("prod", 1), ..Found::default() },
            Found { manifest: manifest("prod", "c:22"), ..Found::default() },
            Found { node: node("ours", 1), manifest: manifest("prod", "c:22"), ..Found::default() },
            Found { node: node("prod", 1), manifest: manifest("ours", "c:22"), ..Found::default() },
        ] {
            let refusal = found.check(&owner("c:22")).unwrap_err();
            assert!(matches!(&refusal, Refusal::AnotherCluster { cluster, .. } if cluster == "prod"), "{refusal}");
            // A cluster whose record is lost owns nothing.
            assert!(found.check(&Owner::default()).is_err());
        }
        let unowned = Found { node: node("", 1), ..Found::default() };
        assert!(unowned.check(&Owner::default()).is_err());
    }

    #[test]
    fn one_machine_under_two_addresses_is_refused() {
        for found in [
            Found { manifest: manifest("ours", "b:22"), ..Found::default() },
            Found { node: node("ours", 1), ..Found::default() },
            Found { node: node("ours", 1), manifest: manifest("ours", "a:22"), ..Found::default() },
        ] {
            let refusal = found.check(&owner("c:22")).unwrap_err();
            assert!(matches!(refusal, Refusal::Twice { .. }), "{refusal}");
            assert!(refusal.to_string().contains("of this cluster, known as"), "{refusal}");
        }
    }

    #[test]
    fn what_is_not_clear_is_refused() {
        let remains = Found { remains: vec!["/var/lib/disco/raft.redb".to_owned()], ..Found::default() };
        assert!(matches!(remains.check(&owner("c:22")), Err(Refusal::Remains { .. })));
        let program = ("/usr/local/bin/disco".to_owned(), "another".to_owned());
        let foreign = Found { programs: vec![program], ..Found::default() };
        assert!(matches!(foreign.check(&owner("c:22")), Err(Refusal::Foreign { .. })));
        // Without programs to install, foreign ones do not matter.
        foreign.check(&Owner { programs: Vec::new(), ..owner("c:22") }).unwrap();
    }
}
