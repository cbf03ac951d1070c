//! From files to one merged tree: parse → include → extends → interpolate → merge.
//!
//! Each file goes through these steps as a whole before the next. A step runs to its end and reports all errors that it finds; the
//! next one runs only where there are none.

mod document;
mod extends;
mod include;
mod rebase;

use std::collections::BTreeMap;

use crate::{
    environment::{Environment, dotenv},
    fig::modernise,
    files::{Content, Files, NoFile, read_text},
    interpolate::Interpolation,
    merge::without_resets,
    paths::join,
    place::{Place, Sources},
    problem::{Findings, Problem},
    yaml::{Map, Node, Value, read},
};

/// Errors are in [`Loader::findings`]; the load ends.
#[derive(Debug)]
pub(crate) struct Stop;

/// The state of one load.
pub(crate) struct Loader<'a> {
    pub(crate) files: &'a dyn Files,
    pub(crate) sources: Sources,
    pub(crate) findings: Findings,
    /// Variables of the stack and of each include; `env_file` entries name theirs by index.
    pub(crate) scopes: Vec<Environment>,
    /// Values of secrets and configs from variables: by `secrets.KEY` and `configs.KEY`.
    pub(crate) values: BTreeMap<String, String>,
    /// The folder of the first file as the user named it: in front of all paths that are read.
    pub(crate) prefix: String,
    pub(crate) allow_unset: bool,
    /// Files that are being included, outermost first.
    including: Vec<String>,
    /// Files that `extends` names, by path.
    bases: BTreeMap<String, Node>,
    /// Files and values so far, against [`MOST_FILES`] and [`MOST_VALUES`].
    spent: (usize, usize),
}

/// A stack of a hundred services in as many files has a few hundred.
const MOST_FILES: usize = 1_000;
/// Over all files, bases of services counted for each, and ranges of ports for each port: a service has some fifty.
const MOST_VALUES: usize = 1_000_000;

/// The key under which an `env_file` entry notes whose variables its file may use.
pub(crate) const SCOPE: &str = "\u{0}scope";

/// A file to load: its path for [`Files`], and who names it.
pub(crate) struct Unit {
    pub(crate) path: String,
    pub(crate) asked_at: Option<Place>,
}

impl<'a> Loader<'a> {
    pub(crate) fn new(files: &'a dyn Files, prefix: String, environment: Environment, allow_unset: bool) -> Self {
        Self {
            files,
            sources: Sources::default(),
            findings: Findings::default(),
            scopes: vec![environment],
            values: BTreeMap::new(),
            prefix,
            allow_unset,
            including: Vec::new(),
            bases: BTreeMap::new(),
            spent: (0, 0),
        }
    }

    /// The merged tree of all files; values are in their one form, paths are seen from the project's folder. `name` finds the
    /// stack's name, which is a variable of the files, in their documents.
    pub(crate) fn load(
        &mut self,
        units: &[Unit],
        name: impl FnOnce(&mut Self, &[Node]) -> Result<String, Stop>,
    ) -> Result<(Node, String), Stop> {
        let documents = self.documents(units)?;
        let name = name(self, &documents)?;
        self.scopes[0] = self.scopes[0].below("COMPOSE_PROJECT_NAME", &name);
        let mut tree = self.merged(documents, units, "", 0)?;
        without_resets(&mut tree);
        self.require_values(&tree)?;
        Ok((tree, name))
    }

    fn files_merged(&mut self, units: &[Unit], folder: &str, scope: usize) -> Result<Node, Stop> {
        let documents = self.documents(units)?;
        self.merged(documents, units, folder, scope)
    }

    fn documents(&mut self, units: &[Unit]) -> Result<Vec<Node>, Stop> {
        let mut documents = Vec::new();
        for unit in units {
            documents.extend(self.parse(&unit.path, unit.asked_at)?);
        }
        Ok(documents)
    }

    fn merged(&mut self, documents: Vec<Node>, units: &[Unit], folder: &str, scope: usize) -> Result<Node, Stop> {
        let mut tree = None;
        for document in documents {
            let below = tree.take().unwrap_or_else(|| Node::new(document.place, Value::Map(Map::new())));
            tree = Some(self.document(below, document, folder, scope)?);
        }
        tree.ok_or_else(|| {
            let names: Vec<&str> = units.iter().map(|unit| unit.path.as_str()).collect();
            self.findings.error(Problem::new(format!("no service in {}", names.join(", "))));
            Stop
        })
    }

    /// All documents of a file, each a mapping in today's form. Empty documents are left out.
    fn parse(&mut self, path: &str, asked_at: Option<Place>) -> Result<Vec<Node>, Stop> {
        let (text, start) = match read_text(self.files, path, Content::Stack, asked_at, &mut self.sources) {
            Ok(read) => read,
            Err(NoFile { problem, .. }) => return Err(self.stop(problem)),
        };
        let documents = match read(&text, start) {
            Ok(documents) => documents,
            Err(problem) => return Err(self.stop(problem)),
        };
        self.spent.0 += 1;
        if self.spent.0 > MOST_FILES {
            return Err(self.stop(Problem::at(start, format!("more than {MOST_FILES} files, each `include` counted"))));
        }
        for document in &documents {
            self.spend(document)?;
        }
        let mut mappings = Vec::with_capacity(documents.len());
        for document in documents {
            match &document.value {
                Value::Null => {}
                Value::Map(_) => mappings.push(modernise(document, &mut self.findings)),
                _ => {
                    let message = format!("`{path}` is {}: expected a mapping with `services`", document.describe());
                    return Err(self.stop(Problem::at(document.place, message)));
                }
            }
        }
        Ok(mappings)
    }

    /// Takes the values of a tree from what one load may hold.
    fn spend(&mut self, node: &Node) -> Result<(), Stop> {
        self.spent.1 = self.spent.1.saturating_add(node.count());
        if self.spent.1 > MOST_VALUES {
            let message = format!("more than {MOST_VALUES} values, with each `include`, `extends` and port counted");
            return Err(self.stop(Problem::at(node.place, message)));
        }
        Ok(())
    }

    /// Replaces the variables of a tree by those of a scope.
    pub(crate) fn interpolate(&mut self, node: &mut Node, scope: usize) {
        Interpolation {
            environment: &self.scopes[scope],
            allow_unset: self.allow_unset,
            sources: &self.sources,
            findings: &mut self.findings,
        }
        .tree(node);
    }

    fn stop(&mut self, problem: Problem) -> Stop {
        self.findings.error(problem);
        Stop
    }

    /// Ends the load after a step that found errors.
    pub(crate) fn check(&self) -> Result<(), Stop> {
        if self.findings.errors.is_empty() { Ok(()) } else { Err(Stop) }
    }

    /// The path to read for one that is seen from the project's folder.
    pub(crate) fn reading(&self, path: &str) -> String {
        join(&self.prefix, path)
    }

    /// Variables of a file in the grammar of `.env`; `None` where it does not exist.
    pub(crate) fn variables(
        &mut self,
        path: &str,
        asked_at: Option<Place>,
        scope: &Environment,
    ) -> Result<Option<BTreeMap<String, String>>, Problem> {
        let path = self.reading(path);
        let (text, start) = match read_text(self.files, &path, Content::Variables, asked_at, &mut self.sources) {
            Ok(read) => read,
            Err(NoFile { missing: true, .. }) => return Ok(None),
            Err(NoFile { problem, .. }) => return Err(problem),
        };
        let lines = dotenv::parse(&text, start, scope, &self.sources, &mut self.findings);
        Ok(Some(lines.into_iter().filter_map(|line| Some((line.name, line.value?))).collect()))
    }
}
