//! The secrets and configs of a stack: where its services find them, and the values that the stack itself defines.

use std::{fs::File, io::Read, path::Path};

use bytes::Bytes;
use disco_proto::v1::NamedValue;
use disco_stack::{Config, Mount, Problem, Secret, Service, Stack};
use disco_store::typed::{VALUE_BYTES, ValueKind, ValuePlace, ValueUse};

use super::source::below;

/// Where containers have their secrets: a process finds a file of that folder in its own.
const FOLDER: &str = "/run/secrets/";
/// As Compose has it.
const MODE: u32 = 0o444;

/// Where the tasks of a service find its secrets and configs.
pub(super) fn uses(name: &str, service: &Service, stack: &Stack, errors: &mut Vec<Problem>) -> Vec<ValueUse> {
    let mut uses = Vec::new();
    for (section, kind, mounts) in
        [("secrets", ValueKind::Secret, &service.secrets), ("configs", ValueKind::Config, &service.configs)]
    {
        for mount in mounts {
            match place(kind, mount) {
                Ok(place) => {
                    uses.push(ValueUse { kind, name: full_name(kind, &mount.source, stack), version: 0, place })
                }
                Err((why, hint)) => {
                    let message = format!("the {kind} `{}` of the service `{name}`: {why}", mount.source);
                    errors.push(problem(service, section, message, hint));
                }
            }
        }
    }
    for (variable, source) in &service.secret_environment {
        let (kind, place) = (ValueKind::Secret, ValuePlace::Variable(variable.clone()));
        uses.push(ValueUse { kind, name: full_name(kind, source, stack), version: 0, place });
    }
    uses
}

fn problem(service: &Service, key: &str, message: String, hint: &str) -> Problem {
    let place = service.places.get(key).or_else(|| service.places.get("")).copied();
    Problem { message, place, hint: Some(hint.to_owned()), related: Vec::new() }
}

/// The name in the cluster.
fn full_name(kind: ValueKind, key: &str, stack: &Stack) -> String {
    let external = match kind {
        ValueKind::Secret => match stack.secrets.get(key) {
            Some(Secret::External(name)) => Some(name),
            _ => None,
        },
        ValueKind::Config => match stack.configs.get(key) {
            Some(Config::External(name)) => Some(name),
            _ => None,
        },
    };
    external.map_or_else(|| format!("{}/{key}", stack.name), Clone::clone)
}

/// The file of a mount in the task's folder; what is wrong with it, and what to do.
fn place(kind: ValueKind, mount: &Mount) -> Result<ValuePlace, (String, &'static str)> {
    const NUMBER: &str = "write the number of a user of the nodes, or leave it out: then it is that of the process";
    let number = |what: &str, text: &Option<String>| match text {
        None => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| (format!("`{what}` is `{text}`: expected a number"), NUMBER)),
    };
    let target = mount.target.as_deref().unwrap_or(&mount.source);
    let relative = match (kind, target.strip_prefix('/')) {
        (_, None) => Some(target),
        (ValueKind::Secret, Some(_)) => target.strip_prefix(FOLDER),
        // In the root of a container.
        (ValueKind::Config, Some(file)) => Some(file).filter(|file| !file.contains('/')),
    };
    let part = |part: &str| !part.is_empty() && part != "." && !part.starts_with("..");
    let Some(relative) = relative.filter(|relative| relative.split('/').all(part)) else {
        let hint = match kind {
            ValueKind::Secret => {
                "a process finds it in the folder `DISCO_SECRETS`: write a path in that, such as `target: db_password`"
            }
            ValueKind::Config => {
                "a process finds it in the folder `DISCO_CONFIGS`: write a path in that, such as `target: app.conf`"
            }
        };
        return Err((format!("`target` is `{target}`: expected a path in the task's own folder"), hint));
    };
    let (uid, gid) = (number("uid", &mount.uid)?, number("gid", &mount.gid)?);
    Ok(ValuePlace::File { target: relative.to_owned(), uid, gid, mode: mount.mode.unwrap_or(MODE) })
}

/// The values that the stack itself defines; `base` is the folder from which its paths are seen.
pub(super) fn read(stack: &Stack, base: &Path, errors: &mut Vec<Problem>) -> Vec<NamedValue> {
    let mut values = Vec::new();
    let mut add = |kind: ValueKind, key: &str, value: Result<Option<Vec<u8>>, (String, &'static str)>| match value {
        Ok(None) => {}
        Ok(Some(value)) => {
            let (kind, name) = (kind.word().to_owned(), key.to_owned());
            values.push(NamedValue { kind, name, value: Bytes::from(value) });
        }
        Err((why, hint)) => {
            let message = format!("the {kind} `{key}`: {why}");
            let user = stack.services.values().find(|service| is_used(service, kind, key));
            errors.push(match user {
                Some(service) => {
                    problem(service, if kind == ValueKind::Secret { "secrets" } else { "configs" }, message, hint)
                }
                None => Problem { message, place: None, hint: Some(hint.to_owned()), related: Vec::new() },
            });
        }
    };
    for (key, secret) in &stack.secrets {
        let value = match secret {
            Secret::External(_) => Ok(None),
            Secret::File(path) => file(path, base).map(Some),
            Secret::Variable { value: Some(value), .. } => Ok(Some(value.clone().into_bytes())),
            Secret::Variable { name, value: None } => Err(unset(name)),
        };
        add(ValueKind::Secret, key, value.and_then(bounded));
    }
    for (key, config) in &stack.configs {
        let value = match config {
            Config::External(_) => Ok(None),
            Config::File(path) => file(path, base).map(Some),
            Config::Content(content) => Ok(Some(content.clone().into_bytes())),
            Config::Unset(name) => Err(unset(name)),
        };
        add(ValueKind::Config, key, value.and_then(bounded));
    }
    values
}

fn is_used(service: &Service, kind: ValueKind, key: &str) -> bool {
    let mounts = if kind == ValueKind::Secret { &service.secrets } else { &service.configs };
    mounts.iter().any(|mount| mount.source == key) || service.secret_environment.values().any(|source| source == key)
}

fn unset(name: &str) -> (String, &'static str) {
    (format!("the variable `{name}` is not set"), "set it in the environment of `disco`, in `.env`, or with `--set`")
}

fn file(path: &str, base: &Path) -> Result<Vec<u8>, (String, &'static str)> {
    let failed = |error: std::io::Error| {
        (format!("cannot read `{path}`: {error}"), "correct the path: it is relative to the first stack file")
    };
    let file = File::open(below(base, path)).map_err(failed)?;
    let mut value = Vec::new();
    file.take(VALUE_BYTES as u64 + 1).read_to_end(&mut value).map_err(failed)?;
    Ok(value)
}

fn bounded(value: Option<Vec<u8>>) -> Result<Option<Vec<u8>>, (String, &'static str)> {
    match value {
        Some(value) if value.len() > VALUE_BYTES => Err((
            format!("it is larger than {} KiB", VALUE_BYTES >> 10),
            "ship large files in the folder of `x-disco.process.path`",
        )),
        value => Ok(value),
    }
}

/// Names in the file that have no effect: the cluster calls what a stack defines `STACK/KEY`.
pub(super) fn named_in_vain(stack: &Stack) -> Vec<Problem> {
    let own_secrets =
        stack.secrets.iter().filter(|(_, secret)| !matches!(secret, Secret::External(_))).map(|(key, _)| key);
    let own_configs =
        stack.configs.iter().filter(|(_, config)| !matches!(config, Config::External(_))).map(|(key, _)| key);
    let own = own_secrets.map(|key| ("secrets", key)).chain(own_configs.map(|key| ("configs", key)));
    let named = own.filter_map(|(section, key)| {
        let name = stack.json[section][key]["name"].as_str()?;
        (name != format!("{}_{key}", stack.name)).then(|| Problem {
            message: format!("`{section}.{key}.name` has no effect"),
            place: None,
            hint: Some(format!("the cluster calls it `{}/{key}`", stack.name)),
            related: Vec::new(),
        })
    });
    named.collect()
}

#[cfg(test)]
#[path = "values_test.rs"]
mod tests;
