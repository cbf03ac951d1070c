//! Changes of what runs: `restart`, `stop`, `rm`, `rollback`.

use disco_proto::v1::{RemoveStack, RestartServices, RollbackStack, StopServices, change_workloads_request::Change};

use crate::{
    cli::{ChangeArgs, RestartArgs, RmArgs, RollbackArgs, StopArgs},
    client::Client,
    context::Context,
    error::{Failure, Outcome},
    exit::ExitStatus,
    question::confirm,
    view::would_change,
    workload::{Catalogue, Scope, change, finish, resolve, stack},
};

pub(super) async fn restart(args: &RestartArgs, context: &Context) -> Outcome<ExitStatus> {
    let client = Client::open(context)?;
    let (stack, service) = named(&args.target, &client).await?;
    let request = RestartServices { stack: stack.clone(), service: service.clone().unwrap_or_default() };
    carry_out(&client, context, args.change, Change::Restart(request), stack, service).await
}

pub(super) async fn stop(args: &StopArgs, context: &Context) -> Outcome<ExitStatus> {
    let client = Client::open(context)?;
    let (stack, service) = named(&args.target, &client).await?;
    let request = StopServices { stack: stack.clone(), service: service.clone().unwrap_or_default() };
    carry_out(&client, context, args.change, Change::Stop(request), stack, service).await
}

pub(super) async fn rm(args: &RmArgs, context: &Context) -> Outcome<ExitStatus> {
    let client = Client::open(context)?;
    let catalogue = Catalogue::load(&client).await?;
    let stack = stack(Some(&args.stack), &catalogue)?;
    if !args.change.dry_run {
        let services = catalogue.services.keys().filter(|(own, _)| *own == stack).count();
        let question = format!("Remove the stack `{stack}` with its {services} services, and end their tasks?");
        if !confirm(context, &question).await? {
            return Err(Failure::new(ExitStatus::Cancelled, "nothing was removed"));
        }
    }
    let request = RemoveStack { stack: stack.clone() };
    carry_out(&client, context, args.change, Change::Remove(request), stack, None).await
}

pub(super) async fn rollback(args: &RollbackArgs, context: &Context) -> Outcome<ExitStatus> {
    let client = Client::open(context)?;
    let catalogue = Catalogue::load(&client).await?;
    let stack = stack(args.stack.as_deref(), &catalogue)?;
    let releases: Vec<u64> = catalogue
        .stacks
        .get(&stack)
        .map_or_else(Vec::new, |record| record.releases.iter().map(|release| release.deployment).collect());
    let is_coming = catalogue.stacks.get(&stack).is_some_and(|record| record.coming.is_some());
    let to = release(args.to, is_coming, &releases).map_err(|message| {
        let known: Vec<String> = releases.iter().map(u64::to_string).collect();
        let failure = Failure::new(ExitStatus::NotFound, format!("the stack `{stack}` has {message}"));
        match known.as_slice() {
            [] => failure,
            known => failure.hint(format!("its releases are those of the deployments {}", known.join(", "))),
        }
    })?;
    if !args.change.dry_run {
        context.printer.note(&format!("`{stack}` goes back to the release of deployment {to}"));
    }
    let request = RollbackStack { stack: stack.clone(), to };
    carry_out(&client, context, args.change, Change::Rollback(request), stack, None).await
}

/// The release to return to: the last complete one while a deployment is under way, else the one before. It is chosen here, so that
/// a request whose answer was lost may be sent again.
fn release(to: Option<u64>, is_coming: bool, releases: &[u64]) -> Result<u64, String> {
    match (to, is_coming, releases) {
        (Some(to), _, releases) if releases.contains(&to) => Ok(to),
        (Some(to), _, _) => Err(format!("no release of deployment {to}")),
        (None, true, [.., last]) => Ok(*last),
        (None, false, [.., before, _]) => Ok(*before),
        (None, _, _) => Err("no earlier release".to_owned()),
    }
}

/// A stack, or a service of it.
async fn named(target: &str, client: &Client) -> Outcome<(String, Option<String>)> {
    let target = resolve(target, &Catalogue::load(client).await?)?;
    let (stack, service) = target.services().ok_or_else(|| {
        Failure::usage("expected a stack or a service, not a task: tasks are the cluster's to choose")
    })?;
    Ok((stack.to_owned(), service.map(str::to_owned)))
}

async fn carry_out(
    client: &Client,
    context: &Context,
    args: ChangeArgs,
    request: Change,
    stack: String,
    service: Option<String>,
) -> Outcome<ExitStatus> {
    let answer = change(client, request, args.dry_run).await?;
    if args.dry_run {
        return would_change(context, &answer);
    }
    let scope = Scope { deployment: answer.deployment, stack, services: service.into_iter().collect() };
    finish(client, context, args, answer, &scope).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_before_the_current_one_is_the_default() {
        assert_eq!(release(None, false, &[3, 5, 7]), Ok(5));
        assert_eq!(release(None, true, &[3, 5, 7]), Ok(7));
        assert_eq!(release(Some(3), false, &[3, 5, 7]), Ok(3));
        assert_eq!(release(None, false, &[7]), Err("no earlier release".to_owned()));
        assert_eq!(release(Some(4), false, &[3, 5, 7]), Err("no release of deployment 4".to_owned()));
    }
}
