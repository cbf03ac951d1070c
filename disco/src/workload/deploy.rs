//! Deploys a stack: its services become specifications, their programs artifacts on the nodes.

use disco_proto::v1::{
    ChangeWorkloadsResponse, DeployService, DeployStack, DeployWithValues, NamedValue, change_workloads_request::Change,
};
use disco_stack::{Loaded, Problem, Refused, Runs};
use disco_store::typed::{DeploymentState, StackRecord, keys};

use super::{
    Source,
    change::{Changed, finish},
    follow::{Scope, deployment},
    program::{self, Program},
    source::{failure, warn},
    spec::{self, Findings},
    values,
};
use crate::{
    cli::ChangeArgs,
    client::Client,
    context::Context,
    error::{Failure, Outcome},
    exit::ExitStatus,
    project::Selection,
};

/// Uploads the programs of a stack, unless it is a dry run. Returns the change that deploys it.
pub(crate) async fn upload(
    client: &Client,
    context: &Context,
    source: &Source,
    loaded: &Loaded,
    dry_run: bool,
) -> Outcome<Change> {
    let stack = &loaded.stack.name;
    let Converted { services, files, values, has_values } = convert(context, source, loaded)?;
    program::refuse_secrets(&files)?;
    let task = context.printer.task(stack);
    task.state(&format!("{} services", services.len()));
    client.send_programs(&files, &task, dry_run).await?;
    drop(task);
    let deploy = DeployStack { stack: stack.clone(), services };
    Ok(match has_values {
        true => Change::DeployWithValues(DeployWithValues { deploy: Some(deploy), values }),
        false => Change::Deploy(deploy),
    })
}

/// Follows the deployment of a stack that the leader has accepted, to its end.
pub(crate) async fn finish_deploy(
    client: &Client,
    context: &Context,
    args: ChangeArgs,
    answer: ChangeWorkloadsResponse,
    stack: &str,
) -> Outcome<ExitStatus> {
    let mut scope = Scope { deployment: answer.deployment, stack: stack.to_owned(), services: Vec::new() };
    if answer.deployment == 0 {
        // Nothing differs from what was deployed before, which may still be under way.
        let known = in_place(client, stack).await?;
        scope.deployment = known.deployment;
        if !known.is_running {
            context.printer.note(&format!("nothing to change: `{stack}` is as its files say"));
            let (deployment, state) = (scope.deployment, "succeeded");
            context.printer.show(&Changed { deployment, stack: stack.to_owned(), state, changes: answer.changes })?;
            return Ok(ExitStatus::Done);
        }
    }
    finish(client, context, args, answer, &scope).await
}

/// A stack as it is sent.
struct Converted {
    services: Vec<DeployService>,
    /// Of the programs.
    files: Selection,
    /// Secrets and configs that the stack defines.
    values: Vec<NamedValue>,
    /// A service uses secrets or configs.
    has_values: bool,
}

fn convert(context: &Context, source: &Source, loaded: &Loaded) -> Outcome<Converted> {
    let (all, base) = (&loaded.stack.services, source.base());
    let mut findings = Findings::default();
    let (mut services, mut files, mut has_values) = (Vec::new(), Vec::new(), false);
    let values = values::read(&loaded.stack, &base, &mut findings.errors);
    findings.warnings.extend(values::named_in_vain(&loaded.stack));
    for (name, service) in all {
        spec::check(name, service, &mut findings);
        let Runs::Process(process) = &service.runs else { continue };
        match program::read(name, service, process, &base)? {
            Err(problem) => findings.errors.push(problem),
            Ok(Program { spec: process, files: own }) => {
                let hash = program::hash(service, &process);
                let uses = values::uses(name, service, &loaded.stack, &mut findings.errors);
                has_values |= !uses.is_empty();
                let spec = spec::spec(service, process, all, uses);
                services.push(DeployService {
                    name: name.clone(),
                    hash,
                    spec: json(&spec)?.into(),
                    copies: json(&spec::copies(service))?.into(),
                });
                files.push(own);
            }
        }
    }
    let warnings: Vec<Problem> = loaded.warnings.iter().chain(&findings.warnings).cloned().collect();
    warn(&warnings, &loaded.sources, context);
    if findings.errors.is_empty() {
        return Ok(Converted { services, files: program::together(files), values, has_values });
    }
    findings.errors.sort_by_key(|problem| problem.place);
    Err(failure(&Refused { problems: findings.errors, warnings: Vec::new(), sources: loaded.sources.clone() }))
}

fn json(value: &impl serde::Serialize) -> Outcome<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| Failure::failed("cannot encode a service").because(&error))
}

/// What a stack is now.
pub(crate) struct InPlace {
    /// The deployment under way, else the last one that was complete.
    pub(crate) deployment: u64,
    pub(crate) is_running: bool,
}

/// What a stack is now.
pub(crate) async fn in_place(client: &Client, stack: &str) -> Outcome<InPlace> {
    let key = keys::stack(stack);
    let Some(kv) = client.get(key.as_bytes(), false, 0).await? else {
        return Ok(InPlace { deployment: 0, is_running: false });
    };
    let record: StackRecord = serde_json::from_slice(&kv.value)
        .map_err(|error| Failure::failed(format!("the record `{key}` is damaged")).because(&error))?;
    let is_running = match deployment(client, record.deployment).await {
        Ok(latest) => latest.state == DeploymentState::Running,
        // The oldest deployments are removed; a stack stays.
        Err(failure) if failure.status() == ExitStatus::NotFound => false,
        Err(failure) => return Err(failure),
    };
    let complete = record.releases.last().map_or(record.deployment, |release| release.deployment);
    Ok(InPlace { deployment: if is_running { record.deployment } else { complete }, is_running })
}
