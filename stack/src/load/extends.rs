//! `extends`: a service begins with another one, of this file or of another.

use super::{Loader, Stop};
use crate::{
    paths::{folder, join},
    place::Place,
    problem::Problem,
    yaml::{Map, Node, Value},
};

/// What one file says about a service, with the folder from which its paths are seen.
pub(super) struct Layer {
    pub(super) name: String,
    pub(super) key_place: Place,
    pub(super) node: Node,
    pub(super) folder: String,
}

/// More services in a row are a mistake.
const LONGEST: usize = 32;

impl Loader<'_> {
    /// Pushes the bases of a service, the farthest first, and then itself. Only services that are used are looked at: errors in
    /// others of a base's file concern nobody.
    pub(super) fn extends(&mut self, layer: Layer, file: &str, siblings: &Map, scope: usize, layers: &mut Vec<Layer>) {
        let mut chain = Vec::new();
        if self.follow(layer, file, siblings, scope, &mut Vec::new(), &mut chain).is_ok() {
            layers.extend(chain.into_iter().rev());
        }
    }

    fn follow(
        &mut self,
        mut layer: Layer,
        file: &str,
        siblings: &Map,
        scope: usize,
        seen: &mut Vec<String>,
        chain: &mut Vec<Layer>,
    ) -> Result<(), Stop> {
        let target = layer.node.map_mut().and_then(|map| map.shift_remove("extends"));
        let own = if file.is_empty() { layer.name.clone() } else { format!("{file}:{}", layer.name) };
        if seen.contains(&own) {
            seen.push(own);
            let message = format!("`extends` has a cycle: {}", seen.join(" -> "));
            return Err(self.stop(Problem::at(layer.key_place, message)));
        }
        if seen.len() > LONGEST {
            return Err(
                self.stop(Problem::at(layer.key_place, format!("more than {LONGEST} services extend each other")))
            );
        }
        seen.push(own);
        // All layers of the chain belong to the service that is being made.
        let service = chain.first().map_or_else(|| layer.name.clone(), |first: &Layer| first.name.clone());
        let from = layer.folder.clone();
        if !chain.is_empty() {
            self.spend(&layer.node)?;
        }
        chain.push(Layer { name: service, ..layer });
        let Some(mut target) = target else { return Ok(()) };
        self.interpolate(&mut target.node, scope);
        self.check()?;
        let (base, other) = self.target(&target.node)?;
        match other {
            None => {
                let found = siblings.get(base.as_str()).cloned();
                let Some(entry) = found else { return Err(self.no_base(&base, "this file", &target.node, siblings)) };
                let layer = Layer { name: base, key_place: entry.place, node: entry.node, folder: from };
                self.follow(layer, file, siblings, scope, seen, chain)
            }
            Some(other) => {
                let path = join(&from, &other);
                let services = self.base_services(&path, target.node.place)?;
                let Some(entry) = services.get(base.as_str()).cloned() else {
                    return Err(self.no_base(&base, &format!("`{path}`"), &target.node, &services));
                };
                let layer = Layer { name: base, key_place: entry.place, node: entry.node, folder: folder(&path) };
                self.follow(layer, &path, &services, scope, seen, chain)
            }
        }
    }

    fn target(&mut self, node: &Node) -> Result<(String, Option<String>), Stop> {
        if let Some(name) = node.scalar() {
            return Ok((name.to_owned(), None));
        }
        let place = node.place;
        let Some(map) = node.map() else {
            return Err(self.stop(Problem::at(place, format!("`extends` is {}: expected a service", node.describe()))));
        };
        if let Some((name, entry)) = map.iter().find(|(name, _)| !matches!(name.as_str(), "service" | "file")) {
            let message = format!("unknown key `{name}` in `extends`: expected `service` and `file`");
            return Err(self.stop(Problem::at(entry.place, message)));
        }
        let text = |key: &str| node.get(key).and_then(Node::scalar).map(str::to_owned);
        match text("service") {
            Some(service) => Ok((service, text("file"))),
            None => Err(self.stop(Problem::at(place, "`extends`: `service` is missing"))),
        }
    }

    fn no_base(&mut self, base: &str, within: &str, at: &Node, known: &Map) -> Stop {
        let known: Vec<&str> = known.keys().map(String::as_str).collect();
        let at = at.get("service").map_or(at.place, |node| node.place);
        let problem = Problem::at(at, format!("`extends`: {within} has no service `{base}`"));
        let near = crate::suggest::nearest(base, &known);
        self.stop(match near {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None => problem,
        })
    }

    fn base_services(&mut self, path: &str, asked_at: Place) -> Result<Map, Stop> {
        if !self.bases.contains_key(path) {
            let reading = self.reading(path);
            let mut documents = self.parse(&reading, Some(asked_at))?;
            if documents.len() != 1 {
                let message = format!("`{path}` has {} documents: `extends` needs one", documents.len());
                return Err(self.stop(Problem::at(asked_at, message)));
            }
            self.bases.insert(path.to_owned(), documents.remove(0));
        }
        match self.bases.get(path).and_then(|document| document.get("services")).map(|services| &services.value) {
            Some(Value::Map(services)) => Ok(services.clone()),
            _ => Err(self.stop(Problem::at(asked_at, format!("`{path}` has no services")))),
        }
    }
}
