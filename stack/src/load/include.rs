//! `include`: other stacks with folders and variables of their own become part of this one.

use super::{Loader, Stop, Unit};
use crate::{
    paths::{folder as folder_of, join},
    place::Place,
    problem::Problem,
    yaml::{Entry, Map, Node, Value, same},
};

const SECTIONS: [&str; 5] = ["services", "networks", "volumes", "secrets", "configs"];
/// Deeper inclusion is a mistake.
const DEEPEST: usize = 32;

struct Wanted {
    paths: Vec<(String, Place)>,
    folder: Option<String>,
    env_files: Option<Vec<(String, Place)>>,
}

impl Loader<'_> {
    pub(super) fn include(
        &mut self,
        mut tree: Node,
        document: &Node,
        mut include: Node,
        folder: &str,
        scope: usize,
    ) -> Result<Node, Stop> {
        self.interpolate(&mut include, scope);
        self.check()?;
        let place = include.place;
        if include.is_null() {
            return Ok(tree);
        }
        let Value::List(items) = include.value else {
            return Err(self.stop(Problem::at(place, format!("`include` is {}: expected a list", include.describe()))));
        };
        for item in items {
            let wanted = self.wanted(&item)?;
            let imported = self.included(wanted, folder, scope)?;
            tree = self.import(tree, document, imported)?;
        }
        Ok(tree)
    }

    fn wanted(&mut self, item: &Node) -> Result<Wanted, Stop> {
        if let Some(path) = item.scalar() {
            return Ok(Wanted { paths: vec![(path.to_owned(), item.place)], folder: None, env_files: None });
        }
        let Some(map) = item.map() else {
            let message = format!("an item of `include` is {}: expected a path or a mapping", item.describe());
            return Err(self.stop(Problem::at(item.place, message)));
        };
        let known = ["path", "project_directory", "env_file"];
        if let Some((name, entry)) = map.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            let problem = Problem::at(entry.place, format!("unknown key `{name}` in `include`"));
            let near = crate::suggest::nearest(name, &known);
            return Err(self.stop(match near {
                Some(near) => problem.hint(format!("did you mean `{near}`?")),
                None => problem.hint("expected `path`, `project_directory`, `env_file`"),
            }));
        }
        let paths = match item.get("path") {
            Some(path) => self.texts(path)?,
            None => return Err(self.stop(Problem::at(item.place, "`include`: `path` is missing"))),
        };
        let folder = item.get("project_directory").and_then(Node::scalar).map(str::to_owned);
        let env_files = match item.get("env_file") {
            Some(files) if !files.is_null() => Some(self.texts(files)?),
            _ => None,
        };
        Ok(Wanted { paths, folder, env_files })
    }

    fn texts(&mut self, node: &Node) -> Result<Vec<(String, Place)>, Stop> {
        let items = match &node.value {
            Value::List(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let texts: Option<Vec<(String, Place)>> =
            items.iter().map(|item| item.scalar().map(|text| (text.to_owned(), item.place))).collect();
        match texts {
            Some(texts) if !texts.is_empty() => Ok(texts),
            _ => Err(self.stop(Problem::at(node.place, "`include`: expected a path or a list of paths"))),
        }
    }

    fn included(&mut self, wanted: Wanted, folder: &str, scope: usize) -> Result<Node, Stop> {
        let paths: Vec<(String, Place)> =
            wanted.paths.into_iter().map(|(path, place)| (join(folder, &path), place)).collect();
        let (first, place) = paths[0].clone();
        let own_folder = match wanted.folder {
            Some(own) => join(folder, &own),
            None => folder_of(&first),
        };
        for (path, place) in &paths {
            if self.including.contains(path) {
                let message = format!("`include` has a cycle: {} -> {path}", self.including.join(" -> "));
                return Err(self.stop(Problem::at(*place, message)));
            }
            if self.including.len() > DEEPEST {
                return Err(self.stop(Problem::at(*place, format!("more than {DEEPEST} levels of `include`"))));
            }
        }
        let scope = self.scope_of(wanted.env_files, &own_folder, folder, scope, place)?;
        let units: Vec<Unit> =
            paths.iter().map(|(path, place)| Unit { path: self.reading(path), asked_at: Some(*place) }).collect();
        let depth = self.including.len();
        self.including.extend(paths.into_iter().map(|(path, _)| path));
        let tree = self.files_merged(&units, &own_folder, scope);
        self.including.truncate(depth);
        tree
    }

    /// The including stack's variables, and below them those of the included one.
    fn scope_of(
        &mut self,
        files: Option<Vec<(String, Place)>>,
        own_folder: &str,
        folder: &str,
        scope: usize,
        asked_at: Place,
    ) -> Result<usize, Stop> {
        let outer = self.scopes[scope].clone();
        let mut own = std::collections::BTreeMap::new();
        match files {
            None => {
                let read = self.variables(&join(own_folder, ".env"), Some(asked_at), &outer);
                own.extend(read.map_err(|problem| self.stop(problem))?.unwrap_or_default());
            }
            Some(files) => {
                for (path, place) in files {
                    let path = join(folder, &path);
                    match self.variables(&path, Some(place), &outer) {
                        Ok(Some(read)) => own.extend(read),
                        Ok(None) => {
                            return Err(self.stop(Problem::at(place, format!("the file `{path}` does not exist"))));
                        }
                        Err(problem) => return Err(self.stop(problem)),
                    }
                }
            }
        }
        self.check()?;
        self.scopes.push(outer.over(own));
        Ok(self.scopes.len() - 1)
    }

    /// Two included stacks that both have a name are a conflict, unless they say the same. A service of the including file is
    /// one always; [`refuse_conflicts`](Self::refuse_conflicts) looks at its other resources.
    fn import(&mut self, mut tree: Node, document: &Node, imported: Node) -> Result<Node, Stop> {
        let Value::Map(imported) = imported.value else { return Ok(tree) };
        let Some(own) = tree.map_mut() else { return Ok(tree) };
        for (section, entry) in imported {
            let (true, Value::Map(resources)) = (SECTIONS.contains(&section.as_str()), entry.node.value) else {
                continue;
            };
            let empty = || Entry { place: entry.place, node: Node::new(entry.place, Value::Map(Map::new())) };
            let Some(target) = own.entry(section.clone()).or_insert_with(empty).node.map_mut() else { continue };
            for (name, resource) in resources {
                let before = match target.get(&name) {
                    Some(before) if !same(&before.node, &resource.node) => Some(before.place),
                    _ if section != "services" => None,
                    _ => document.get(&section).and_then(|node| node.map()?.get(&name)).map(|entry| entry.place),
                };
                if let Some(before) = before {
                    self.findings.error(conflict(&section, &name, before, resource.place));
                }
                target.insert(name, resource);
            }
        }
        self.check()?;
        Ok(tree)
    }
}

impl Loader<'_> {
    /// Networks, volumes, secrets and configs of the including file that an included one defines otherwise.
    pub(super) fn refuse_conflicts(&mut self, included: &Node, own: &Node) {
        for section in &SECTIONS[1..] {
            for (name, entry) in own.get(section).and_then(Node::map).into_iter().flatten() {
                let other = included.get(section).and_then(|node| node.map()?.get(name));
                if let Some(other) = other.filter(|other| !same(&other.node, &entry.node)) {
                    self.findings.error(conflict(section, name, entry.place, other.place));
                }
            }
        }
    }
}

fn conflict(section: &str, name: &str, own: Place, included: Place) -> Problem {
    let message = format!("`{section}.{name}` is also defined in an included file");
    let problem = Problem::at(own, message).related("included here", included);
    problem.hint("rename one of them, or override it in another file with `-f`")
}
