use std::time::Duration;

use crate::{client::Client, context::Context, error::Outcome, exit::ExitStatus, view::StatusView};

/// Whoever asks how it is wants to know now, also that it is not well.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks the leader; when there is none, shows what one node sees and ends with exit 4.
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
            // The first failure says why; whether a single node answers besides is only an addition to it.
            if let Ok(status) = client.with_patience(Duration::ZERO).status(true).await {
                context.printer.show(&StatusView::from(status))?;
            }
            Err(failure)
        }
        Err(failure) => Err(failure),
    }
}
