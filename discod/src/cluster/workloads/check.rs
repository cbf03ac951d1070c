//! Whether what a client requests can be.

use std::collections::BTreeMap;

use disco_planner::placement::Constraint;
use disco_proto::v1::DeployStack;

use super::jobs;
use super::versions::{Target, Version};
use crate::cluster::{Error, Result};
use crate::records::{Copies, ServiceSpec};

/// The longest label of DNS.
const LONGEST_NAME: usize = 63;
/// Services of one stack: their records are written in one transaction.
const MOST_SERVICES: usize = 40;
/// Copies of one service.
const MOST_COPIES: u32 = 1_000;
/// Files of one service.
const MOST_FILES: usize = 2_000;

/// The services of a deploy.
///
/// # Errors
/// What is wrong with them.
pub fn targets(request: DeployStack) -> Result<BTreeMap<String, Target>> {
    name("stack", &request.stack)?;
    let count = request.services.len();
    if count == 0 || count > MOST_SERVICES {
        return Err(Error::Invalid(format!("a stack has 1 to {MOST_SERVICES} services, not {count}")));
    }
    let mut targets = BTreeMap::new();
    for service in request.services {
        name("service", &service.name)?;
        let of = |what: &str, error: serde_json::Error| {
            Error::Invalid(format!("service `{}`: cannot read its {what}: {error}", service.name))
        };
        let spec: ServiceSpec = serde_json::from_slice(&service.spec).map_err(|error| of("specification", error))?;
        let copies: Copies = serde_json::from_slice(&service.copies).map_err(|error| of("number of copies", error))?;
        spec_of(&spec, copies).map_err(|why| Error::Invalid(format!("service `{}`: {why}", service.name)))?;
        let target = Target { copies, version: Version::New { hash: service.hash, spec: Box::new(spec) } };
        if targets.insert(service.name.clone(), target).is_some() {
            return Err(Error::Invalid(format!("service `{}` is listed twice", service.name)));
        }
    }
    for (service, target) in &targets {
        let Version::New { spec, .. } = &target.version else { continue };
        if let Some(job) = spec.depends_on.keys().find(|other| targets.get(*other).is_some_and(is_job)) {
            let why =
                format!("service `{service}` depends on `{job}`, which is a job: a deployment starts no run of it");
            return Err(Error::Invalid(why));
        }
        if let Some(missing) = spec.depends_on.keys().find(|other| !targets.contains_key(*other)) {
            let why = format!("service `{service}` depends on `{missing}`, which is not in the stack");
            return Err(Error::Invalid(why));
        }
    }
    acyclic(&targets)?;
    Ok(targets)
}

/// Whether one of the services of a deploy is a job.
///
/// # Errors
/// What is wrong with them.
pub fn has_jobs(request: DeployStack) -> Result<bool> {
    Ok(targets(request)?.values().any(is_job))
}

fn is_job(target: &Target) -> bool {
    matches!(&target.version, Version::New { spec, .. } if spec.job.is_some())
}

/// Services that wait for each other would wait for ever.
fn acyclic(targets: &BTreeMap<String, Target>) -> Result<()> {
    let depends = |name: &str| match targets.get(name).map(|target| &target.version) {
        Some(Version::New { spec, .. }) => spec.depends_on.keys().map(String::as_str).collect(),
        _ => Vec::new(),
    };
    let mut waiting: BTreeMap<&str, Vec<&str>> = targets.keys().map(|name| (name.as_str(), depends(name))).collect();
    loop {
        let free = waiting.iter().find(|(_, others)| others.iter().all(|other| !waiting.contains_key(other)));
        let Some(free) = free.map(|(name, _)| *name) else { break };
        waiting.remove(free);
    }
    if waiting.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = waiting.keys().map(|name| format!("`{name}`")).collect();
    Err(Error::Invalid(format!("services {} depend on each other in a circle", names.join(", "))))
}

fn spec_of(spec: &ServiceSpec, copies: Copies) -> std::result::Result<(), String> {
    if spec.driver != "process" {
        return Err(format!("unknown driver `{}`: expected process", spec.driver));
    }
    let process = spec.process.as_ref().ok_or("the driver `process` needs a program")?;
    if process.files.len() > MOST_FILES {
        return Err(format!("it has {} files; at most {MOST_FILES} are allowed", process.files.len()));
    }
    if !process.files.iter().any(|file| file.path == process.program) {
        return Err(format!("its program `{}` is not among its files", process.program));
    }
    number_of(copies, spec.singleton)?;
    if spec.job.is_some() {
        jobs::check(spec, copies)?;
    }
    for constraint in &spec.constraints {
        self::constraint(constraint)?;
    }
    super::values::check(spec)
}

/// Whether a service can have so many copies.
///
/// # Errors
/// Why not.
pub fn number_of(copies: Copies, singleton: bool) -> std::result::Result<(), String> {
    match copies {
        Copies::EveryNode if singleton => Err("a singleton cannot run on every node".to_owned()),
        Copies::Number(count) if singleton && count > 1 => {
            Err(format!("a singleton has one copy at most, not {count}"))
        }
        Copies::Number(count) if count > MOST_COPIES => {
            Err(format!("a service has {MOST_COPIES} copies at most, not {count}"))
        }
        _ => Ok(()),
    }
}

/// Reads a condition on a node: `node.labels.disk == ssd`, `node.name != web-1`.
///
/// # Errors
/// What is wrong with it.
pub fn constraint(text: &str) -> std::result::Result<Constraint, String> {
    let wrong = || format!("invalid constraint `{text}`: expected `node.labels.NAME == VALUE`, or `!=`");
    let (left, right, is) = match (text.split_once("=="), text.split_once("!=")) {
        (Some((left, right)), None) => (left, right, true),
        (None, Some((left, right))) => (left, right, false),
        _ => return Err(wrong()),
    };
    let (label, value) = (label(left.trim()).ok_or_else(wrong)?, right.trim().to_owned());
    Ok(if is { Constraint::Is(label, value) } else { Constraint::IsNot(label, value) })
}

/// The planner's label for a property of a node: those that are no labels keep their prefix, which no label has.
#[must_use]
pub fn label(text: &str) -> Option<String> {
    match text {
        "node.id" | "node.name" => Some(text.to_owned()),
        "node.hostname" => Some("node.name".to_owned()),
        _ => text.strip_prefix("node.labels.").filter(|label| !label.is_empty()).map(str::to_owned),
    }
}

fn name(what: &str, name: &str) -> Result<()> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(good) {
        let cut: String = name.chars().take(100).collect();
        return Err(Error::Invalid(format!(
            "invalid {what} name `{cut}`: expected at most {LONGEST_NAME} letters, digits, `-`, `_` and `.`"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints_name_labels_names_and_ids() {
        let is = |label: &str, value: &str| Ok(Constraint::Is(label.to_owned(), value.to_owned()));
        assert_eq!(constraint("node.labels.disk == ssd"), is("disk", "ssd"));
        assert_eq!(constraint("node.labels.zone==a b"), is("zone", "a b"));
        assert_eq!(constraint("node.hostname==web-1"), is("node.name", "web-1"));
        let not = Constraint::IsNot("node.id".to_owned(), "3".to_owned());
        assert_eq!(constraint("node.id != 3"), Ok(not));
        for wrong in ["disk == ssd", "node.labels. == x", "node.labels.disk = ssd", "node.labels.a == b != c", ""] {
            assert!(constraint(wrong).unwrap_err().contains(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_singleton_has_one_copy() {
        assert!(number_of(Copies::Number(2), true).is_err() && number_of(Copies::EveryNode, true).is_err());
        assert!(number_of(Copies::Number(1), true).is_ok() && number_of(Copies::Number(2), false).is_ok());
    }
}
