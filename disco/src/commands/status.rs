use std::time::Duration;

use crate::{client::Client, context::Context, error::Outcome, exit::ExitStatus, view::StatusView};

/// Short: an unhealthy cluster must be reported quickly, too.
const PATIENCE: Duration = Duration::from_secs(2);

/// Shows the leader's view; without a leader, shows one node's view and exits with 4.
pub(super) async fn run(context: &Context) -> Outcome<ExitStatus> {
    let client = Client::open(context)?.with_patience(PATIENCE);
    match client.status(false).await {
        Ok(mut status) => {
            status.warnings.extend(client.own_warning());
            let exit = if status.stale { ExitStatus::Unreachable } else { ExitStatus::Done };
            context.printer.show(&StatusView::from(status))?;
            Ok(exit)
        }
        Err(failure) if failure.status() == ExitStatus::Unreachable => {
            // The first failure gives the reason; a single node's view only adds to it.
            if let Ok(status) = client.with_patience(Duration::ZERO).status(true).await {
                context.printer.show(&StatusView::from(status))?;
            }
            Err(failure)
        }
        Err(failure) => Err(failure),
    }
}
