//! `depends_on` and `env_file`.

use super::{Form, Read, text_of};
use crate::{
    problem::Problem,
    schema::container::{DEPENDENCY, ENV_FILE},
    yaml::{Entry, Map, Node, Tag, Value},
};

impl Form<'_> {
    /// Canonical as a mapping from services to conditions. A list says `service_started` and `required`.
    pub(super) fn depends_on(&mut self, node: Node) -> Read {
        let place = node.place;
        let mut services = Map::new();
        match node.value {
            Value::List(list) => {
                for item in list {
                    self.refuse_item_tag(&item);
                    let at = item.place;
                    let name = self.text(item)?;
                    let mut dependency = super::single("condition", Node::text(at, "service_started"));
                    dependency
                        .insert("required".to_owned(), Entry { place: at, node: Node::new(at, Value::Bool(true)) });
                    let node = Node::new(at, Value::Map(dependency));
                    services.insert(text_of(&name).to_owned(), Entry { place: at, node });
                }
            }
            Value::Map(map) => {
                for (name, entry) in map {
                    let tag = entry.node.tag;
                    self.path.push(name.clone());
                    let read = match tag {
                        Tag::Reset => Ok(Node { value: Value::Null, ..entry.node }),
                        _ => self.dependency(entry.node, tag),
                    };
                    self.path.pop();
                    services.insert(name, Entry { place: entry.place, node: read? });
                }
            }
            _ => return Err(self.wrong(&node, "a list of services or a mapping")),
        }
        Ok(Node::new(place, Value::Map(services)))
    }

    fn dependency(&mut self, node: Node, tag: Tag) -> Read {
        let mut dependency = self.object(DEPENDENCY, node)?;
        dependency.tag = tag;
        match dependency.get("condition") {
            Some(condition) if !condition.is_null() => Ok(dependency),
            _ => Err(Problem::at(dependency.place, format!("`{}`: `condition` is missing", self.name()))),
        }
    }

    /// Canonical as a list of `path`, `required`, `format`.
    pub(super) fn env_files(&mut self, node: Node) -> Read {
        let place = node.place;
        let list = match node.value {
            Value::List(list) => list,
            Value::Text(_) | Value::Plain(_) => vec![node],
            _ => return Err(self.wrong(&node, "a path or a list")),
        };
        let mut files = Vec::with_capacity(list.len());
        for item in list {
            let at = item.place;
            let file = match item.value {
                Value::Map(_) => self.object(ENV_FILE, item)?,
                _ => Node::new(at, Value::Map(super::single("path", self.text(item)?))),
            };
            match file.get("path") {
                Some(path) if !path.is_null() => files.push(file),
                _ => return Err(Problem::at(at, format!("`{}`: `path` is missing", self.name()))),
            }
        }
        Ok(Node::new(place, Value::List(files)))
    }
}
