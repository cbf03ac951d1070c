//! Daemons that keep crashing while their supervisors keep restarting them.

use std::time::Duration;

use disco_provider::install::Remote;

use super::progress::install_failure;
use crate::error::{Failure, Outcome};

/// Lines of the daemon's log in a failure.
pub(super) const LOG_LINES: usize = 15;
/// Pause between two polls of a machine.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The failure of a daemon that keeps crashing, with the end of its log; `None` if it runs.
pub(crate) async fn failing(remote: &Remote, name: &str) -> Outcome<Option<Failure>> {
    match remote.daemon().await.map_err(|error| install_failure(name, &error))?.failing() {
        Some(reason) => Ok(Some(does_not_stay_up(remote, name, &reason).await)),
        None => Ok(None),
    }
}

/// Waits until the daemon crashes again, after earlier crashes; the cause of crashes before this call may be fixed by now. Ignores
/// machines that do not answer.
pub(super) async fn until_failing(remote: &Remote, name: &str) -> Failure {
    let mut before = None;
    loop {
        if let Ok(daemon) = remote.daemon().await {
            let before = *before.get_or_insert(daemon.ends.count);
            if daemon.ends.count > before
                && let Some(reason) = daemon.failing()
            {
                return does_not_stay_up(remote, name, &reason).await;
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The failure, with the end of the daemon's log.
pub(super) async fn does_not_stay_up(remote: &Remote, name: &str, reason: &str) -> Failure {
    // The log is optional: without it, the failure is returned all the same.
    let log = remote.fetch_log(LOG_LINES).await.unwrap_or_else(|error| format!("cannot read its log: {error}"));
    Failure::failed(format!("the daemon of `{name}` does not stay up: it {reason}"))
        .cause(format!("the end of its log:\n{}", log.trim_end()))
        .hint("fix the cause and run `disco bootstrap`; the supervisor keeps restarting the daemon meanwhile")
}
