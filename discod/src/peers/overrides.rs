//! Addresses of nodes set by the operator, which replace those in the membership.
//!
//! Once all nodes have new addresses none finds another, so no leader can write the new ones into the membership. The
//! operator gives each node the addresses of the others. An override applies while the membership has the address that
//! it replaces: the leader elected with its help writes what the nodes report, and from then on the membership is
//! right.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// File name in the data folder.
const FILE: &str = "addresses.json";

/// One node's address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    /// The address in the membership.
    instead_of: String,
    address: String,
}

/// The operator's overrides. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct AddressOverrides {
    /// Absent in tests: the overrides are then lost with the process.
    path: Option<PathBuf>,
    places: Arc<Mutex<BTreeMap<u64, Place>>>,
}

// === impl AddressOverrides ===

impl AddressOverrides {
    /// Loads the overrides set before this start.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn load(data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.join(FILE);
        let places = match fs_err::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| {
                io::Error::new(io::ErrorKind::InvalidData, format!("`{}` is damaged: {error}", path.display()))
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error),
        };
        Ok(Self { path: Some(path), places: Arc::new(Mutex::new(places)) })
    }

    /// The address of a node whose address in the membership is `recorded`.
    #[must_use]
    pub fn resolve(&self, node: u64, recorded: &str) -> String {
        let mut places = self.places.lock();
        match places.get(&node) {
            None => recorded.to_owned(),
            Some(place) if place.instead_of == recorded => place.address.clone(),
            Some(_) => {
                places.remove(&node);
                if let Err(error) = self.keep(&places) {
                    tracing::warn!(%error, "could not delete an address override that is no longer needed");
                }
                recorded.to_owned()
            }
        }
    }

    /// Sets addresses: by node id the one in the membership, and its replacement. Equal ones remove the override.
    ///
    /// # Errors
    /// The file cannot be written; the addresses then apply until the process ends.
    pub fn set(&self, addresses: BTreeMap<u64, (String, String)>) -> io::Result<()> {
        let mut places = self.places.lock();
        for (node, (instead_of, address)) in addresses {
            if instead_of == address {
                places.remove(&node);
            } else {
                places.insert(node, Place { instead_of, address });
            }
        }
        self.keep(&places)
    }

    fn keep(&self, places: &BTreeMap<u64, Place>) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        if places.is_empty() {
            return match fs_err::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        }
        disco_identity::write_public(path, &serde_json::to_vec_pretty(places)?).map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(node: u64, instead_of: &str, address: &str) -> BTreeMap<u64, (String, String)> {
        BTreeMap::from([(node, (instead_of.to_owned(), address.to_owned()))])
    }

    #[test]
    fn an_override_outlives_the_process_and_ends_when_the_membership_changes() {
        let dir = tempfile::tempdir().unwrap();
        let first = AddressOverrides::load(dir.path()).unwrap();
        first.set(one(2, "10.0.0.2:5080", "10.1.0.2:5080")).unwrap();
        assert_eq!(first.resolve(1, "10.0.0.1:5080"), "10.0.0.1:5080");
        let again = AddressOverrides::load(dir.path()).unwrap();
        assert_eq!(again.resolve(2, "10.0.0.2:5080"), "10.1.0.2:5080");
        assert_eq!(again.resolve(2, "10.1.0.2:5080"), "10.1.0.2:5080");
        // The node may return to its previous address, and is then found there, even after another start.
        assert_eq!(again.resolve(2, "10.0.0.2:5080"), "10.0.0.2:5080");
        assert!(!dir.path().join(FILE).exists());
        assert_eq!(AddressOverrides::load(dir.path()).unwrap().resolve(2, "10.0.0.2:5080"), "10.0.0.2:5080");
    }

    #[test]
    fn an_address_equal_to_the_memberships_removes_the_override() {
        let addresses = AddressOverrides::default();
        addresses.set(one(2, "a", "b")).unwrap();
        addresses.set(one(2, "a", "a")).unwrap();
        assert_eq!(addresses.resolve(2, "a"), "a");
    }

    #[test]
    fn a_damaged_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        fs_err::write(dir.path().join(FILE), "no json").unwrap();
        let error = AddressOverrides::load(dir.path()).unwrap_err();
        assert!(error.to_string().contains("addresses.json"), "{error}");
    }
}
