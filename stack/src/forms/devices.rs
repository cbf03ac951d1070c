//! Devices, limits of a process, and graphics cards.

use super::{Form, Read, text_of};
use crate::{
    problem::Problem,
    schema::{
        container::{DEVICE, ULIMIT},
        deploy::DEVICES,
    },
    yaml::{Entry, Map, Node, Tag, Value},
};

impl Form<'_> {
    /// `/dev/x`, `/dev/x:/dev/y`, `/dev/x:/dev/y:rw`, `vendor/class=name`, or the long form.
    pub(super) fn devices(&mut self, node: Node) -> Read {
        let place = node.place;
        let Value::List(list) = node.value else { return Err(self.wrong(&node, "a list")) };
        let mut devices = Vec::with_capacity(list.len());
        for item in list {
            self.refuse_item_tag(&item);
            let at = item.place;
            if matches!(item.value, Value::Map(_)) {
                let mut device = self.object(DEVICE, item)?;
                let Some(source) =
                    device.get("source").filter(|node| !node.is_null()).map(|node| text_of(node).to_owned())
                else {
                    return Err(Problem::at(at, format!("`{}`: `source` of the device is missing", self.name())));
                };
                if let Some(map) = device.map_mut() {
                    for (key, value) in [("target", source.as_str()), ("permissions", "rwm")] {
                        map.entry(key.to_owned()).or_insert_with(|| Entry { place: at, node: Node::text(at, value) });
                    }
                }
                devices.push(device);
                continue;
            }
            let text = self.text(item)?;
            let parts: Vec<&str> = text_of(&text).split(':').collect();
            let (source, target, permissions) = match parts[..] {
                [source] => (source, source, "rwm"),
                [source, target] if is_permissions(target) => (source, source, target),
                [source, target] => (source, target, "rwm"),
                [source, target, permissions] if is_permissions(permissions) => (source, target, permissions),
                _ => {
                    return Err(
                        self.invalid(&text, "expected `SOURCE[:TARGET[:PERMISSIONS]]`, permissions of `r`, `w`, `m`")
                    );
                }
            };
            let map = [("source", source), ("target", target), ("permissions", permissions)]
                .map(|(key, value)| (key.to_owned(), Entry { place: at, node: Node::text(at, value) }));
            devices.push(Node::new(at, Value::Map(Map::from(map))));
        }
        Ok(Node::new(place, Value::List(devices)))
    }

    /// A number for both limits, or `{soft, hard}`.
    pub(super) fn ulimits(&mut self, node: Node) -> Read {
        let place = node.place;
        let Value::Map(map) = node.value else { return Err(self.wrong(&node, "a mapping")) };
        let mut limits = Map::new();
        for (name, entry) in map {
            let tag = entry.node.tag;
            self.path.push(name.clone());
            let read = match (&entry.node.value, tag) {
                (_, Tag::Reset) => Ok(Node { value: Value::Null, ..entry.node }),
                (Value::Map(_), _) => self.object(ULIMIT, entry.node).and_then(|limit| {
                    let missing = ["soft", "hard"].into_iter().find(|key| limit.get(key).is_none());
                    match missing {
                        Some(key) => Err(Problem::at(limit.place, format!("`{}`: `{key}` is missing", self.name()))),
                        None => Ok(limit),
                    }
                }),
                _ => self.int(entry.node),
            };
            self.path.pop();
            limits.insert(name, Entry { place: entry.place, node: Node { tag, ..read? } });
        }
        Ok(Node::new(place, Value::Map(limits)))
    }

    /// `all` is one request for all.
    pub(super) fn gpus(&mut self, node: Node) -> Read {
        let place = node.place;
        match (&node.value, node.scalar()) {
            (_, Some("all")) => {
                let all = super::single("count", Node::new(place, Value::Int(-1)));
                Ok(Node::new(place, Value::List(vec![Node::new(place, Value::Map(all))])))
            }
            (Value::List(_), _) => {
                let Value::List(list) = node.value else { return Err(self.wrong(&node, "a list")) };
                let mut requests = Vec::with_capacity(list.len());
                for item in list {
                    let place = item.place;
                    let mut request = self.object(DEVICES, item)?;
                    if request.get("count").is_none()
                        && request.get("device_ids").is_none()
                        && let Some(map) = request.map_mut()
                    {
                        map.insert("count".to_owned(), Entry { place, node: Node::new(place, Value::Int(-1)) });
                    }
                    requests.push(request);
                }
                Ok(Node::new(place, Value::List(requests)))
            }
            _ => Err(self.wrong(&node, "`all` or a list of requests")),
        }
    }
}

fn is_permissions(text: &str) -> bool {
    !text.is_empty() && text.len() <= 3 && text.bytes().all(|b| matches!(b, b'r' | b'w' | b'm'))
}
