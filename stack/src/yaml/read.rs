//! From the parser's events to trees: aliases copied under a budget, merge keys (`<<`) applied, duplicate keys refused. The only
//! place that names the parser.

use std::collections::BTreeMap;

use granit_parser::{Event, Options, Parser, ScalarStyle, Span};

use super::{
    Core, Entry, Map, Node, Tag, Value,
    budget::{Budget, DEEPEST, MOST_BYTES, MOST_VALUES},
    core,
};
use crate::{place::Place, problem::Problem};

/// Reads all documents of a file; `start` is the place of its first character.
pub(crate) fn read(text: &str, start: Place) -> Result<Vec<Node>, Problem> {
    if text.len() > MOST_BYTES {
        let megabytes = MOST_BYTES >> 20;
        return Err(Problem::at(start, format!("the file has {} bytes, more than {megabytes} MiB", text.len())));
    }
    let mut options = Options::default();
    options.set_emit_comments(false);
    let mut reader = Reader {
        parser: Parser::new_from_str_with_options(text, options),
        text,
        file: start.file,
        anchors: BTreeMap::new(),
        budget: Budget::default(),
    };
    reader.documents()
}

struct Reader<'a> {
    parser: Parser<'a, granit_parser::StrInput<'a>>,
    text: &'a str,
    file: u32,
    anchors: BTreeMap<usize, Anchored>,
    budget: Budget,
}

/// A complete anchored value.
struct Anchored {
    node: Node,
    /// How many values it holds, itself included.
    count: usize,
    /// Levels below it.
    height: usize,
}

/// A value and how many values it holds, itself included.
type Counted = (Node, usize);

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, Problem> {
        match self.parser.next_event() {
            None => Ok(None),
            Some(Ok(event)) => Ok(Some(event)),
            Some(Err(error)) => {
                let place = self.place(error.marker().line(), error.marker().col());
                if error.info().contains("tab")
                    && let Some(place) = self.tab_behind(place)
                {
                    let problem = Problem::at(place, "invalid YAML: a tab in the indentation");
                    return Err(problem.hint("indent with spaces"));
                }
                Err(Problem::at(place, format!("invalid YAML: {}", error.info())))
            }
        }
    }

    /// The parser names the value before a tab, or what it was reading.
    fn tab_behind(&self, place: Place) -> Option<Place> {
        let first = place.line as usize - 1;
        for (index, line) in self.text.lines().enumerate().skip(first).take(3) {
            let blank = line.len() - line.trim_start().len();
            if let Some(at) = line[..blank].find('\t') {
                return Some(self.place(index + 1, at));
            }
        }
        None
    }

    fn place(&self, line: usize, column: usize) -> Place {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Place { file: self.file, line: number(line.max(1)), column: number(column.saturating_add(1)) }
    }

    fn documents(&mut self) -> Result<Vec<Node>, Problem> {
        let mut documents = Vec::new();
        while let Some((event, span)) = self.next()? {
            match event {
                Event::StreamStart | Event::StreamEnd | Event::DocumentStart(..) | Event::DocumentEnd => {}
                event => documents.push(self.node(event, span, 0)?.0),
            }
        }
        Ok(documents)
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Counted, Problem> {
        let place = self.place(span.start.line(), span.start.col());
        let tag_place = span.tag_start.map_or(place, |mark| self.place(mark.line(), mark.col()));
        if depth > DEEPEST {
            return Err(too_deep(place));
        }
        if !self.budget.take(1) {
            return Err(too_many(place));
        }
        let (anchor, tag, (value, count)) = match event {
            Event::Alias(id) => return self.alias(id, place, depth),
            Event::Scalar(text, style, anchor, tag) => (anchor, tag, (scalar(&text, style), 1)),
            Event::SequenceStart(_, anchor, tag) => (anchor, tag, self.list(depth)?),
            Event::MappingStart(_, anchor, tag) => (anchor, tag, self.mapping(depth)?),
            _ => return Err(Problem::at(place, "invalid YAML: a value is missing")),
        };
        let mut node = Node::new(place, value);
        if let Some(tag) = tag {
            apply_tag(&mut node, tag.core_suffix(), &tag.original(), tag_place)?;
        }
        if anchor != 0 {
            self.anchors.insert(anchor, Anchored { height: node.height(), node: node.clone(), count });
        }
        Ok((node, count))
    }

    /// The parser knows the name, so an anchor without a value is one that contains this alias.
    fn alias(&mut self, id: usize, place: Place, depth: usize) -> Result<Counted, Problem> {
        let Some(Anchored { node, count, height }) = self.anchors.get(&id) else {
            return Err(Problem::at(place, "the alias is inside its own anchor"));
        };
        if depth + height > DEEPEST {
            return Err(too_deep(place));
        }
        if !self.budget.take(*count) {
            return Err(too_many(place));
        }
        Ok((node.clone(), *count))
    }

    fn list(&mut self, depth: usize) -> Result<(Value, usize), Problem> {
        let (mut list, mut total) = (Vec::new(), 1);
        while let Some((event, span)) = self.next()? {
            if matches!(event, Event::SequenceEnd) {
                return Ok((Value::List(list), total));
            }
            let (node, count) = self.node(event, span, depth + 1)?;
            total += count;
            list.push(node);
        }
        Err(Problem::new("invalid YAML: the list has no end"))
    }

    fn mapping(&mut self, depth: usize) -> Result<(Value, usize), Problem> {
        let (mut map, mut merges, mut total) = (Map::new(), None, 1);
        while let Some((event, span)) = self.next()? {
            if matches!(event, Event::MappingEnd) {
                merge(&mut map, merges)?;
                return Ok((Value::Map(map), total));
            }
            let (key, place) = self.key(event, span)?;
            let Some((event, span)) = self.next()? else { break };
            let (node, count) = self.node(event, span, depth + 1)?;
            total += count;
            let (name, before) = match key {
                Key::Merge => ("<<".to_owned(), merges.replace((place, node)).map(|(place, _)| place)),
                Key::Name(name) => match map.get(&name) {
                    Some(entry) => (name, Some(entry.place)),
                    None => {
                        map.insert(name, Entry { place, node });
                        continue;
                    }
                },
            };
            if let Some(before) = before {
                return Err(Problem::at(place, format!("the key `{name}` appears twice")).related("first here", before));
            }
        }
        Err(Problem::new("invalid YAML: the mapping has no end"))
    }

    fn key(&mut self, event: Event<'a>, span: Span) -> Result<(Key, Place), Problem> {
        let place = self.place(span.start.line(), span.start.col());
        match event {
            Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<" => Ok((Key::Merge, place)),
            Event::Scalar(text, _, anchor, _) => {
                if anchor != 0 {
                    let node = Node::text(place, text.clone());
                    self.anchors.insert(anchor, Anchored { node, count: 1, height: 0 });
                }
                Ok((Key::Name(text.into_owned()), place))
            }
            Event::Alias(id) => match self.alias(id, place, 0)?.0.scalar() {
                Some(text) => Ok((Key::Name(text.to_owned()), place)),
                None => Err(Problem::at(place, "a key must be text; the alias is a list or a mapping")),
            },
            _ => Err(Problem::at(place, "a key must be text, not a list or a mapping")),
        }
    }
}

enum Key {
    Merge,
    Name(String),
}

fn too_deep(place: Place) -> Problem {
    Problem::at(place, format!("more than {DEEPEST} levels of nesting"))
}

fn too_many(place: Place) -> Problem {
    Problem::at(place, format!("more than {MOST_VALUES} values, counting each alias as a copy of its anchor"))
}

fn scalar(text: &str, style: ScalarStyle) -> Value {
    if style != ScalarStyle::Plain {
        return Value::Text(text.to_owned());
    }
    match core(text) {
        Core::Null => Value::Null,
        _ => Value::Plain(text.to_owned()),
    }
}

fn apply_tag(node: &mut Node, core_tag: Option<&str>, written: &str, place: Place) -> Result<(), Problem> {
    match (core_tag, written) {
        (None, "!reset") => node.tag = Tag::Reset,
        (None, "!override") => node.tag = Tag::Override,
        (Some("str"), _) | (None, "!") => match &mut node.value {
            Value::Plain(text) => node.value = Value::Text(std::mem::take(text)),
            Value::Null => node.value = Value::Text(String::new()),
            _ => {}
        },
        (Some("null" | "bool" | "int" | "float" | "map" | "seq"), _) => {}
        _ => {
            return Err(Problem::at(place, format!("unknown tag `{written}`: expected `!reset` or `!override`")));
        }
    }
    Ok(())
}

/// Adds what the mapping does not have itself; of several, the first that has a key gives it.
fn merge(map: &mut Map, merges: Option<(Place, Node)>) -> Result<(), Problem> {
    let Some((place, node)) = merges else { return Ok(()) };
    let sources = match node.value {
        Value::List(list) => list,
        value => vec![Node { value, ..node }],
    };
    for source in sources {
        let at = source.place;
        let Value::Map(source) = source.value else {
            return Err(Problem::at(at, "`<<` takes a mapping or a list of mappings").related("for this key", place));
        };
        for (key, entry) in source {
            map.entry(key).or_insert(entry);
        }
    }
    Ok(())
}
