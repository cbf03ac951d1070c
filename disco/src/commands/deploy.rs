use disco_proto::v1::ChangeWorkloadsResponse;
use disco_stack::Loaded;
use serde_json::{Value, json};

use crate::{
    cli::DeployArgs,
    client::Client,
    context::Context,
    deployment::{self, Deployed, Request},
    error::{Failure, Outcome},
    exit::ExitStatus,
    printer::{Style, View},
    view::would_change,
    workload::{change, find, finish_deploy, load, upload},
};

/// The stack file goes before the hook: where there is one with services, the cluster's own rollout deploys it.
pub(super) async fn run(args: &DeployArgs, context: &Context) -> Outcome<ExitStatus> {
    let Some(source) = find(&args.files, context) else { return hook(args, context).await };
    let loaded = load(&source, &args.files, context)?;
    if loaded.stack.services.is_empty() {
        // The file of a new project.
        if args.files.file.is_empty() {
            return hook(args, context).await;
        }
        let message = format!("the stack `{}` has no services", loaded.stack.name);
        return Err(Failure::usage(message).hint(format!("`disco rm {}` removes a stack", loaded.stack.name)));
    }
    let client = Client::open(context)?;
    let request = upload(&client, context, &source, &loaded, args.change.dry_run).await?;
    let answer = change(&client, request, args.change.dry_run).await?;
    if args.change.dry_run {
        return would_change(context, &answer);
    }
    let jobs = jobs(&loaded, &answer);
    let status = finish_deploy(&client, context, args.change, answer, &loaded.stack.name).await?;
    jobs.iter().for_each(|job| context.printer.note(job));
    Ok(status)
}

/// When the jobs of the stack run.
fn jobs(loaded: &Loaded, answer: &ChangeWorkloadsResponse) -> Vec<String> {
    let is_job = |service: &str| loaded.stack.services.get(service).is_some_and(|service| service.job.is_some());
    let jobs = answer.changes.iter().filter(|change| change.change != "removed" && is_job(&change.service));
    jobs.map(|change| format!("job `{}/{}`: {}", change.stack, change.service, change.detail)).collect()
}

async fn hook(args: &DeployArgs, context: &Context) -> Outcome<ExitStatus> {
    let client = Client::open(context)?;
    let request = Request {
        variables: args.files.set.iter().map(|variable| (variable.name.clone(), variable.value.clone())).collect(),
        dry_run: args.change.dry_run,
        detach: args.change.detach,
    };
    let deployed = deployment::deploy(&client, context, &request).await?;
    context.printer.show(&deployed)?;
    Ok(ExitStatus::Done)
}

impl View for Deployed {
    fn json(&self) -> Value {
        json!({ "deployment": self.id, "files": self.files, "result": self.result })
    }

    fn names(&self) -> Vec<String> {
        vec![self.id.to_string()]
    }

    fn text(&self, _style: Style) -> String {
        match &self.result {
            Value::Null => String::new(),
            Value::String(text) => format!("{text}\n"),
            other => format!("{other:#}\n"),
        }
    }
}
