use super::bootstrap::{BOOTSTRAP, no_bootstrap};
use crate::{
    cli::PlanArgs,
    client::{Client, load_identity},
    context::Context,
    error::Outcome,
    exit::ExitStatus,
    founding::{Purpose, cluster_plan},
    host::Script,
    view::PlanView,
};

pub(super) async fn run(args: &PlanArgs, context: &Context) -> Outcome<ExitStatus> {
    let project = context.project()?;
    let planned = match args.target {
        Some(nodes) => of_scale(context, nodes).await?,
        // Without the script, plan only what the cluster itself would do.
        None if project.client_script().is_err() && load_identity(&project.state())?.is_some() => {
            of_cluster(context, None).await?
        }
        None => of_script(context).await?,
    };
    let changes = planned.has_changes();
    context.printer.show(&planned)?;
    Ok(if args.exit_code && changes { ExitStatus::Changes } else { ExitStatus::Done })
}

/// Plans `disco bootstrap`, and what the cluster itself would do.
pub(super) async fn of_script(context: &Context) -> Outcome<PlanView> {
    let script = Script::load(context, Purpose::Plan, None).await?;
    let planning = script.planning()?;
    if !script.has(BOOTSTRAP) {
        return Err(no_bootstrap());
    }
    script.plan(BOOTSTRAP).await?;
    Ok(PlanView::new(planning.founder().name(), planning.planned().await?))
}

/// Plans `disco scale nodes=N`.
pub(super) async fn of_scale(context: &Context, nodes: u32) -> Outcome<PlanView> {
    of_cluster(context, Some(nodes)).await
}

async fn of_cluster(context: &Context, nodes: Option<u32>) -> Outcome<PlanView> {
    let client = Client::open(context)?;
    let cluster = client.settled().await?.cluster;
    Ok(PlanView::new(&cluster, cluster_plan(&client, nodes).await?))
}
