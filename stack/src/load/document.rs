//! One document of one file, from its raw tree to the merged one.

use super::{Loader, Stop, extends::Layer, rebase};
use crate::{
    forms::{Form, may_be_null},
    merge::merge,
    problem::Problem,
    schema::{Kind, SERVICE, TOP, find},
    yaml::{Entry, Map, Node, Tag, Value},
};

static WHOLE: Kind = Kind::Object(TOP);
static ONE_SERVICE: Kind = Kind::Object(SERVICE);

impl Loader<'_> {
    pub(super) fn document(
        &mut self,
        mut tree: Node,
        mut document: Node,
        folder: &str,
        scope: usize,
    ) -> Result<Node, Stop> {
        let include = document.map_mut().and_then(|map| map.shift_remove("include"));
        let includes = include.is_some();
        if let Some(include) = include {
            tree = self.include(tree, &document, include.node, folder, scope)?;
        }
        let services = document.map_mut().and_then(|map| map.shift_remove("services"));
        let tag = services.as_ref().map_or(Tag::None, |entry| entry.node.tag);
        if tag != Tag::None
            && let Some(map) = tree.map_mut()
        {
            map.shift_remove("services");
        }
        let layers = match services {
            Some(entry) if tag != Tag::Reset => self.layers(entry.node, folder, scope)?,
            _ => Vec::new(),
        };
        self.check()?;

        let mut whole = document;
        let mut services: Vec<Layer> = layers;
        self.interpolate(&mut whole, scope);
        services.iter_mut().for_each(|layer| self.interpolate(&mut layer.node, scope));
        self.check()?;

        let whole = Form::new(&mut self.findings, &[]).value(&WHOLE, whole);
        for layer in &mut services {
            let place = layer.node.place;
            let raw = std::mem::replace(&mut layer.node, Node::new(place, Value::Null));
            if raw.is_null() && raw.tag == Tag::None {
                let message = format!("`services.{}` is nothing: expected a mapping", layer.name);
                self.findings.error(Problem::at(layer.key_place, message));
                continue;
            }
            let formed = Form::new(&mut self.findings, &["services", &layer.name]).value(&ONE_SERVICE, raw);
            if let Some(mut node) = formed {
                if let Some(ports) = node.get("ports") {
                    self.spend(ports)?;
                }
                rebase::service(&mut node, &layer.folder, scope, &self.scopes[scope]);
                layer.node = node;
            }
        }
        self.check()?;
        let Some(mut whole) = whole else { return Err(Stop) };
        self.rebase_resources(&mut whole, folder, scope);
        if includes {
            self.refuse_conflicts(&tree, &whole);
            self.check()?;
        }

        let mut tree = merge(&WHOLE, tree, whole);
        for layer in services {
            let place = layer.key_place;
            let service = Map::from([(layer.name, Entry { place, node: layer.node })]);
            let services = Node::new(place, Value::Map(service));
            let over = Map::from([("services".to_owned(), Entry { place, node: services })]);
            tree = merge(&WHOLE, tree, Node::new(place, Value::Map(over)));
        }
        Ok(tree)
    }

    /// All services of a document, each as its bases and then itself.
    fn layers(&mut self, node: Node, folder: &str, scope: usize) -> Result<Vec<Layer>, Stop> {
        let place = node.place;
        let Value::Map(services) = node.value else {
            if node.is_null() {
                return Ok(Vec::new());
            }
            let message = format!("`services` is {}: expected a mapping", node.describe());
            return Err(self.stop(Problem::at(place, message)));
        };
        let mut layers = Vec::with_capacity(services.len());
        for (name, entry) in &services {
            let layer = Layer {
                name: name.clone(),
                key_place: entry.place,
                node: entry.node.clone(),
                folder: folder.to_owned(),
            };
            self.extends(layer, "", &services, scope, &mut layers);
        }
        Ok(layers)
    }

    /// A key without a value is fine only while another file may give it.
    pub(super) fn require_values(&mut self, tree: &Node) -> Result<(), Stop> {
        let mut missing = Vec::new();
        collect_missing(&WHOLE, tree, &mut vec![], &mut missing);
        for problem in missing {
            self.findings.error(problem);
        }
        self.check()
    }
}

fn collect_missing(kind: &'static Kind, node: &Node, path: &mut Vec<String>, missing: &mut Vec<Problem>) {
    let Some(map) = node.map() else { return };
    let inner = |name: &str| -> Option<&'static Kind> {
        match kind {
            Kind::Object(keys) | Kind::ObjectOrNull(keys) | Kind::TextOrObject(_, keys) => {
                find(keys, name).map(|key| &key.kind)
            }
            Kind::Map(inner) => Some(inner),
            _ => None,
        }
    };
    for (name, entry) in map {
        let Some(kind) = inner(name) else { continue };
        path.push(name.clone());
        if entry.node.is_null() && !may_be_null(kind) {
            missing.push(Problem::at(entry.place, format!("the value of `{}` is missing", path.join("."))));
        }
        collect_missing(kind, &entry.node, path, missing);
        path.pop();
    }
}
