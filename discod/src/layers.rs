//! Which folder may import which, enforced by a test that reads the sources.
//!
//! ```text
//! daemon
//! api | controllers | agent       the callers: a client, the leader, the node itself
//!   -> script                     hooks for these callers, and a caller itself
//!     -> cluster                  operations, with their own errors
//!       -> node                   this node's replica: reads, writes, forwarding to the leader
//!         -> raft -> peers        the log on its network, and the connections to the others
//!           -> consensus          the log: a crate, which the simulation runs too
//!         -> home, local          state of this machine alone
//! ```
//!
//! A folder imports only from lower layers. Violations that remain are listed in [`EXCEPTIONS`], each with its reason;
//! an exception that is no longer needed fails the test, so the list only shrinks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Modules by layer, lowest first. Modules of one layer do not import each other.
const LAYERS: &[&[&str]] = &[
    &["clock", "clocks", "ends", "holder", "memory"],
    &["peers"],
    &["raft"],
    &["local"],
    &["args"],
    &["home"],
    &["join", "last_report"],
    &["contact"],
    &["node"],
    &["records"],
    &["cluster"],
    &["script"],
    &["api", "controllers", "agent"],
    &["daemon"],
    &["main"],
];

/// Modules that may use the gRPC library.
const GRPC: &[&str] = &["api", "daemon", "peers", "raft"];

/// Imports against the direction: module, what it imports, and why it still does.
const EXCEPTIONS: &[(&str, &str, &str)] = &[];

/// The modules that each module imports, with the files that import them.
type Imports = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// All source files except this one, which names modules in strings.
fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("layers.rs") {
            files.push(path);
        }
    }
}

/// The text without comments.
fn code(text: &str) -> String {
    let lines = text.lines().map(|line| line.split_once("//").map_or(line, |(code, _)| code));
    lines.collect::<Vec<_>>().join("\n")
}

fn ident(text: &str) -> &str {
    let end = text.find(|character: char| !character.is_alphanumeric() && character != '_').unwrap_or(text.len());
    &text[..end]
}

/// The first names in `{a, b::{c, d}}`, within the outermost braces only.
fn group(text: &str) -> Vec<&str> {
    let (mut depth, mut names, mut start) = (0_usize, Vec::new(), 0);
    for (at, character) in text.char_indices() {
        match character {
            '{' => depth += 1,
            '}' | ',' if depth == 1 => {
                names.push(ident(text[start..at].trim_start_matches('{').trim()));
                if character == '}' {
                    break;
                }
            }
            '}' => depth -= 1,
            _ => continue,
        }
        if depth == 1 && matches!(character, '{' | ',') {
            start = at + 1;
        }
    }
    names.into_iter().filter(|name| !name.is_empty()).collect()
}

/// Modules of the crate that a text names.
fn named(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        if rest.starts_with('{') {
            found.extend(group(rest).into_iter().map(str::to_owned));
        } else {
            found.insert(ident(rest).to_owned());
        }
    }
    found
}

/// The module of the crate's root that a file belongs to.
fn module(src: &Path, file: &Path) -> String {
    let first = file.strip_prefix(src).unwrap().components().next().unwrap();
    first.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned()
}

fn imports(src: &Path) -> Imports {
    let mut files = Vec::new();
    sources(src, &mut files);
    let mut imports = Imports::new();
    for file in files {
        let module = module(src, &file);
        let path = file.strip_prefix(src).unwrap().display().to_string();
        let code = code(&std::fs::read_to_string(&file).unwrap());
        for other in named(&code).into_iter().filter(|other| *other != module) {
            imports.entry(module.clone()).or_default().entry(other).or_default().insert(path.clone());
        }
    }
    imports
}

fn own() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn layer(module: &str) -> usize {
    let found = LAYERS.iter().position(|layer| layer.contains(&module));
    found.unwrap_or_else(|| panic!("`{module}` has no layer yet: give it one"))
}

#[test]
fn folders_import_lower_layers_alone() {
    let mut against = Vec::new();
    let mut needed = BTreeSet::new();
    for (module, others) in imports(&own()) {
        for (other, files) in others {
            if layer(&other) < layer(&module) {
                continue;
            }
            match EXCEPTIONS.iter().find(|(from, to, _)| *from == module && *to == other) {
                Some((from, to, _)) => drop(needed.insert((*from, *to))),
                None => against.push(format!("`{module}` imports `{other}` in {files:?}")),
            }
        }
    }
    assert!(against.is_empty(), "against the layers:\n{}", against.join("\n"));
    let idle = EXCEPTIONS.iter().filter(|(from, to, _)| !needed.contains(&(*from, *to))).collect::<Vec<_>>();
    assert!(idle.is_empty(), "not needed any more: {idle:?}");
}

#[test]
fn grpc_is_named_where_requests_come_in_and_go_out_alone() {
    let src = own();
    let mut files = Vec::new();
    sources(&src, &mut files);
    let elsewhere: Vec<String> = files
        .iter()
        .filter(|file| !GRPC.contains(&module(&src, file).as_str()))
        .filter(|file| code(&std::fs::read_to_string(file).unwrap()).contains("tonic"))
        .map(|file| file.display().to_string())
        .collect();
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
}

/// Crates of the workspace that `consensus/` may use: it knows neither the daemon nor what carries its messages.
const BELOW_CONSENSUS: &[&str] = &["disco-identity", "disco-planner", "disco-proto", "disco-store"];

#[test]
fn consensus_knows_neither_the_daemon_nor_a_network() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../consensus");
    let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    let used = manifest.lines().filter_map(|line| line.strip_suffix(".workspace = true"));
    let against: Vec<&str> = used
        .filter(|name| ["tonic", "turmoil"].contains(name) || name.starts_with("disco"))
        .filter(|name| !BELOW_CONSENSUS.contains(name))
        .collect();
    assert!(manifest.contains("\nopenraft.workspace = true") && against.is_empty(), "{against:?}");
}

#[test]
fn openraft_is_named_beside_its_network_alone() {
    let src = own();
    let mut files = Vec::new();
    sources(&src, &mut files);
    let elsewhere: Vec<String> = files
        .iter()
        .filter(|file| module(&src, file) != "raft")
        .filter(|file| code(&std::fs::read_to_string(file).unwrap()).contains("use openraft"))
        .map(|file| file.display().to_string())
        .collect();
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
}

#[test]
fn all_ways_to_name_a_module_are_seen() {
    let text = "use crate::{agent, backups::{Folder, Kept},\n    memory};\nuse crate::node::Node;\nlet x = crate::clock::now();";
    assert_eq!(named(&code(text)).into_iter().collect::<Vec<_>>(), ["agent", "backups", "clock", "memory", "node"]);
    assert!(named(&code("// crate::api is above")).is_empty());
}

/// Modules of the client that import each other in a circle, and why they still do.
const CLIENT_CIRCLES: &[(&[&str], &str)] =
    &[(&["cli", "project"], "settings are made of arguments, and arguments are completed by what the project knows")];

#[test]
fn the_clients_modules_do_not_import_in_a_circle() {
    let imports = imports(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../disco/src"));
    let reached = |from: &str| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from.to_owned()]);
        while let Some(module) = open.pop() {
            for other in imports.get(&module).into_iter().flat_map(BTreeMap::keys) {
                if seen.insert(other.clone()) {
                    open.push(other.clone());
                }
            }
        }
        seen
    };
    let reached: BTreeMap<&String, BTreeSet<String>> = imports.keys().map(|module| (module, reached(module))).collect();
    let circles: BTreeSet<Vec<&str>> = reached
        .iter()
        .filter(|(module, others)| others.contains(module.as_str()))
        .map(|(module, others)| {
            let back = |other: &&String| reached.get(other).is_some_and(|others| others.contains(module.as_str()));
            others.iter().filter(back).map(String::as_str).collect()
        })
        .collect();
    let known: BTreeSet<Vec<&str>> = CLIENT_CIRCLES.iter().map(|(modules, _)| modules.to_vec()).collect();
    assert_eq!(circles, known, "circles of modules, and those that are known");
}
