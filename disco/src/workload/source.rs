//! The stack files of a folder: which ones, and what they say.

use std::{
    env,
    io::{self, Read},
    path::{Path, PathBuf},
};

use disco_stack::{FILE_NAMES, Files, Loaded, Options, Place, Problem, Refused, Sources, load as load_stack};

use crate::{
    cli::StackFileArgs,
    context::Context,
    error::{self, Failure, Outcome},
    exit::ExitStatus,
};

/// Files that Compose merges without being asked.
const OVERRIDES: [&str; 4] =
    ["compose.override.yaml", "compose.override.yml", "docker-compose.override.yml", "docker-compose.override.yaml"];

/// Stack files, and the folder from which they are named.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    folder: PathBuf,
    files: Vec<String>,
}

impl Source {
    /// One file below a folder.
    pub(crate) fn file(folder: PathBuf, file: &str) -> Self {
        Self { folder, files: vec![file.to_owned()] }
    }

    /// The stack file of a folder, if it has one.
    pub(crate) fn of_folder(folder: PathBuf) -> Option<Self> {
        let file = FILE_NAMES.into_iter().find(|name| folder.join(name).is_file())?;
        Some(Self::file(folder, file))
    }

    /// The folder from which paths of the stack are seen: that of the first file.
    pub(crate) fn base(&self) -> PathBuf {
        let first = self.files.first().map(|file| self.folder.join(file)).unwrap_or_default();
        first.parent().map(Path::to_owned).unwrap_or_default()
    }
}

/// The stack files that the command names, else those of the current folder, else those of the project.
pub(crate) fn find(args: &StackFileArgs, context: &Context) -> Option<Source> {
    let current = context.settings.directory.clone();
    if !args.file.is_empty() {
        return Some(Source { folder: current, files: args.file.clone() });
    }
    let mut folders = vec![current];
    folders.extend(context.project().ok().map(|project| project.root().to_owned()));
    for folder in folders {
        let found: Vec<&str> = FILE_NAMES.into_iter().filter(|name| folder.join(name).is_file()).collect();
        let Some((first, rest)) = found.split_first() else { continue };
        if !rest.is_empty() {
            context.printer.note(&format!("reads `{first}`, and not `{}`: name files with `-f`", rest.join("`, `")));
        }
        if let Some(other) = OVERRIDES.iter().find(|name| folder.join(name).is_file()) {
            context.printer.warn(&format!("`{other}` is not read: to merge it, pass `-f {first} -f {other}`"));
        }
        if env::var_os("COMPOSE_FILE").is_some() {
            context.printer.warn("`COMPOSE_FILE` is not read: name files with `-f`");
        }
        return Some(Source { folder, files: vec![(*first).to_owned()] });
    }
    None
}

/// The failure of a command that needs a stack file.
pub(crate) fn missing(context: &Context) -> Failure {
    let folder = context.settings.directory.display();
    let message = format!("no stack file in `{folder}`: expected one of {}", FILE_NAMES.join(", "));
    Failure::new(ExitStatus::NotFound, message).hint("name one with `-f FILE`")
}

/// Loads the stack. Its warnings are the caller's to print, see [`warn`].
pub(crate) fn load(source: &Source, args: &StackFileArgs, context: &Context) -> Outcome<Loaded> {
    load_stack(&options(source, args), &Disk { folder: source.folder.clone() }).map_err(|refused| {
        warn(&refused.warnings, &refused.sources, context);
        failure(&refused)
    })
}

fn options(source: &Source, args: &StackFileArgs) -> Options {
    let holder = source.base();
    let holder = if holder.as_os_str().is_empty() { PathBuf::from(".") } else { holder };
    let holder = fs_err::canonicalize(holder).unwrap_or_default();
    Options {
        files: source.files.clone(),
        folder_name: holder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        name: args.name.clone(),
        profiles: args.profile.clone(),
        set: args.set.iter().map(|variable| (variable.name.clone(), variable.value.clone())).collect(),
        // A variable that is not UTF-8 cannot stand in a stack.
        environment: env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
        allow_unset: args.allow_unset,
    }
}

/// Files below a folder, and standard input as `-`.
struct Disk {
    folder: PathBuf,
}

impl Files for Disk {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        if path == "-" {
            let mut bytes = Vec::new();
            io::stdin().lock().take(MOST_BYTES).read_to_end(&mut bytes)?;
            return Ok(bytes);
        }
        let mut bytes = Vec::new();
        let file = std::fs::File::open(below(&self.folder, path))?;
        file.take(MOST_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// A path of a stack file; `~/` is the operator's home.
pub(super) fn below(folder: &Path, path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), env::home_dir()) {
        (Some(path), Some(home)) => home.join(path),
        _ => folder.join(path),
    }
}

/// More than a stack file may have, so that the loader refuses what is longer.
const MOST_BYTES: u64 = 16 << 20;

pub(crate) fn warn(warnings: &[Problem], sources: &Sources, context: &Context) {
    for warning in warnings {
        context.printer.warn(warning.render(sources).trim_end());
    }
}

/// One error as its message with its place; several as causes of one.
pub(super) fn failure(refused: &Refused) -> Failure {
    let sources = &refused.sources;
    if let [problem] = refused.problems.as_slice() {
        let mut failure = Failure::usage(&problem.message);
        if let Some(at) = problem.place {
            failure = failure.at(place(at, sources));
        }
        for (role, at) in &problem.related {
            failure = failure.cause(format!("{role}: {}", line(*at, sources)));
        }
        return match &problem.hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        };
    }
    let mut failure = Failure::usage(format!("the stack has {} errors", refused.problems.len()));
    for problem in &refused.problems {
        failure = failure.cause(problem.render(sources));
    }
    failure
}

/// The column is that in the file, also for a line that is too long to be shown from its beginning.
fn place(at: Place, sources: &Sources) -> error::Place {
    let excerpt = sources.excerpt(at).filter(|(_, column)| *column == at.column);
    let source = excerpt.map(|(line, _)| line);
    error::Place { file: sources.name(at).to_owned(), line: at.line, column: at.column, source }
}

fn line(at: Place, sources: &Sources) -> String {
    let line = sources.excerpt(at).map(|(line, _)| line).unwrap_or_default();
    format!("{}: {}", sources.show(at), line.trim())
}
