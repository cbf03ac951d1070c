//! Every command that a message of this repository names is one that the command line accepts.

use std::{fs, path::Path};

use clap::{Parser, error::ErrorKind};

use super::Cli;

/// The commands between backticks in the string literals of a source file, each with its line.
fn named(source: &str) -> Vec<(usize, String)> {
    let lines = source.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
    // A string literal that goes on in the next line has a backslash there.
    let text: String = lines.map(|(at, line)| format!("\u{0}{at}\u{0}{}", line.trim())).collect();
    let text = text.replace("\\\u{0}", "\u{0}");
    let mut found = Vec::new();
    for (at, _) in text.match_indices("`disco ") {
        let rest = &text[at + 1..];
        let Some(end) = rest.find('`') else { continue };
        let line = text[..at].rsplit('\u{0}').nth(1).and_then(|line| line.parse().ok()).unwrap_or(0) + 1;
        // The numbers of the lines that it goes on in.
        let words = rest[..end].split('\u{0}').step_by(2).collect::<String>();
        found.push((line, words));
    }
    found
}

/// The words as a user would type them: with values in place of the placeholders.
fn typed(command: &str) -> Vec<String> {
    let words = command.split_whitespace().map(|word| match word {
        "COMMAND" | "{command}" => "status".to_owned(),
        "A:5080,B:5080,…" => "127.0.0.1:5080,127.0.0.2:5080".to_owned(),
        "nodes=N" => "nodes=3".to_owned(),
        word => match (word.find('{'), word.rfind('}')) {
            (Some(begin), Some(end)) if begin < end => format!("{}3{}", &word[..begin], &word[end + 1..]),
            _ => word.to_owned(),
        },
    });
    words.collect()
}

fn sources(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the repository") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_command_that_a_message_names_can_be_typed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository");
    let mut files = Vec::new();
    for part in ["disco", "discod", "identity", "planner", "proto", "provider", "runtime-js", "stack", "store"] {
        sources(&root.join(part).join("src"), &mut files);
    }
    let mut wrong = Vec::new();
    let mut count = 0;
    for file in files.iter().filter(|file| !file.ends_with("cli/hints.rs")) {
        for (line, command) in named(&fs::read_to_string(file).expect("a source file")) {
            count += 1;
            let parsed = Cli::try_parse_from(typed(&command));
            if let Err(error) = parsed
                && !matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion)
            {
                wrong.push(format!("{}:{line}: `{command}`: {}", file.display(), error.kind()));
            }
        }
    }
    assert!(count > 50, "only {count} commands were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The commands in a document: between backticks, and the lines of its blocks of code.
fn in_document(text: &str) -> Vec<String> {
    let quoted = text.split('`').skip(1).step_by(2).filter(|part| !part.contains('\n')).map(str::to_owned);
    let mut fenced = false;
    let lines = text.lines().filter(|line| {
        let fence = line.starts_with("```");
        fenced ^= fence;
        (fenced && !fence) || line.starts_with("    ")
    });
    // A comment ends a line.
    let lines = lines.flat_map(|line| line.split(" #").next().unwrap_or_default().split("&&"));
    quoted.chain(lines.map(str::to_owned)).filter(|command| command.trim().starts_with("disco ")).collect()
}

#[test]
fn every_command_of_the_readme_can_be_typed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository");
    let commands = in_document(&fs::read_to_string(root.join("README.md")).expect("the README"));
    let wrong: Vec<String> = commands
        .iter()
        .filter_map(|command| Some((command, Cli::try_parse_from(typed(command)).err()?)))
        .filter(|(_, error)| !matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion))
        .map(|(command, error)| format!("`{command}`: {}", error.kind()))
        .collect();
    assert!(commands.len() > 10, "only {} commands were found", commands.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn commands_are_found_where_they_go_on_in_the_next_line() {
    let source =
        "x.hint(\"renew it with `disco cert rotate \\\n         --operator`; or `disco do {name} a`\")\n// `disco no`";
    let found = named(source);
    assert_eq!(found, [(1, "disco cert rotate --operator".to_owned()), (2, "disco do {name} a".to_owned())]);
    assert_eq!(typed(&found[1].1), ["disco", "do", "3", "a"]);
}
