//! `volumes` of a service, and the files of its secrets and configs.

use super::{Form, Read, text_of};
use crate::{
    problem::Problem,
    schema::container::{MOUNT, VOLUME},
    yaml::{Entry, Map, Node, Value, same},
};

impl Form<'_> {
    /// Canonical in the long form.
    pub(super) fn volumes(&mut self, node: Node) -> Read {
        let place = node.place;
        let Value::List(list) = node.value else { return Err(self.wrong(&node, "a list")) };
        let mut volumes = Vec::with_capacity(list.len());
        for (index, item) in list.into_iter().enumerate() {
            self.refuse_item_tag(&item);
            self.path.push(index.to_string());
            let read = match item.value {
                Value::Map(_) => self.long_volume(item),
                _ => self.short_volume(&item),
            };
            self.path.pop();
            match read {
                Ok(volume) if volumes.iter().any(|other| same(other, &volume)) => {}
                Ok(volume) => volumes.push(volume),
                Err(problem) => self.findings.error(problem),
            }
        }
        Ok(Node::new(place, Value::List(volumes)))
    }

    fn short_volume(&self, item: &Node) -> Read {
        let Some(text) = item.scalar() else { return Err(self.wrong(item, "a volume such as `data:/data`")) };
        short(text, item).map_err(|why| self.invalid(item, &why))
    }

    fn long_volume(&mut self, item: Node) -> Read {
        let place = item.place;
        let volume = self.object(VOLUME, item)?;
        let text = |key: &str| volume.get(key).map(text_of).unwrap_or_default();
        let problem = |at: crate::place::Place, why: String| Problem::at(at, format!("`{}`: {why}", self.name()));
        let kind = text("type");
        match kind {
            "" => return Err(problem(place, "`type` is missing: expected `bind`, `volume` or `tmpfs`".to_owned())),
            "image" => {
                let instead = "copy the files into the service's own image";
                return Err(problem(place, "Disco does not support volumes of type `image`".to_owned()).hint(instead));
            }
            "npipe" | "cluster" => {
                let why = format!("Disco does not support volumes of type `{kind}`");
                return Err(problem(place, why).hint("use `volume` or `bind`"));
            }
            _ => {}
        }
        if text("target").is_empty() {
            return Err(problem(place, "`target` is missing".to_owned()));
        }
        if kind == "bind" && text("source").is_empty() {
            return Err(problem(place, "`source` of a bind mount is missing".to_owned()));
        }
        Ok(volume)
    }

    /// `NAME`, or the long form.
    pub(super) fn mounts(&mut self, node: Node) -> Read {
        let place = node.place;
        let Value::List(list) = node.value else { return Err(self.wrong(&node, "a list")) };
        let mut mounts = Vec::with_capacity(list.len());
        for (index, item) in list.into_iter().enumerate() {
            self.refuse_item_tag(&item);
            self.path.push(index.to_string());
            let read = match item.value {
                Value::Map(_) => self.object(MOUNT, item).and_then(|mount| match mount.get("source") {
                    Some(source) if !source.is_null() => Ok(mount),
                    _ => Err(Problem::at(mount.place, format!("`{}`: `source` is missing", self.name()))),
                }),
                _ => {
                    let at = item.place;
                    self.text(item).map(|source| Node::new(at, Value::Map(super::single("source", source))))
                }
            };
            self.path.pop();
            match read {
                Ok(mount) if mounts.iter().any(|other| same(other, &mount)) => {}
                Ok(mount) => mounts.push(mount),
                Err(problem) => self.findings.error(problem),
            }
        }
        Ok(Node::new(place, Value::List(mounts)))
    }
}

/// `TARGET`, `SOURCE:TARGET` or `SOURCE:TARGET:OPTION,…`.
fn short(text: &str, item: &Node) -> Result<Node, String> {
    let at = item.place;
    let parts: Vec<&str> = text.split(':').collect();
    if parts.iter().any(|part| part.is_empty()) {
        return Err("one side of a `:` is empty".to_owned());
    }
    let (source, target, options) = match parts[..] {
        [target] => (None, target, ""),
        [source, target] => (Some(source), target, ""),
        [source, target, options] => (Some(source), target, options),
        _ => return Err("more than two `:`".to_owned()),
    };
    let path = source.is_some_and(|source| source.starts_with(['.', '/', '~']));
    let mut volume = Map::new();
    let mut put = |key: &str, value: Value| {
        volume.insert(key.to_owned(), Entry { place: at, node: Node::new(at, value) });
    };
    put("type", Value::Text(if path { "bind" } else { "volume" }.to_owned()));
    if let Some(source) = source {
        put("source", Value::Text(source.to_owned()));
    }
    put("target", Value::Text(target.to_owned()));
    let mut own = Map::new();
    let mut add = |key: &str, value: Value| {
        own.insert(key.to_owned(), Entry { place: at, node: Node::new(at, value) });
    };
    if path {
        add("create_host_path", Value::Bool(true));
    }
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => put("read_only", Value::Bool(true)),
            "rw" => {}
            "nocopy" if !path => add("nocopy", Value::Bool(true)),
            "z" | "Z" if path => add("selinux", Value::Text(option.to_owned())),
            "rprivate" | "private" | "rshared" | "shared" | "rslave" | "slave" if path => {
                add("propagation", Value::Text(option.to_owned()));
            }
            _ => {
                return Err(format!(
                    "unknown option `{option}`: expected `ro`, `rw`, `nocopy`, `z`, `Z` or a propagation"
                ));
            }
        }
    }
    put(if path { "bind" } else { "volume" }, Value::Map(own));
    Ok(Node::new(at, Value::Map(volume)))
}
