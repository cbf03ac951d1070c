use disco_provider::at_home;

use crate::{
    cli::ConnectArgs,
    context::Context,
    error::Outcome,
    exit::ExitStatus,
    founding::{ConnectRequest, Purpose, connect},
    host::Script,
    view::StatusView,
};

pub(super) async fn run(args: &ConnectArgs, context: &Context) -> Outcome<ExitStatus> {
    let project = context.project()?;
    let founder = match project.client_script() {
        Ok(_) => {
            let purpose = if args.dry_run { Purpose::Plan } else { Purpose::Work };
            Some(Script::load(context, purpose, None).await?.founder()?)
        }
        // With an address, no script is needed.
        Err(failure) if args.node.is_none() => return Err(failure),
        Err(_) => None,
    };
    let request = ConnectRequest {
        address: args.node.clone(),
        keys: args.keys.as_deref().map(at_home),
        ssh_key: args.ssh_key.as_deref().map(at_home),
        dry_run: args.dry_run,
    };
    let status = connect(context, founder.as_deref(), &request).await?;
    context.printer.show(&StatusView::from(status))?;
    Ok(ExitStatus::Done)
}
