use crate::{
    cli::UpgradeArgs, context::Context, error::Outcome, exit::ExitStatus, upgrade::Upgrade, view::UpgradeView,
};

pub(super) async fn run(args: &UpgradeArgs, context: &Context) -> Outcome<ExitStatus> {
    let upgrade = Upgrade::open(args, context).await?;
    let (record, failure) = if args.dry_run { (upgrade.dry_run().await?, None) } else { upgrade.run().await? };
    context.printer.show(&UpgradeView::from(record))?;
    failure.map_or(Ok(ExitStatus::Done), Err)
}
