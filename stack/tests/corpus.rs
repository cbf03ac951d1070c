//! The corpus in `corpus/`: what Disco makes of each stack, and whether Docker Compose makes the same of it.
//!
//! A folder holds `stack.yml` and the files beside it, `args` where other than `-f stack.yml`, `env` with variables, and what Disco
//! prints: `disco.json`, or `disco.err` where it refuses, and `disco.warn`. `differs` says why Compose does otherwise on purpose;
//! without it both make the same, or both refuse. `DISCO_TEST_BLESS=1` writes the files anew.

#![expect(clippy::unwrap_used, reason = "what cannot be set up fails the test")]
#![expect(clippy::disallowed_methods, reason = "these tests read the corpus and run Compose")]

use std::{
    collections::BTreeMap,
    env, fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use disco_stack::{Files, Loaded, Options, Refused, load};
use serde_json::{Map, Value, json};

/// The version whose answers the corpus describes.
const COMPOSE: &str = "2.40.3";

struct Disk(PathBuf);

impl Files for Disk {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        fs::read(self.0.join(path))
    }
}

struct Case {
    name: String,
    folder: PathBuf,
    args: Vec<String>,
    env: BTreeMap<String, String>,
    differs: Option<String>,
}

fn cases() -> Vec<Case> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut folders: Vec<PathBuf> = fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders.into_iter().map(case).collect()
}

fn case(folder: PathBuf) -> Case {
    let text = |name: &str| fs::read_to_string(folder.join(name)).ok();
    let args = text("args").unwrap_or_else(|| "-f stack.yml".to_owned());
    let env = text("env").unwrap_or_default();
    Case {
        name: folder.file_name().unwrap().to_string_lossy().into_owned(),
        args: args.split_whitespace().map(str::to_owned).collect(),
        env: env
            .lines()
            .filter_map(|line| line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())))
            .collect(),
        differs: text("differs").map(|reason| reason.trim().to_owned()),
        folder,
    }
}

impl Case {
    fn disco(&self) -> Result<Loaded, Box<Refused>> {
        let mut options =
            Options { folder_name: self.name.clone(), environment: self.env.clone(), ..Options::default() };
        for pair in self.args.chunks(2) {
            match pair {
                [flag, value] if flag == "-f" => options.files.push(value.clone()),
                [flag, value] if flag == "--profile" => options.profiles.push(value.clone()),
                _ => panic!("{}: unknown arguments {pair:?}", self.name),
            }
        }
        load(&options, &Disk(self.folder.clone()))
    }

    fn compose(&self, program: &[String]) -> Result<Value, String> {
        let output = Command::new(&program[0])
            .args(&program[1..])
            .args(&self.args)
            .args(["config", "--format", "json", "--no-path-resolution"])
            .current_dir(&self.folder)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", "/nonexistent")
            .envs(&self.env)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        if !output.status.success() {
            return Err(text);
        }
        serde_json::from_slice(&output.stdout).map_err(|error| format!("{error}: {text}"))
    }
}

#[test]
fn each_stack_of_the_corpus_is_read_as_recorded() {
    let bless = env::var_os("DISCO_TEST_BLESS").is_some();
    let mut wrong = Vec::new();
    let cases = cases();
    assert!(cases.len() > 100, "only {} cases", cases.len());
    for case in &cases {
        let (json, error, warnings, sources) = match case.disco() {
            Ok(loaded) => {
                let json = serde_json::to_string_pretty(&loaded.stack.json).unwrap() + "\n";
                (Some(json), None, loaded.warnings, loaded.sources)
            }
            Err(refused) => (None, Some(format!("{refused}\n")), refused.warnings, refused.sources),
        };
        let warnings: Vec<String> = warnings.iter().map(|warning| warning.render(&sources)).collect();
        let warnings = (!warnings.is_empty()).then(|| warnings.join("\n"));
        for (name, found) in [("disco.json", json), ("disco.err", error), ("disco.warn", warnings)] {
            let path = case.folder.join(name);
            if bless {
                match &found {
                    Some(text) => fs::write(&path, text).unwrap(),
                    None => drop(fs::remove_file(&path)),
                }
            }
            let recorded = fs::read_to_string(&path).ok();
            if recorded != found {
                wrong.push(format!("{}/{name}: recorded {recorded:?}, found {found:?}", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is printed is a stack file too, and says the same: JSON is YAML, and `$` is doubled.
#[test]
fn a_printed_stack_is_read_as_the_same_stack() {
    for case in cases() {
        let Ok(loaded) = case.disco() else { continue };
        // Redacted values cannot come back; `$` in keys is doubled as Compose does it, and keys are not interpolated.
        if ["secret-in-environment", "interpolation-keys"].contains(&case.name.as_str()) {
            continue;
        }
        struct Printed(String);
        impl Files for Printed {
            fn read(&self, path: &str) -> io::Result<Vec<u8>> {
                if path == "printed.json" {
                    Ok(self.0.clone().into_bytes())
                } else {
                    Err(io::ErrorKind::NotFound.into())
                }
            }
        }
        let options = Options {
            files: vec!["printed.json".to_owned()],
            folder_name: "other".to_owned(),
            environment: case
                .env
                .iter()
                .filter(|(name, _)| !name.starts_with("COMPOSE_"))
                .map(|(a, b)| (a.clone(), b.clone()))
                .collect(),
            profiles: vec!["*".to_owned()],
            ..Options::default()
        };
        let again = load(&options, &Printed(loaded.stack.json.to_string()))
            .unwrap_or_else(|error| panic!("{}: {error}", case.name));
        assert_eq!(again.stack.json, loaded.stack.json, "{}", case.name);
        for (name, service) in &loaded.stack.services {
            assert_eq!(again.stack.services[name].hash, service.hash, "{}: {name}", case.name);
        }
    }
}

/// The program, or why there is none.
fn compose() -> Result<Vec<String>, String> {
    let named = env::var("DISCO_TEST_COMPOSE").ok().map(|path| vec![path]);
    let mut reasons = Vec::new();
    let candidates =
        [named, Some(vec!["docker-compose".to_owned()]), Some(vec!["docker".to_owned(), "compose".to_owned()])];
    for program in candidates.into_iter().flatten() {
        let shown = program.join(" ");
        match Command::new(&program[0]).args(&program[1..]).args(["version", "--short"]).stdin(Stdio::null()).output() {
            Ok(output) if output.status.success() => {
                let version = String::from_utf8_lossy(&output.stdout).trim().trim_start_matches('v').to_owned();
                if version == COMPOSE || version.starts_with(&format!("{COMPOSE}-")) {
                    return Ok(program);
                }
                reasons.push(format!("`{shown}` is version {version}"));
            }
            Ok(_) => reasons.push(format!("`{shown}` fails")),
            Err(_) => reasons.push(format!("`{shown}` is not installed")),
        }
    }
    Err(format!("needs Docker Compose {COMPOSE}, on PATH or as DISCO_TEST_COMPOSE: {}", reasons.join(", ")))
}

#[test]
fn compose_makes_the_same_of_the_corpus_but_where_it_is_said() {
    let program = match compose() {
        Ok(program) => program,
        Err(why) => {
            println!("skipped: compose_makes_the_same_of_the_corpus_but_where_it_is_said: {why}");
            return;
        }
    };
    let mut wrong = Vec::new();
    for case in cases() {
        let (disco, compose) = (case.disco(), case.compose(&program));
        let (same, what) = match (disco, compose) {
            (Ok(disco), Ok(compose)) => {
                let (disco, compose) = (comparable(&disco.stack.json, ""), comparable(&compose, ""));
                (disco == compose, format!("\n  Disco   {disco}\n  Compose {compose}"))
            }
            (Err(_), Err(_)) => (true, "both refuse it".to_owned()),
            (Ok(_), Err(error)) => (false, format!("Compose refuses it: {error}")),
            (Err(error), Ok(_)) => (false, format!("Disco refuses it: {error}")),
        };
        match (same, &case.differs) {
            (true, None) | (false, Some(_)) => {}
            (false, None) => wrong.push(format!("{}: {what}", case.name)),
            (true, Some(reason)) => wrong.push(format!("{}: the same, and yet: {reason}", case.name)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Without what is only spelling: empty values that Compose leaves out, `./` before paths, `2.0` for 2.
fn comparable(json: &Value, key: &str) -> Value {
    match json {
        Value::Object(map) => {
            let mut kept = Map::new();
            for (name, value) in map {
                let value = comparable(value, name);
                let counts = matches!(name.as_str(), "command" | "entrypoint" | "test")
                    || matches!(key, "environment" | "labels" | "args" | "annotations");
                let empty = [Value::Null, json!(false), json!(0), json!(""), json!([]), json!({})].contains(&value);
                if counts || !empty {
                    kept.insert(name.clone(), value);
                }
            }
            Value::Object(kept)
        }
        Value::Array(list) => Value::Array(list.iter().map(|item| comparable(item, "")).collect()),
        Value::String(text) => json!(text.strip_prefix("./").unwrap_or(text)),
        Value::Number(number) => match number.as_f64() {
            #[expect(clippy::cast_possible_truncation, reason = "it is whole")]
            Some(float) if float.fract() == 0.0 && float.abs() < 1e15 => json!(float as i64),
            _ => json.clone(),
        },
        other => other.clone(),
    }
}
