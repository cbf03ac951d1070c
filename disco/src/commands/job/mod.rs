//! Jobs: `disco job`.

mod run;

use disco_proto::v1::{CancelJobRun, change_jobs_request::Change};
use serde_json::json;

pub(super) use self::run::run;
use crate::{
    cli::{JobCancelArgs, JobShowArgs},
    client::Client,
    context::Context,
    error::{Failure, Outcome},
    exit::ExitStatus,
    view::{Done, JobView, JobsView, RunView, would},
    workload::{Catalogue, change_jobs, job, jobs, named_run, recorded_run},
};

/// Between two readings of a run.
const BETWEEN: std::time::Duration = std::time::Duration::from_millis(120);
/// How long the cluster may have no leader meanwhile.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

pub(super) async fn ls(context: &Context) -> Outcome<ExitStatus> {
    let client = Client::open(context)?;
    let catalogue = Catalogue::load(&client).await?;
    let view = JobsView::new(jobs(&client, &catalogue).await?);
    if view.is_empty() {
        context.printer.note("no jobs: `x-disco: { job: {} }` in a stack file makes a service one");
    }
    context.printer.show(&view)?;
    Ok(ExitStatus::Done)
}

pub(super) async fn show(args: &JobShowArgs, context: &Context) -> Outcome<ExitStatus> {
    let client = Client::open(context)?;
    let catalogue = Catalogue::load(&client).await?;
    let (stack, name) = job(&args.job, &catalogue)?;
    let all = jobs(&client, &catalogue).await?;
    let found = all.into_iter().find(|job| job.service.stack == stack && job.service.name == name);
    let found = found.ok_or_else(|| Failure::new(ExitStatus::NotFound, format!("no job `{stack}/{name}`")))?;
    context.printer.show(&JobView::new(found, &catalogue))?;
    Ok(ExitStatus::Done)
}

pub(super) async fn cancel(args: &JobCancelArgs, context: &Context) -> Outcome<ExitStatus> {
    let client = Client::open(context)?;
    let catalogue = Catalogue::load(&client).await?;
    let name = named_run(&args.run, &catalogue)?;
    let request = CancelJobRun { stack: name.stack.clone(), job: name.job.clone(), run: name.number };
    let answer = change_jobs(&client, Change::Cancel(request), args.change.dry_run).await?;
    let is_over = !matches!(answer.state.as_str(), "waiting" | "running");
    if is_over {
        context.printer.note(&format!("run `{name}` is over: it {}", words(&answer.state)));
    }
    if args.change.dry_run {
        let steps = if is_over { Vec::new() } else { vec![format!("cancel run `{name}`")] };
        return would(context, steps);
    }
    if args.change.detach {
        let result = json!({ "id": name.to_string(), "stack": name.stack, "job": name.job, "run": name.number, "state": answer.state });
        return Done::named(result, &name.to_string()).show(context);
    }
    let polling = client.polling(PATIENCE);
    let line = context.printer.task(&name.to_string());
    let run = loop {
        let run = recorded_run(&polling, &name).await?;
        let run =
            run.ok_or_else(|| Failure::new(ExitStatus::NotFound, format!("run `{name}` is not retained any more")))?;
        if run.is_over() {
            break run;
        }
        line.state("ends");
        tokio::time::sleep(BETWEEN).await;
    };
    let view = RunView::new(run, &catalogue);
    line.done(view.state());
    context.printer.show(&view)?;
    Ok(ExitStatus::Done)
}

/// A state of a run that is over, in a sentence.
fn words(state: &str) -> &str {
    if state == "cancelled" { "was cancelled" } else { state }
}
