//! `disco stack`: what the stack files of a folder say.

use std::{
    env,
    io::{self, Read},
    path::{Path, PathBuf},
};

use disco_stack::{Copies, FILE_NAMES, Files, Options, Place, Problem, Refused, Runs, Service, Sources, Stack, load};
use serde_json::Value;

use crate::{
    cli::StackArgs,
    context::Context,
    error::{self, Failure, Outcome},
    exit::ExitStatus,
    printer::{Style, Table, View, cell},
};

/// Files that Compose merges without being asked.
const OVERRIDES: [&str; 4] =
    ["compose.override.yaml", "compose.override.yml", "docker-compose.override.yml", "docker-compose.override.yaml"];

pub(super) fn run(args: &StackArgs, context: &Context) -> Outcome<ExitStatus> {
    let (folder, files) = chosen(args, context)?;
    let options = options(args, &folder, files);
    match load(&options, &Disk { folder }) {
        Ok(loaded) => {
            warn(&loaded.warnings, &loaded.sources, context);
            context.printer.show(&StackView(loaded.stack))?;
            Ok(ExitStatus::Done)
        }
        Err(refused) => {
            warn(&refused.warnings, &refused.sources, context);
            Err(failure(&refused))
        }
    }
}

/// The folder from which paths are seen, and the stack files in it.
fn chosen(args: &StackArgs, context: &Context) -> Outcome<(PathBuf, Vec<String>)> {
    let current = context.settings.directory.clone();
    if !args.file.is_empty() {
        return Ok((current, args.file.clone()));
    }
    let mut folders = vec![current.clone()];
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
        return Ok((folder, vec![(*first).to_owned()]));
    }
    let message = format!("no stack file in `{}`: expected one of {}", current.display(), FILE_NAMES.join(", "));
    Err(Failure::new(ExitStatus::NotFound, message).hint("name one with `-f FILE`"))
}

fn options(args: &StackArgs, folder: &Path, files: Vec<String>) -> Options {
    let first = files.first().map(|file| folder.join(file)).unwrap_or_default();
    let holder = first.parent().map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent });
    let holder = holder.and_then(|holder| fs_err::canonicalize(holder).ok()).unwrap_or_default();
    Options {
        files,
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
        let path = match (path.strip_prefix("~/"), env::home_dir()) {
            (Some(path), Some(home)) => home.join(path),
            _ => self.folder.join(path),
        };
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path)?;
        file.take(MOST_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// More than a stack file may have, so that the loader refuses what is longer.
const MOST_BYTES: u64 = 16 << 20;

fn warn(warnings: &[Problem], sources: &Sources, context: &Context) {
    for warning in warnings {
        context.printer.warn(warning.render(sources).trim_end());
    }
}

/// One error as its message with its place; several as causes of one.
fn failure(refused: &Refused) -> Failure {
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

struct StackView(Stack);

impl View for StackView {
    fn json(&self) -> Value {
        self.0.json.clone()
    }

    fn names(&self) -> Vec<String> {
        self.0.services.keys().cloned().collect()
    }

    fn text(&self, style: Style) -> String {
        let mut table = Table::new(style, &["SERVICE", "RUNS", "COPIES", "PORTS", "AFTER"]).spare(&["AFTER", "PORTS"]);
        for (name, service) in &self.0.services {
            let after: Vec<&str> = service.depends_on.keys().map(String::as_str).collect();
            table.row(vec![
                cell::plain(name),
                cell::plain(runs(service)),
                cell::plain(copies(service)),
                cell::plain(ports(service)),
                cell::plain(after.join(" ")),
            ]);
        }
        format!("stack {}\n{}", self.0.name, table.text())
    }
}

fn runs(service: &Service) -> String {
    match &service.runs {
        Runs::Process(process) => process.path.clone(),
        Runs::Container { image: Some(image), .. } => image.clone(),
        Runs::Container { image: None, .. } => {
            format!("build {}", service.json["build"]["context"].as_str().unwrap_or("."))
        }
    }
}

fn copies(service: &Service) -> String {
    match service.copies {
        _ if service.singleton => "1, singleton".to_owned(),
        Copies::Number(count) => count.to_string(),
        Copies::EveryNode => "every node".to_owned(),
    }
}

fn ports(service: &Service) -> String {
    let ports = service.ports.iter().map(|port| {
        let protocol = if port.protocol == "tcp" { String::new() } else { format!("/{}", port.protocol) };
        match port.published {
            Some(published) if published.first == published.last => {
                format!("{}:{}{protocol}", published.first, port.target)
            }
            Some(published) => format!("{}-{}:{}{protocol}", published.first, published.last, port.target),
            None => format!("{}{protocol}", port.target),
        }
    });
    ports.collect::<Vec<_>>().join(" ")
}
