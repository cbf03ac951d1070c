//! `cluster.deploy(stack)` and `Service` of `client.js`: the operations of `disco deploy`, `scale` and `restart`.

use std::time::{Duration, Instant};

use disco_proto::v1::{RestartServices, ScaleService, change_workloads_request::Change};
use disco_runtime_js::{
    Json,
    cluster::{ServiceChange, ServiceName},
};
use disco_stack::Loaded;
use disco_store::typed::ServiceSummary;
use serde_json::json;

use crate::{
    cli::StackFileArgs,
    client::Client,
    context::Context,
    error::{Failure, Outcome},
    exit::ExitStatus,
    workload::{Catalogue, End, InPlace, Scope, Source, change, follow, in_place, load, service, upload, warn},
};

/// Time for a service to become healthy, where the script names none.
const HEALTHY_WITHIN: Duration = Duration::from_secs(60);
/// Between two readings.
const BETWEEN: Duration = Duration::from_millis(150);

/// The stack that a script deploys: the named file, or that of the project. `None`: the project has no stack with services, and the hook
/// deploys it.
pub(super) fn stack(context: &Context, named: &Json) -> Outcome<Option<(Source, Loaded)>> {
    let root = context.project()?.root().to_owned();
    let args = StackFileArgs::default();
    let source = match named {
        Json::Null => match Source::of_folder(root) {
            Some(source) => source,
            None => return Ok(None),
        },
        Json::String(path) if !path.is_empty() => Source::file(root, path),
        _ => return Err(Failure::usage("`cluster.deploy` takes the path of a stack file in the project, or nothing")),
    };
    let loaded = load(&source, &args, context)?;
    match (loaded.stack.services.is_empty(), named) {
        (false, _) => Ok(Some((source, loaded))),
        // The file of a new project.
        (true, Json::Null) => Ok(None),
        (true, _) => Err(Failure::usage(format!("the stack `{}` has no services", loaded.stack.name))),
    }
}

/// Deploys a stack, and waits for its end.
pub(super) async fn deploy(client: &Client, context: &Context, source: &Source, loaded: &Loaded) -> Outcome<Json> {
    warn(&loaded.warnings, &loaded.sources, context);
    let stack = loaded.stack.name.clone();
    let request = upload(client, context, source, loaded, false).await?;
    let answer = change(client, request, false).await?;
    let mut deployment = answer.deployment;
    let mut is_running = true;
    if deployment == 0 {
        // Nothing differs from what was deployed before, which may still be under way.
        InPlace { deployment, is_running } = in_place(client, &stack).await?;
    }
    if is_running {
        let scope = Scope { deployment, stack: stack.clone(), services: Vec::new() };
        end(follow(client, context, &scope).await?, &stack)?;
    }
    let catalogue = Catalogue::load(client).await?;
    let own = catalogue.services.values().filter(|service| service.stack == stack && !service.removed);
    let services: Vec<ServiceSummary> = own.map(|service| catalogue.summary(service)).collect();
    Ok(json!({ "id": deployment, "stack": stack, "state": "succeeded", "services": services }))
}

/// The service of this name; `None` if none has it.
pub(super) async fn get(client: &Client, name: &str) -> Outcome<Option<Json>> {
    let catalogue = Catalogue::load(client).await?;
    match service(name, &catalogue) {
        Ok(key) => Ok(catalogue.services.get(&key).map(|service| json!(catalogue.summary(service)))),
        Err(failure) if failure.status() == ExitStatus::NotFound => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Changes a service, and returns it once its tasks are exchanged.
pub(super) async fn change_service(
    client: &Client,
    context: &Context,
    name: &ServiceName,
    wanted: ServiceChange,
) -> Outcome<Json> {
    let (stack, service) = (name.stack.clone(), name.name.clone());
    let request = match wanted {
        ServiceChange::Scale(copies) => Change::Scale(ScaleService { stack, service, copies }),
        ServiceChange::Restart => Change::Restart(RestartServices { stack, service }),
    };
    let answer = change(client, request, false).await?;
    let scope = Scope { deployment: answer.deployment, stack: name.stack.clone(), services: vec![name.name.clone()] };
    end(follow(client, context, &scope).await?, &format!("{}/{}", name.stack, name.name))?;
    read(client, name).await.map(|summary| json!(summary))
}

/// Returns a service once it is complete.
pub(super) async fn wait_healthy(client: &Client, name: &ServiceName, limit: Option<Duration>) -> Outcome<Json> {
    let limit = limit.unwrap_or(HEALTHY_WITHIN);
    let end = Instant::now() + limit;
    loop {
        let summary = read(client, name).await?;
        if summary.is_complete() {
            return Ok(json!(summary));
        }
        if Instant::now() >= end {
            let message = format!("`{}/{}` is not healthy within {limit:?}", name.stack, name.name);
            let count = format!("{} of {} tasks are healthy", summary.healthy, summary.desired);
            let why = summary.failed.or(summary.unplaced).or(summary.waits_for);
            let why = why.unwrap_or_else(|| format!("it is {}", summary.state));
            return Err(Failure::new(ExitStatus::TimedOut, message).cause(count).cause(why));
        }
        tokio::time::sleep(BETWEEN.min(end.saturating_duration_since(Instant::now()))).await;
    }
}

async fn read(client: &Client, name: &ServiceName) -> Outcome<ServiceSummary> {
    let catalogue = Catalogue::load(client).await?;
    let key = (name.stack.clone(), name.name.clone());
    let service = catalogue.services.get(&key).map(|service| catalogue.summary(service));
    service.ok_or_else(|| Failure::new(ExitStatus::NotFound, format!("no service `{}/{}`", name.stack, name.name)))
}

fn end((end, failure): (End, Option<Failure>), what: &str) -> Outcome<()> {
    match (end, failure) {
        (End::Succeeded, _) => Ok(()),
        (End::Failed(_), Some(failure)) => Err(failure),
        (End::Failed(_), None) => Err(Failure::failed(format!("the change of `{what}` failed"))),
    }
}
