//! A service with profiles runs only when one of them is active.

use std::collections::BTreeMap;

use crate::{
    place::Place,
    yaml::{Map, Node},
};

/// A service that is left out, where it stands, and the profiles that would bring it.
pub(crate) type Inactive = BTreeMap<String, (Place, Vec<String>)>;

/// Removes services that no active profile has; `*` activates all.
pub(super) fn select(tree: &mut Node, active: &[String]) -> Inactive {
    let mut inactive = Inactive::new();
    let Some(services) = services(tree) else { return inactive };
    services.retain(|name, entry| {
        let profiles: Vec<String> = entry
            .node
            .get("profiles")
            .and_then(Node::list)
            .unwrap_or_default()
            .iter()
            .filter_map(|node| node.scalar().map(str::to_owned))
            .collect();
        let selected = profiles.is_empty() || active.iter().any(|name| name == "*" || profiles.contains(name));
        if !selected {
            inactive.insert(name.clone(), (entry.place, profiles));
        }
        selected
    });
    inactive
}

fn services(tree: &mut Node) -> Option<&mut Map> {
    tree.map_mut()?.get_mut("services")?.node.map_mut()
}
