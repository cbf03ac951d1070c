//! `disco init`: writes the missing files of a project, and never replaces existing ones.

mod hosts;
mod name;
mod scaffold;

use std::path::{Path, PathBuf};

use disco_provider::ssh::quote;
use serde_json::{Value, json};

use crate::{
    cli::InitArgs,
    context::Context,
    error::{Failure, Outcome},
    exit::ExitStatus,
    printer::{Style, View},
};

/// With it editors complete and check `stack.yml`, whose first line names it.
const STACK_SCHEMA: &str = "disco.stack.json";

pub(super) fn run(args: &InitArgs, context: &Context) -> Outcome<ExitStatus> {
    let dir = match &args.dir {
        Some(dir) => context.settings.directory.join(dir),
        None => context.settings.directory.clone(),
    };
    let name = match &args.name {
        Some(name) => name::checked(name)?,
        None => {
            let (name, refused) = name::from_folder(&dir)?;
            if let Some(refused) = refused {
                context
                    .printer
                    .note(&format!("the cluster is named `{name}`: {refused}; `--name NAME` gives another name"));
            }
            name
        }
    };
    for note in hosts::checked(&args.hosts)? {
        context.printer.note(&note);
    }
    if !args.dry_run {
        fs_err::create_dir_all(&dir)
            .map_err(|error| Failure::usage("cannot create the project folder").because(&error))?;
    }
    let mut written = Scaffold { dir: dir.clone(), name: name.clone(), files: Vec::new(), dry_run: args.dry_run };
    for (path, content) in scaffold::files(&name, &args.hosts) {
        written.files.push((path, put(&dir.join(path), &content, args.dry_run)?));
    }
    written.files.push((STACK_SCHEMA, put(&dir.join(STACK_SCHEMA), &disco_stack::json_schema(), args.dry_run)?));
    context.printer.show(&written)?;
    let there = written.files.iter().filter(|(_, found)| *found == Found::Other).count();
    if there > 0 {
        context.printer.note(&format!("{there} files already exist with other content, and were left as they are"));
    }
    if !args.hosts.is_empty() {
        let scripts = written.files.iter().filter(|(path, _)| path.ends_with(".js"));
        for (path, _) in scripts.filter(|(_, found)| *found == Found::Other) {
            context.printer.warn(&format!(
                "`{path}` was not written: name the hosts in `HostsProvider.init` yourself, or move it away and run this again"
            ));
        }
    }
    if !args.dry_run {
        let place =
            args.dir.as_ref().map(|dir| format!(" -C {}", quote(&dir.display().to_string()))).unwrap_or_default();
        context.printer.note(&format!("next: `disco{place} bootstrap`"));
    }
    Ok(ExitStatus::Done)
}

/// What was found at a file's path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Found {
    Nothing,
    Same,
    Other,
}

impl Found {
    fn word(self, dry_run: bool) -> &'static str {
        match (self, dry_run) {
            (Self::Nothing, false) => "written",
            (Self::Nothing, true) => "would be written",
            (Self::Same, _) => "unchanged",
            (Self::Other, _) => "kept",
        }
    }
}

/// Writes the file unless its path exists.
fn put(path: &Path, content: &str, dry_run: bool) -> Outcome<Found> {
    match fs_err::read(path) {
        Ok(there) if there == content.as_bytes() => return Ok(Found::Same),
        Ok(_) => return Ok(Found::Other),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(Failure::usage("cannot read a project file").because(&error)),
    }
    if !dry_run {
        let mut file = fs_err::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(path)
            .map_err(|error| Failure::failed("cannot write a project file").because(&error))?;
        std::io::Write::write_all(&mut file, content.as_bytes())
            .map_err(|error| Failure::failed("cannot write a project file").because(&error))?;
    }
    Ok(Found::Nothing)
}

struct Scaffold {
    dir: PathBuf,
    name: String,
    files: Vec<(&'static str, Found)>,
    dry_run: bool,
}

impl View for Scaffold {
    fn json(&self) -> Value {
        let files: Vec<Value> =
            self.files.iter().map(|(path, found)| json!({ "path": path, "state": found.word(self.dry_run) })).collect();
        json!({ "directory": self.dir, "cluster": self.name, "files": files })
    }

    fn names(&self) -> Vec<String> {
        self.files.iter().map(|(path, _)| (*path).to_owned()).collect()
    }

    fn text(&self, _style: Style) -> String {
        self.files.iter().map(|(path, found)| format!("{path:<16} {}\n", found.word(self.dry_run))).collect()
    }
}
