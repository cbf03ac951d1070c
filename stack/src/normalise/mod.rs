//! Fills in what a merged tree leaves to rules: profiles, files of variables, names, default networks, implied dependencies.

mod build;
mod dependencies;
mod environment;
mod profiles;
mod resources;

use crate::{
    load::{Loader, Stop},
    place::Place,
    yaml::{Entry, Map, Node, Value},
};

pub(crate) use self::{profiles::Inactive, resources::prune};

/// The tree in its final form, and the services that no active profile has.
pub(crate) fn normalise(
    loader: &mut Loader<'_>,
    tree: Node,
    name: &str,
    active: &[String],
) -> Result<(Node, Inactive), Stop> {
    let mut tree = tree;
    let inactive = profiles::select(&mut tree, active);
    if let Some(services) =
        tree.map_mut().and_then(|map| map.get_mut("services")).and_then(|entry| entry.node.map_mut())
    {
        for (name, entry) in services.iter_mut() {
            environment::merge_files(loader, name, &mut entry.node);
            build::defaults(&mut entry.node);
            dependencies::imply(&mut entry.node);
            resources::service_defaults(&mut entry.node);
        }
    }
    loader.check()?;
    resources::name(&mut tree, name);
    Ok((tree, inactive))
}

fn put(map: &mut Map, place: Place, key: &str, value: Value) {
    map.insert(key.to_owned(), Entry { place, node: Node::new(place, value) });
}

fn put_missing(map: &mut Map, place: Place, key: &str, value: Value) {
    if map.get(key).is_none_or(|entry| entry.node.is_null()) {
        put(map, place, key, value);
    }
}
