//! Brings each value into one form by the schema: what Compose lets one write in three ways is one way afterwards, and merging, checks
//! and output know only that. Each value keeps its place.

mod command;
mod depends;
mod devices;
mod duration;
mod environment;
mod lists;
mod ports;
mod scalars;
mod size;
mod volumes;

pub(crate) use self::{
    duration::{parse as parse_duration, show as show_duration},
    ports::identity as port_identity,
    size::parse as parse_size,
};

use crate::{
    problem::{Findings, Problem},
    schema::{Key, Kind, Support, find},
    suggest::nearest,
    yaml::{Core, Entry, Map, Node, Tag, Value, core, shorten},
};

/// Reads values by the schema, and collects what is wrong with them.
pub(crate) struct Form<'a> {
    findings: &'a mut Findings,
    /// The keys from the top to the current value.
    path: Vec<String>,
}

type Read = Result<Node, Problem>;

impl<'a> Form<'a> {
    pub(crate) fn new(findings: &'a mut Findings, path: &[&str]) -> Self {
        Self { findings, path: path.iter().map(|part| (*part).to_owned()).collect() }
    }

    /// The value in its one form; `None` after an error.
    pub(crate) fn value(&mut self, kind: &'static Kind, node: Node) -> Option<Node> {
        let tag = node.tag;
        if tag == Tag::Reset {
            return Some(Node { value: Value::Null, ..node });
        }
        match self.read(kind, node) {
            Ok(mut node) => {
                node.tag = tag;
                Some(node)
            }
            Err(problem) => {
                self.findings.error(problem);
                None
            }
        }
    }

    fn read(&mut self, kind: &'static Kind, node: Node) -> Read {
        // No error yet: another file may give the value. `load` refuses what is missing in the end.
        if node.is_null() {
            return Ok(node);
        }
        match kind {
            Kind::Free => Ok(free(node)),
            Kind::Text => self.text(node),
            Kind::Scalar => self.scalar(node),
            Kind::Bool => self.bool(node),
            Kind::Int => self.int(node),
            Kind::Number => self.number(node),
            Kind::Duration => self.duration(node),
            Kind::Size => self.size(node, false),
            Kind::SizeOrUnlimited => self.size(node, true),
            Kind::Mode => self.mode(node),
            Kind::OneOf(names) => self.one_of(node, names),
            Kind::DeviceCount => self.device_count(node),
            Kind::Restart => self.restart(node),
            Kind::PullPolicy => self.pull_policy(node),
            Kind::TextList => self.text_list(node),
            Kind::ScalarList => self.scalar_list(node),
            Kind::TextOrList => self.text_or_list(node),
            Kind::Tmpfs => self.text_or_list(node),
            Kind::Pairs(null) => self.pairs(node, *null),
            Kind::ExtraHosts => self.extra_hosts(node),
            Kind::List(inner) => self.list_of(inner, node),
            Kind::Map(inner) => self.map_of(inner, node),
            Kind::Object(keys) | Kind::ObjectOrNull(keys) => self.object(keys, node),
            Kind::TextOrObject(key, keys) => match node.scalar() {
                Some(_) => {
                    let (place, value) = (node.place, self.text(node)?);
                    Ok(Node::new(place, Value::Map(single(key, value))))
                }
                None => self.object(keys, node),
            },
            Kind::NamesOrMap(keys) => self.names_or_map(keys, node),
            Kind::External => self.external(node),
            Kind::Command => self.command(node),
            Kind::HealthTest => self.health_test(node),
            Kind::DependsOn => self.depends_on(node),
            Kind::EnvFiles => self.env_files(node),
            Kind::Expose => self.expose(node),
            Kind::Ports => self.ports(node),
            Kind::Volumes => self.volumes(node),
            Kind::Mounts(_) => self.mounts(node),
            Kind::Devices => self.devices(node),
            Kind::Ulimits => self.ulimits(node),
            Kind::Gpus => self.gpus(node),
        }
    }

    /// Runs `read` below a key; its error is recorded.
    fn below(&mut self, key: &str, kind: &'static Kind, node: Node) -> Option<Node> {
        self.path.push(key.to_owned());
        let read = self.value(kind, node);
        self.path.pop();
        read
    }

    pub(crate) fn object(&mut self, keys: &'static [Key], node: Node) -> Read {
        let place = node.place;
        let Value::Map(map) = node.value else { return Err(self.wrong(&node, "a mapping")) };
        let mut read = Map::with_capacity(map.len());
        for (name, entry) in map {
            if let Some(node) = self.entry(keys, &name, &entry) {
                read.insert(name, Entry { node, ..entry });
            }
        }
        Ok(Node::new(place, Value::Map(read)))
    }

    fn entry(&mut self, keys: &'static [Key], name: &str, entry: &Entry) -> Option<Node> {
        let Some(key) = find(keys, name) else {
            if name.starts_with("x-") {
                return Some(free(entry.node.clone()));
            }
            let known: Vec<&str> = keys.iter().map(|key| key.name).collect();
            self.findings.error(unknown(name, &self.place_name(), entry, &known));
            return None;
        };
        match key.support {
            Support::No(instead) => {
                let message = format!("Disco does not support the key `{name}` in {}", self.place_name());
                self.findings.error(Problem::at(entry.place, message).hint(instead));
                return None;
            }
            Support::NoEffect(why) => {
                let message = format!("the key `{name}` in {} has no effect: {why}", self.place_name());
                self.findings.warn(Problem::at(entry.place, message));
            }
            Support::Yes(_) | Support::Limited(_) => {}
        }
        self.below(name, &key.kind, entry.node.clone())
    }

    fn list_of(&mut self, inner: &'static Kind, node: Node) -> Read {
        let place = node.place;
        let Value::List(list) = node.value else { return Err(self.wrong(&node, "a list")) };
        let mut read = Vec::with_capacity(list.len());
        for (index, item) in list.into_iter().enumerate() {
            self.refuse_item_tag(&item);
            read.extend(self.below(&index.to_string(), inner, item));
        }
        Ok(Node::new(place, Value::List(read)))
    }

    /// `!reset` and `!override` say what happens to the value of a key; items of a list have no counterpart in another file.
    fn refuse_item_tag(&mut self, item: &Node) {
        if item.tag != Tag::None {
            let tag = if item.tag == Tag::Reset { "!reset" } else { "!override" };
            let message = format!("`{}`: `{tag}` at an item of a list has no meaning", self.name());
            self.findings.error(Problem::at(item.place, message).hint("put it before the whole list"));
        }
    }

    fn map_of(&mut self, inner: &'static Kind, node: Node) -> Read {
        let place = node.place;
        let Value::Map(map) = node.value else { return Err(self.wrong(&node, "a mapping")) };
        let mut read = Map::with_capacity(map.len());
        for (name, entry) in map {
            if let Some(node) = self.below(&name, inner, entry.node) {
                read.insert(name, Entry { node, place: entry.place });
            }
        }
        Ok(Node::new(place, Value::Map(read)))
    }

    fn names_or_map(&mut self, keys: &'static [Key], node: Node) -> Read {
        let place = node.place;
        match node.value {
            Value::List(list) => {
                let mut map = Map::new();
                for item in list {
                    let at = item.place;
                    let name = self.text(item)?;
                    map.insert(text_of(&name).to_owned(), Entry { place: at, node: Node::new(at, Value::Null) });
                }
                Ok(Node::new(place, Value::Map(map)))
            }
            Value::Map(map) => {
                let mut read = Map::new();
                for (name, entry) in map {
                    self.path.push(name.clone());
                    let node = match (&entry.node.value, entry.node.tag) {
                        (Value::Null, _) | (_, Tag::Reset) => Ok(Node { value: Value::Null, ..entry.node }),
                        (_, tag) => self.object(keys, entry.node).map(|node| Node { tag, ..node }),
                    };
                    self.path.pop();
                    read.insert(name, Entry { place: entry.place, node: node? });
                }
                Ok(Node::new(place, Value::Map(read)))
            }
            _ => Err(self.wrong(&node, "a list of names or a mapping")),
        }
    }

    /// `external: {name: x}` of old files becomes `true`; the name is taken where the resource is normalised.
    fn external(&mut self, node: Node) -> Read {
        match &node.value {
            Value::Map(map) => {
                for (name, entry) in map {
                    if name != "name" {
                        return Err(unknown(name, &self.place_name(), entry, &["name"]));
                    }
                }
                Ok(node)
            }
            _ => self.bool(node),
        }
    }

    /// `services.web.ports`.
    fn name(&self) -> String {
        self.path.join(".")
    }

    /// For sentences.
    fn place_name(&self) -> String {
        if self.path.is_empty() { "the stack file".to_owned() } else { format!("`{}`", self.name()) }
    }

    fn wrong(&self, node: &Node, expected: &str) -> Problem {
        Problem::at(node.place, format!("`{}` is {}: expected {expected}", self.name(), node.describe()))
    }

    fn invalid(&self, node: &Node, why: &str) -> Problem {
        Problem::at(node.place, format!("`{}`: {}: {why}", self.name(), node.describe()))
    }
}

fn single(key: &str, node: Node) -> Map {
    Map::from([(key.to_owned(), Entry { place: node.place, node })])
}

/// After [`Form::text`] and the like.
fn text_of(node: &Node) -> &str {
    node.scalar().unwrap_or_default()
}

fn unknown(name: &str, within: &str, entry: &Entry, known: &[&str]) -> Problem {
    let problem = Problem::at(entry.place, format!("unknown key `{}` in {within}", shorten(name)));
    match nearest(name, known) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem.hint("keys of your own begin with `x-`"),
    }
}

/// Whether a key may stay without a value in the end.
pub(crate) fn may_be_null(kind: &Kind) -> bool {
    matches!(kind, Kind::Free | Kind::Command | Kind::ObjectOrNull(_))
}

/// A value that no schema describes, with plain scalars as YAML 1.2 reads them.
pub(crate) fn free(node: Node) -> Node {
    let value = match node.value {
        Value::Plain(text) => match core(&text) {
            Core::Null => Value::Null,
            Core::Bool(value) => Value::Bool(value),
            Core::Int(value) => Value::Int(value),
            Core::Float(value) if value.is_finite() => Value::Float(value),
            Core::Float(_) | Core::Text => Value::Text(text),
        },
        Value::List(list) => Value::List(list.into_iter().map(free).collect()),
        Value::Map(map) => {
            Value::Map(map.into_iter().map(|(name, entry)| (name, Entry { node: free(entry.node), ..entry })).collect())
        }
        value => value,
    };
    Node { value, ..node }
}
