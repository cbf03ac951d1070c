//! YAML 1.2 as a tree in which every value keeps its place.

mod budget;
mod read;
mod scalar;

pub(crate) use self::{
    read::read,
    scalar::{Core, core},
};

use indexmap::IndexMap;

use crate::place::Place;

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) tag: Tag,
    pub(crate) value: Value,
}

/// What a later file says about the value of an earlier one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Tag {
    /// Merge.
    None,
    /// `!reset`: remove the earlier value, and this one.
    Reset,
    /// `!override`: take this value instead of merging.
    Override,
}

/// As the file has it, a scalar is [`Null`](Value::Null), [`Plain`](Value::Plain) or [`Text`](Value::Text); reading by the schema
/// turns plain scalars into what the key wants.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    /// A scalar without quotes: what it is depends on its key.
    Plain(String),
    /// Quoted, a block, or made by interpolation.
    Text(String),
    Bool(bool),
    Int(i64),
    Float(f64),
    List(Vec<Node>),
    Map(Map),
}

pub(crate) type Map = IndexMap<String, Entry>;

/// The place of a key, and its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) place: Place,
    pub(crate) node: Node,
}

impl Node {
    pub(crate) fn new(place: Place, value: Value) -> Self {
        Self { place, tag: Tag::None, value }
    }

    pub(crate) fn text(place: Place, text: impl Into<String>) -> Self {
        Self::new(place, Value::Text(text.into()))
    }

    /// The text of a scalar, plain or quoted.
    pub(crate) fn scalar(&self) -> Option<&str> {
        match &self.value {
            Value::Plain(text) | Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn map(&self) -> Option<&Map> {
        match &self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    pub(crate) fn map_mut(&mut self) -> Option<&mut Map> {
        match &mut self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    pub(crate) fn list(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.map()?.get(key).map(|entry| &entry.node)
    }

    /// Values in the tree, itself included.
    pub(crate) fn count(&self) -> usize {
        match &self.value {
            Value::List(list) => 1 + list.iter().map(Self::count).sum::<usize>(),
            Value::Map(map) => 1 + map.values().map(|entry| entry.node.count()).sum::<usize>(),
            _ => 1,
        }
    }

    /// Levels below the value: 0 for one that holds no other.
    pub(crate) fn height(&self) -> usize {
        let below = |nodes: &mut dyn Iterator<Item = &Self>| nodes.map(|node| 1 + node.height()).max().unwrap_or(0);
        match &self.value {
            Value::List(list) => below(&mut list.iter()),
            Value::Map(map) => below(&mut map.values().map(|entry| &entry.node)),
            _ => 0,
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        self.value == Value::Null
    }

    /// For messages: what stands there.
    pub(crate) fn describe(&self) -> String {
        match &self.value {
            Value::Null => "nothing".to_owned(),
            Value::Plain(text) | Value::Text(text) => format!("`{}`", shorten(text)),
            Value::Bool(value) => format!("`{value}`"),
            Value::Int(value) => format!("`{value}`"),
            Value::Float(value) => format!("`{value}`"),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a mapping".to_owned(),
        }
    }
}

/// At most 60 characters of one line.
pub(crate) fn shorten(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= 60 && line.len() == text.len() {
        return line.to_owned();
    }
    let mut short: String = line.chars().take(59).collect();
    short.push('…');
    short
}

/// Equal but for places.
pub(crate) fn same(a: &Node, b: &Node) -> bool {
    match (&a.value, &b.value) {
        (Value::Map(a), Value::Map(b)) => {
            a.len() == b.len()
                && a.iter().all(|(name, entry)| b.get(name).is_some_and(|other| same(&entry.node, &other.node)))
        }
        (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (a, b) => a == b,
    }
}
