//! The way from files to a stack.

use crate::{
    environment::Environment,
    files::Files,
    load::{Loader, Stop, Unit},
    model::{self, Stack},
    normalise::{normalise, prune},
    options::Options,
    paths::folder,
    place::{Place, Sources},
    problem::{Problem, Refused},
    validate::{check_stack, stack_name, validate},
    yaml::{Node, shorten},
};

/// A stack, and what deserves a word.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The stack.
    pub stack: Stack,
    /// In the order in which they were found.
    pub warnings: Vec<Problem>,
    /// The texts to which places refer.
    pub sources: Sources,
}

/// Loads the files of `options`.
///
/// # Errors
/// All errors that the first failing step found.
pub fn load(options: &Options, files: &dyn Files) -> Result<Loaded, Box<Refused>> {
    let prefix = options.files.first().map(|file| folder(file)).unwrap_or_default();
    let environment = Environment::new(vec![options.set.clone(), options.environment.clone()]);
    let mut loader = Loader::new(files, prefix, environment, options.allow_unset);
    let stack = run(&mut loader, options);
    let Loader { sources, findings, .. } = loader;
    let (mut problems, warnings) = (findings.errors, findings.warnings);
    match stack {
        Ok(stack) => Ok(Loaded { stack, warnings, sources }),
        Err(Stop) => {
            problems.sort_by_key(|problem| problem.place);
            Err(Box::new(Refused { problems, warnings, sources }))
        }
    }
}

fn run(loader: &mut Loader<'_>, options: &Options) -> Result<Stack, Stop> {
    if options.files.is_empty() {
        loader.findings.error(Problem::new(format!("no stack file: expected one of {}", crate::FILE_NAMES.join(", "))));
        return Err(Stop);
    }
    let outer = loader.scopes[0].clone();
    match loader.variables(".env", None, &outer) {
        Ok(variables) => loader.scopes[0] = outer.over(variables.unwrap_or_default()),
        Err(problem) => loader.findings.error(problem),
    }
    loader.check()?;
    let units: Vec<Unit> = options.files.iter().map(|path| Unit { path: path.clone(), asked_at: None }).collect();
    let (tree, name) = loader.load(&units, |loader, documents| name(loader, documents, options))?;
    let profiles = profiles(loader, options);
    let (mut tree, inactive) = normalise(loader, tree, &name, &profiles)?;
    validate(&tree, &inactive, &mut loader.findings);
    loader.check()?;
    prune(&mut tree);
    Ok(model::stack(name, &tree, &loader.values))
}

/// `--name`, `COMPOSE_PROJECT_NAME`, `name:` of the last file that has it, the folder.
fn name(loader: &mut Loader<'_>, documents: &[Node], options: &Options) -> Result<String, Stop> {
    let of_variable = loader.scopes[0].get("COMPOSE_PROJECT_NAME").filter(|name| !name.is_empty()).map(str::to_owned);
    let given = match options.name.clone().or(of_variable) {
        Some(name) => Some((name, None)),
        None => match documents.iter().rev().find_map(|document| document.get("name")) {
            Some(node) => {
                let mut node = node.clone();
                loader.interpolate(&mut node, 0);
                loader.check()?;
                // Another kind of value is an error of a later step.
                node.scalar().map(|name| (name.to_owned(), Some(node.place)))
            }
            None => None,
        },
    };
    let Some((name, place)) = given else {
        let name = stack_name(&options.folder_name);
        if check_stack(&name).is_err() {
            let message = format!("the folder's name `{}` makes no name for the stack", shorten(&options.folder_name));
            loader.findings.error(Problem::new(message).hint("write `name: …` into the file, or use `--name`"));
            return Err(Stop);
        }
        return Ok(warned(loader, name, None));
    };
    match check_stack(&name) {
        Ok(()) => Ok(warned(loader, name, place)),
        Err(why) => {
            let message = format!("invalid name `{}` of the stack: {why}", shorten(&name));
            loader.findings.error(Problem { place, ..Problem::new(message) });
            Err(Stop)
        }
    }
}

fn warned(loader: &mut Loader<'_>, name: String, place: Option<Place>) -> String {
    if name.contains('_') {
        let message = format!("the stack's name `{name}` has a `_`, which some programs refuse in a host's name");
        let problem = Problem { place, ..Problem::new(message) };
        loader.findings.warn(problem.hint(format!("call it `{}`", name.replace('_', "-"))));
    }
    name
}

fn profiles(loader: &Loader<'_>, options: &Options) -> Vec<String> {
    if !options.profiles.is_empty() {
        return options.profiles.clone();
    }
    let of_variable = loader.scopes[0].get("COMPOSE_PROFILES").unwrap_or_default();
    of_variable.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}
