//! Daemons that are started again and again and do not stay up: for their supervisor they run.

use std::time::Duration;

use disco_provider::install::Remote;

use super::progress::install_failure;
use crate::error::{Failure, Outcome};

/// Lines of a daemon's log that explain why it ends.
pub(super) const LOG_LINES: usize = 15;
/// Between two looks at a machine.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Why a machine's daemon does not stay up, with its last lines; nothing where it does, as far as can be seen.
pub(crate) async fn failing(remote: &Remote, name: &str) -> Outcome<Option<Failure>> {
    match remote.daemon().await.map_err(|error| install_failure(name, &error))?.failing() {
        Some(reason) => Ok(Some(does_not_stay_up(remote, name, &reason).await)),
        None => Ok(None),
    }
}

/// Returns as soon as the daemon is seen not to stay up: it has ended since this was called, after other ends. Those of before may be mended.
/// A machine that does not answer says nothing about it.
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

/// That it is so, and what the daemon has written last.
pub(super) async fn does_not_stay_up(remote: &Remote, name: &str, reason: &str) -> Failure {
    // The log is an addition: the failure stands without it.
    let log = remote.fetch_log(LOG_LINES).await.unwrap_or_else(|error| format!("its log cannot be read: {error}"));
    Failure::failed(format!("the daemon of `{name}` does not stay up: it {reason}"))
        .cause(format!("the end of its log:\n{}", log.trim_end()))
        .hint("mend the cause and run `disco bootstrap`; the daemon is restarted by itself meanwhile")
}
