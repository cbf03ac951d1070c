//! `secret` and `config`.

use std::{collections::BTreeMap, io::Read, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use disco_proto::v1::{NamedValue, RemoveValue, SetValue, WorkloadChange, change_workloads_request::Change};
use disco_store::typed::{DeploymentState, Goal, VALUE_BYTES, ValueKind, ValueRecord, ValueVersionRecord, keys};

use crate::{
    cli::{ChangeArgs, ConfigGetArgs, ConfigSetArgs, SecretSetArgs},
    client::Client,
    context::Context,
    error::{Failure, Outcome},
    exit::ExitStatus,
    project::remember_values,
    question::secret,
    view::{ConfigView, Done, ValueSetView, ValuesView, would},
    workload::{Catalogue, End, Scope, change, describe, follow},
};

/// Where a value comes from.
const SOURCES: &str = "`-` reads it from standard input, `--file FILE` from a file";

pub(super) async fn set_secret(args: &SecretSetArgs, context: &Context) -> Outcome<ExitStatus> {
    let value = match (&args.source, &args.file) {
        (Some(source), _) if source != "-" => {
            return Err(Failure::usage(
                "a secret's value cannot be an argument: other users of this computer would see it",
            )
            .hint(SOURCES));
        }
        (Some(_), _) => super::kv::standard_input(context).await?,
        (None, Some(file)) => read(file)?,
        (None, None) => {
            if !context.settings.interactive {
                return Err(Failure::usage("the secret's value is missing, and there is no terminal").hint(SOURCES));
            }
            secret(context, &format!("Value of `{}`: ", args.name)).await?.into_bytes()
        }
    };
    if value.is_empty() {
        return Err(Failure::usage(format!("the value of the secret `{}` is empty", args.name)).hint(SOURCES));
    }
    set(ValueKind::Secret, &args.name, value, args.change, context).await
}

pub(super) async fn set_config(args: &ConfigSetArgs, context: &Context) -> Outcome<ExitStatus> {
    let value = match (&args.value, &args.file) {
        (Some(source), _) if source == "-" => super::kv::standard_input(context).await?,
        (Some(value), _) => value.clone().into_bytes(),
        (None, Some(file)) => read(file)?,
        (None, None) => return Err(Failure::usage("the config's value is missing").hint(SOURCES)),
    };
    set(ValueKind::Config, &args.name, value, args.change, context).await
}

fn read(path: &Path) -> Outcome<Vec<u8>> {
    let failed = |error: std::io::Error| Failure::usage(format!("cannot read `{}`", path.display())).because(&error);
    let mut value = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(VALUE_BYTES as u64 + 1).read_to_end(&mut value).map_err(failed)?;
    Ok(value)
}

async fn set(kind: ValueKind, name: &str, value: Vec<u8>, args: ChangeArgs, context: &Context) -> Outcome<ExitStatus> {
    if value.len() > VALUE_BYTES {
        let message = format!("the {kind} `{name}` has {} bytes or more", value.len());
        return Err(Failure::usage(message).cause(format!("at most {} KiB are possible", VALUE_BYTES >> 10)));
    }
    let client = Client::open(context)?;
    let named = NamedValue { kind: kind.word().to_owned(), name: name.to_owned(), value: value.into() };
    let answer = change(&client, Change::SetValue(SetValue { value: Some(named) }), args.dry_run).await?;
    // The first one is the name itself.
    let (own, services): (Vec<_>, Vec<_>) = answer.changes.into_iter().partition(|change| change.stack.is_empty());
    let own = own.into_iter().next().unwrap_or_default();
    if args.dry_run {
        let mut steps = Vec::new();
        match own.change.as_str() {
            "created" => steps.push(format!("create the {kind} `{name}`")),
            "updated" => steps.push(format!("give the {kind} `{name}` another value")),
            _ => {}
        }
        steps.extend(describe(&services));
        return would(context, steps);
    }
    let mut view = ValueSetView {
        kind,
        name: name.to_owned(),
        version: own.detail.parse().unwrap_or(0),
        change: own.change,
        applied: None,
        services,
    };
    if !args.detach {
        view.applied = Some(apply(&client, context, &view.services).await?);
    }
    context.printer.show(&view)?;
    Ok(ExitStatus::Done)
}

/// Waits until the services' tasks have confirmed the value. Returns how many did.
async fn apply(client: &Client, context: &Context, services: &[WorkloadChange]) -> Outcome<usize> {
    let mut deployments: BTreeMap<u64, Scope> = BTreeMap::new();
    for change in services.iter().filter(|change| change.deployment != 0) {
        let scope = deployments.entry(change.deployment).or_insert_with(|| Scope {
            deployment: change.deployment,
            stack: change.stack.clone(),
            services: Vec::new(),
        });
        scope.services.push(change.service.clone());
    }
    for scope in deployments.values() {
        match follow(client, context, scope).await? {
            (End::Succeeded, _) => {}
            (End::Failed(_), Some(failure)) => {
                return Err(
                    failure.hint("the previous value is in use there; set the value again when the service is mended")
                );
            }
            (End::Failed(state), None) => {
                let status = match state {
                    DeploymentState::RolledBack => ExitStatus::RolledBack,
                    _ => ExitStatus::Failed,
                };
                return Err(Failure::new(
                    status,
                    format!("deployment {} of `{}` failed", scope.deployment, scope.stack),
                ));
            }
        }
    }
    let catalogue = Catalogue::load(client).await?;
    let confirmed = services.iter().map(|change| {
        let group =
            catalogue.services.get(&(change.stack.clone(), change.service.clone())).map(|service| service.group);
        let tasks = catalogue.tasks_of(&change.stack, &change.service);
        let has_it = |task: &&crate::workload::Task| {
            Some(task.record.group) == group && task.record.goal == Goal::Run && task.is_healthy()
        };
        tasks.filter(has_it).count()
    });
    Ok(confirmed.sum())
}

pub(super) async fn ls(kind: ValueKind, context: &Context) -> Outcome<ExitStatus> {
    let client = Client::open(context)?;
    let mut values = Vec::new();
    for kv in client.under(&keys::values_of(kind)).await?.kvs {
        let record: ValueRecord = serde_json::from_slice(&kv.value).map_err(|error| {
            Failure::failed(format!("the record `{}` is damaged", String::from_utf8_lossy(&kv.key))).because(&error)
        })?;
        values.push(record);
    }
    let names: Vec<String> = values.iter().map(|record| record.name.clone()).collect();
    remember_values(client.state(), kind, &names);
    let catalogue = Catalogue::load(&client).await?;
    let users = |record: &ValueRecord| catalogue.users_of(kind, &record.name);
    let values: Vec<_> = values.into_iter().map(|record| (users(&record), record)).collect();
    if values.is_empty() {
        context.printer.note(&format!("no {kind}s"));
    }
    context.printer.show(&ValuesView(values))?;
    Ok(ExitStatus::Done)
}

pub(super) async fn get(args: &ConfigGetArgs, context: &Context) -> Outcome<ExitStatus> {
    let client = Client::open(context)?;
    let name = &args.name;
    let missing = || Failure::new(ExitStatus::NotFound, format!("config `{name}` does not exist"));
    let damaged =
        |error: &dyn std::error::Error| Failure::failed(format!("the config `{name}` is damaged")).because(error);
    let key = keys::value(ValueKind::Config, name);
    let kv = client.get(key.as_bytes(), false, 0).await?.ok_or_else(missing)?;
    let record: ValueRecord = serde_json::from_slice(&kv.value).map_err(|error| damaged(&error))?;
    let key = keys::value_version(record.version);
    let kv = client.get(key.as_bytes(), false, 0).await?.ok_or_else(missing)?;
    let version: ValueVersionRecord = serde_json::from_slice(&kv.value).map_err(|error| damaged(&error))?;
    let content = BASE64.decode(version.content.unwrap_or_default()).map_err(|error| damaged(&error))?;
    if ConfigView::is_for_people(context.printer.format()) {
        // The bytes as they are, for a redirection.
        context.printer.write(&content)?;
    } else {
        context.printer.show(&ConfigView { record, content })?;
    }
    Ok(ExitStatus::Done)
}

pub(super) async fn rm(
    kind: ValueKind,
    name: &str,
    force: bool,
    dry_run: bool,
    context: &Context,
) -> Outcome<ExitStatus> {
    let client = Client::open(context)?;
    let request = RemoveValue { kind: kind.word().to_owned(), name: name.to_owned(), force };
    let refused = |failure: Failure| match failure.status() {
        ExitStatus::Guarded if !force && !name.contains('/') => failure
            .hint("take it out of the services first; `--force` removes it all the same, and running tasks keep it"),
        _ => failure,
    };
    change(&client, Change::RemoveValue(request), dry_run).await.map_err(refused)?;
    if dry_run {
        return would(context, vec![format!("remove the {kind} `{name}`")]);
    }
    Done::named(serde_json::json!({ "name": name, "removed": true }), name).show(context)
}
