//! Secrets and configs: their names, their versions, and the services that use them.
//!
//! A version of a service names the versions of what it uses, so it keeps them when it returns. A new value is a new version of each
//! service that uses it.

use std::collections::{BTreeMap, BTreeSet};

use disco_proto::v1::{NamedValue, WorkloadChange};
use serde_json::json;

use super::draft::Draft;
use super::recorded::Workloads;
use super::requests::{Answer, join_deployment};
use super::table::{ServiceId, ValueId};
use super::versions::{self, Target, Version};
use crate::cluster::secrets::Sealer;
use crate::cluster::{Error, Result};
use crate::records::{
    EventRecord, GroupRecord, ServiceRecord, ServiceSpec, Severity, VALUE_BYTES, ValueKind, ValuePlace, ValueRecord,
    ValueUse, event, keys,
};

/// The longest name, without that of a stack.
const LONGEST_NAME: usize = 253;
/// The longest path of a file.
const LONGEST_TARGET: usize = 255;
/// Uses of one service.
const MOST_USES: usize = 256;
/// Between the hash of a service and the versions of its values.
const BEHIND: char = '+';

/// The kind that a request names.
///
/// # Errors
/// It is none.
pub fn kind(word: &str) -> Result<ValueKind> {
    let known = [ValueKind::Secret, ValueKind::Config].into_iter().find(|kind| kind.word() == word);
    known.ok_or_else(|| Error::Invalid(format!("invalid kind `{word}`: expected secret or config")))
}

/// Takes the values that a stack defines, and gives each use in its services the version that the name has now.
///
/// # Errors
/// A value is too large, or a name does not exist.
pub fn resolve(
    draft: &mut Draft,
    stack: &str,
    targets: &mut BTreeMap<String, Target>,
    values: Vec<NamedValue>,
    sealer: &Sealer,
) -> Result<()> {
    for value in values {
        let kind = kind(&value.kind)?;
        check_name(kind, &value.name)?;
        put(draft, (kind, format!("{stack}/{}", value.name)), &value.value, sealer)?;
    }
    for (service, target) in targets {
        let Version::New { hash, spec } = &mut target.version else { continue };
        for used in &mut spec.values {
            let id = (used.kind, used.name.clone());
            used.version = draft.records.values.get(&id).ok_or_else(|| missing(service, used))?.version;
            // It may be removed at the same time.
            draft.records.values.confirm(&id);
        }
        *hash = hash_with(hash, spec);
    }
    Ok(())
}

fn missing(service: &str, used: &ValueUse) -> Error {
    let ValueUse { kind, name, .. } = used;
    let hint = match kind {
        ValueKind::Secret => format!("`disco secret set {name}` makes it"),
        ValueKind::Config => format!("`disco config set {name} --file FILE` makes it"),
    };
    Error::NotFound(format!("service `{service}` uses the {kind} `{name}`, which does not exist; hint: {hint}"))
}

/// Gives a name a value. False: it has that value already.
fn put(draft: &mut Draft, id: ValueId, value: &[u8], sealer: &Sealer) -> Result<bool> {
    let (kind, name) = &id;
    if value.len() > VALUE_BYTES {
        return Err(Error::Invalid(format!(
            "the {kind} `{name}` has {} bytes; at most {VALUE_BYTES} are possible",
            value.len()
        )));
    }
    let current = draft.records.values.get(&id).map(|record| record.version);
    let current = current.and_then(|version| draft.records.value_versions.get(&version));
    if current.is_some_and(|record| sealer.is(record, value)) {
        return Ok(false);
    }
    let version = draft.records.take_value();
    let updated_at = draft.now.text.clone();
    let record = sealer.record(*kind, name, version, value, &updated_at)?;
    draft.records.value_versions.put(version, record);
    let record = ValueRecord {
        kind: *kind,
        name: name.clone(),
        version,
        size: value.len() as u64,
        updated_at: updated_at.clone(),
    };
    draft.records.values.put(id, record);
    Ok(true)
}

/// Gives a secret or config that all stacks may use a value, and each service that uses it a version with that.
///
/// # Errors
/// The request is wrong, or a stack goes back to an earlier version just now.
pub fn set(draft: &mut Draft, request: &NamedValue, sealer: &Sealer) -> Result<Answer> {
    let kind = kind(&request.kind)?;
    check_name(kind, &request.name)?;
    let id = (kind, request.name.clone());
    let is_new = !draft.records.values.exists(&id);
    let is_changed = put(draft, id.clone(), &request.value, sealer)?;
    let version = draft.records.values.get(&id).map_or(0, |record| record.version);
    let mut changes = vec![WorkloadChange {
        change: if is_new {
            "created"
        } else if is_changed {
            "updated"
        } else {
            "unchanged"
        }
        .to_owned(),
        detail: version.to_string(),
        ..WorkloadChange::default()
    }];
    for service in users(&draft.records, &id) {
        changes.push(apply(draft, &service, &id, version)?);
    }
    if is_changed {
        let count = changes.len() - 1;
        let users = if count == 1 { "1 service uses it".to_owned() } else { format!("{count} services use it") };
        note(draft, &id, "set", format!("{kind} `{}` has version {version}; {users}", id.1));
    }
    Ok((0, changes))
}

/// Gives a service a version with the current version of a value, unless it has it.
fn apply(draft: &mut Draft, id: &ServiceId, value: &ValueId, version: u64) -> Result<WorkloadChange> {
    let (stack, service) = id.clone();
    let answer = |change: &str, deployment: u64| WorkloadChange {
        stack: stack.clone(),
        service: service.clone(),
        change: change.to_owned(),
        deployment,
        ..WorkloadChange::default()
    };
    let found = draft.records.services.get(id).cloned();
    let group = found.as_ref().and_then(|before| draft.records.groups.get(&before.group)).cloned();
    let (Some(before), Some(GroupRecord { hash, mut spec, .. })) = (found, group) else {
        return Ok(answer("unchanged", 0));
    };
    let old: Vec<&mut ValueUse> =
        spec.values.iter_mut().filter(|used| is_of(used, value) && used.version != version).collect();
    if old.is_empty() {
        // A request whose answer was lost is repeated: what it began may still be under way.
        return Ok(answer("unchanged", before.rollout.map_or(0, |rollout| rollout.deployment)));
    }
    old.into_iter().for_each(|used| used.version = version);
    let hash = hash_with(&hash, &spec);
    if before.stopped {
        // Nothing of it runs: it starts with the new version.
        let latest = draft.records.stacks.get(&stack).map_or(0, |stack| stack.deployment);
        let group = versions::new_group(draft, id, latest, hash, spec);
        draft.records.services.put(id.clone(), ServiceRecord { group, ..before });
        return Ok(answer("updated", 0));
    }
    let deployment = join_deployment(draft, &stack, &format!("new {} `{}`", value.0, value.1))?;
    // It is a release like that of a deploy, so that a rollback brings the previous value.
    draft.records.stacks.change(&stack, |stack| _ = stack.coming.get_or_insert(deployment));
    let group = versions::new_group(draft, id, deployment, hash, spec);
    let rollout = Some(draft.rollout(deployment));
    draft.records.services.put(id.clone(), ServiceRecord { group, rollout, ..before });
    Ok(answer("updated", deployment))
}

/// Removes a secret or config that all stacks may use. Versions of services that use it keep their versions of it.
///
/// # Errors
/// It does not exist, belongs to a stack, or is in use.
pub fn remove(draft: &mut Draft, kind: ValueKind, name: &str, force: bool) -> Result<Answer> {
    let id = (kind, name.to_owned());
    if !draft.records.values.exists(&id) {
        return Err(Error::NotFound(format!("{kind} `{name}` does not exist")));
    }
    if let Some((stack, _)) = name.split_once('/') {
        return Err(Error::Refused(format!(
            "the {kind} `{name}` is defined by the stack `{stack}`: remove it from the stack file and deploy that"
        )));
    }
    let users = users(&draft.records, &id);
    if !users.is_empty() && !force {
        let names: Vec<String> = users.iter().map(|(stack, service)| format!("`{stack}/{service}`")).collect();
        return Err(Error::Refused(format!("the {kind} `{name}` is used by {}", names.join(", "))));
    }
    draft.records.values.remove(&id);
    note(draft, &id, "removed", format!("{kind} `{name}` was removed"));
    Ok((0, users.iter().map(|user| change(user, "unchanged")).collect()))
}

fn change((stack, service): &ServiceId, change: &str) -> WorkloadChange {
    let (stack, service, change) = (stack.clone(), service.clone(), change.to_owned());
    WorkloadChange { stack, service, change, ..WorkloadChange::default() }
}

fn note(draft: &mut Draft, id: &ValueId, what: &str, text: String) {
    let (kind, name) = id;
    let event = event(&format!("{kind}.{what}"), Severity::Info, None, text);
    let data = Some(json!({ "name": name }));
    draft.note(keys::value(*kind, name), EventRecord { data, ..event });
}

/// The services whose version now, or whose last complete one, uses a secret or config.
fn users(records: &Workloads, id: &ValueId) -> Vec<ServiceId> {
    let uses = |group: u64| {
        records.groups.get(&group).is_some_and(|group| group.spec.values.iter().any(|used| is_of(used, id)))
    };
    let services = records.services.iter().filter(|(_, service)| {
        !service.removed && (uses(service.group) || service.settled.is_some_and(|settled| uses(settled.group)))
    });
    services.map(|(id, _)| id.clone()).collect()
}

fn is_of(used: &ValueUse, id: &ValueId) -> bool {
    used.kind == id.0 && used.name == id.1
}

/// The hash of a service, and the versions of its values. These say nothing of the values themselves.
fn hash_with(hash: &str, spec: &ServiceSpec) -> String {
    let own = without_versions(hash);
    if spec.values.is_empty() {
        return own.to_owned();
    }
    let versions: Vec<String> = spec.values.iter().map(|used| used.version.to_string()).collect();
    format!("{own}{BEHIND}{}", versions.join(","))
}

fn without_versions(hash: &str) -> &str {
    hash.split(BEHIND).next().unwrap_or(hash)
}

/// Whether tasks of one version become tasks of the other by new files and a signal.
#[must_use]
pub fn can_reload(from: &GroupRecord, to: &GroupRecord) -> bool {
    let variables = |spec: &ServiceSpec| {
        let variables = spec.values.iter().filter(|used| used.is_variable());
        variables.map(|used| (used.name.clone(), used.version)).collect::<Vec<_>>()
    };
    // Equal hashes: a restart, by which other tasks take their place.
    to.spec.reload.is_some()
        && from.hash != to.hash
        && without_versions(&from.hash) == without_versions(&to.hash)
        && variables(&from.spec) == variables(&to.spec)
}

/// Whether the uses of a service can be.
///
/// # Errors
/// Why not.
pub fn check(spec: &ServiceSpec) -> std::result::Result<(), String> {
    if spec.values.len() > MOST_USES {
        return Err(format!("it uses {} secrets and configs; at most {MOST_USES} are possible", spec.values.len()));
    }
    let mut places = BTreeSet::new();
    for used in &spec.values {
        let (good, place) = match &used.place {
            ValuePlace::File { target, .. } => (is_target(target), format!("{} {target}", used.kind)),
            ValuePlace::Variable(name) => (!name.is_empty() && !name.contains(['=', '\0']), name.clone()),
        };
        if !good {
            return Err(format!(
                "invalid place of the {} `{}`: expected a relative path, or a variable",
                used.kind, used.name
            ));
        }
        if !places.insert(place) {
            return Err(format!("the {} `{}` has the same place as another one", used.kind, used.name));
        }
    }
    Ok(())
}

/// A relative path that leads nowhere else.
fn is_target(target: &str) -> bool {
    let part = |part: &str| !part.is_empty() && !part.starts_with("..") && part != "." && !part.contains('\0');
    target.len() <= LONGEST_TARGET && target.split('/').all(part)
}

/// A name without that of a stack.
fn check_name(kind: ValueKind, name: &str) -> Result<()> {
    if let Some((stack, _)) = name.split_once('/') {
        return Err(Error::Invalid(format!(
            "the {kind} `{name}` would be of the stack `{stack}`, whose file defines it: change that, and deploy it"
        )));
    }
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let starts = name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    if !starts || name.len() > LONGEST_NAME || !name.chars().all(good) {
        let cut: String = name.chars().take(100).collect();
        return Err(Error::Invalid(format!(
            "invalid name `{cut}` of a {kind}: expected at most {LONGEST_NAME} letters, digits, `-`, `_` and `.`, beginning with a \
             letter, a digit or `_`"
        )));
    }
    Ok(())
}

#[cfg(test)]
#[path = "values_test.rs"]
mod values_test;
