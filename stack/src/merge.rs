//! Lays a later value over an earlier one. Both are in their one form, so that it does not matter in which spelling each file has it.
//!
//! Mappings merge key by key, texts and numbers replace, lists add up without duplicates: ports by address, port and protocol,
//! volumes, secrets, configs and devices by target. `command`, `entrypoint` and `healthcheck.test` replace. `!override` takes the
//! later value as it is, `!reset` removes both.

use crate::{
    forms::port_identity,
    schema::{Key, Kind, find},
    yaml::{Entry, Map, Node, Tag, Value},
};

/// `over` on top of `base`.
pub(crate) fn merge(kind: &'static Kind, base: Node, over: Node) -> Node {
    match over.tag {
        Tag::Reset => return over,
        Tag::Override => return Node { tag: Tag::None, ..over },
        Tag::None => {}
    }
    if base.is_null() || base.tag == Tag::Reset || matches!(kind, Kind::Command | Kind::HealthTest) {
        return over;
    }
    if over.is_null() {
        return base;
    }
    match kind {
        Kind::Object(keys) | Kind::ObjectOrNull(keys) | Kind::TextOrObject(_, keys) => {
            if replaces_whole(keys, &base, &over) {
                return over;
            }
            maps(base, over, |name| find(keys, name).map_or(&Kind::Free, |key| &key.kind))
        }
        Kind::NamesOrMap(keys) => maps_with(base, over, |base, over| match (base.is_null(), over.is_null()) {
            (_, true) => base,
            (true, false) => over,
            (false, false) => maps(base, over, |name| find(keys, name).map_or(&Kind::Free, |key| &key.kind)),
        }),
        Kind::Map(inner) => maps(base, over, |_| inner),
        Kind::DependsOn => maps(base, over, |_| &Kind::Free),
        Kind::Pairs(_) => maps_with(base, over, |_, over| over),
        Kind::Ulimits => maps_with(base, over, |_, over| over),
        Kind::Free => match (&base.value, &over.value) {
            (Value::Map(_), Value::Map(_)) => maps(base, over, |_| &Kind::Free),
            (Value::List(_), Value::List(_)) => lists(base, over, None),
            _ => over,
        },
        Kind::Ports => lists(base, over, Some(&port_identity)),
        Kind::Volumes | Kind::Devices => lists(base, over, Some(&target)),
        Kind::Mounts(folder) => lists(base, over, Some(&|mount: &Node| mount_target(folder, mount))),
        Kind::EnvFiles => lists(base, over, Some(&|file: &Node| text(file, "path").to_owned())),
        Kind::Tmpfs => lists(
            base,
            over,
            Some(&|entry: &Node| entry.scalar().unwrap_or_default().split(':').next().unwrap_or_default().to_owned()),
        ),
        Kind::TextList | Kind::ScalarList | Kind::TextOrList | Kind::ExtraHosts | Kind::Expose => {
            lists(base, over, Some(&|entry: &Node| entry.scalar().unwrap_or_default().to_owned()))
        }
        Kind::List(_) | Kind::Gpus => lists(base, over, None),
        Kind::Text
        | Kind::Scalar
        | Kind::Bool
        | Kind::Int
        | Kind::Number
        | Kind::Duration
        | Kind::Size
        | Kind::SizeOrUnlimited
        | Kind::Mode
        | Kind::OneOf(_)
        | Kind::External
        | Kind::Command
        | Kind::HealthTest
        | Kind::DeviceCount
        | Kind::Restart
        | Kind::PullPolicy => over,
    }
}

/// Options belong to their driver: another driver of `logging` brings its own.
fn replaces_whole(keys: &[Key], base: &Node, over: &Node) -> bool {
    let is_logging = matches!(keys, [Key { name: "driver", .. }, Key { name: "options", .. }]);
    let driver = |node: &Node| node.get("driver").and_then(Node::scalar).map(str::to_owned);
    is_logging && matches!((driver(base), driver(over)), (Some(base), Some(over)) if base != over)
}

fn maps(base: Node, over: Node, kind: impl Fn(&str) -> &'static Kind) -> Node {
    merge_maps(base, over, |name, base, over| merge(kind(name), base, over))
}

fn maps_with(base: Node, over: Node, both: impl Fn(Node, Node) -> Node) -> Node {
    merge_maps(base, over, |_, base, over| match over.tag {
        Tag::Reset => over,
        Tag::Override => Node { tag: Tag::None, ..over },
        Tag::None if base.tag == Tag::Reset => over,
        Tag::None => both(base, over),
    })
}

fn merge_maps(base: Node, over: Node, both: impl Fn(&str, Node, Node) -> Node) -> Node {
    let (Value::Map(mut merged), Value::Map(later)) = (base.value, over.value) else {
        return Node::new(over.place, Value::Map(Map::new()));
    };
    for (name, entry) in later {
        match merged.get_mut(&name) {
            None => {
                merged.insert(name, entry);
            }
            Some(earlier) => {
                let before = std::mem::replace(&mut earlier.node, Node::new(entry.place, Value::Null));
                *earlier = Entry { place: entry.place, node: both(&name, before, entry.node) };
            }
        }
    }
    Node::new(over.place, Value::Map(merged))
}

type Identity<'a> = &'a dyn Fn(&Node) -> String;

/// A later item takes the place of the earlier one that is the same by `identity`.
fn lists(base: Node, over: Node, identity: Option<Identity<'_>>) -> Node {
    let (Value::List(mut merged), Value::List(later)) = (base.value, over.value) else {
        return Node::new(over.place, Value::List(Vec::new()));
    };
    let mut known = std::collections::BTreeMap::new();
    if let Some(identity) = identity {
        for (index, item) in merged.iter().enumerate() {
            known.insert(identity(item), index);
        }
    }
    for item in later {
        if let Some(identity) = identity {
            let identity = identity(&item);
            if let Some(index) = known.get(&identity) {
                merged[*index] = item;
                continue;
            }
            known.insert(identity, merged.len());
        }
        merged.push(item);
    }
    Node::new(over.place, Value::List(merged))
}

fn text<'a>(node: &'a Node, key: &str) -> &'a str {
    node.get(key).and_then(Node::scalar).unwrap_or_default()
}

fn target(node: &Node) -> String {
    text(node, "target").to_owned()
}

fn mount_target(folder: &str, node: &Node) -> String {
    match (text(node, "target"), text(node, "source")) {
        (target, _) if target.starts_with('/') => target.to_owned(),
        ("", name) | (name, _) => format!("{folder}/{name}"),
    }
}

/// Removes what `!reset` marked.
pub(crate) fn without_resets(node: &mut Node) {
    match &mut node.value {
        Value::Map(map) => {
            map.retain(|_, entry| entry.node.tag != Tag::Reset);
            map.values_mut().for_each(|entry| without_resets(&mut entry.node));
        }
        Value::List(list) => list.iter_mut().for_each(without_resets),
        _ => {}
    }
    node.tag = Tag::None;
}
