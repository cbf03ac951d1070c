//! Reports unexpected ends of the program to the cluster.
//!
//! A report needs the node's certificate and the cluster's protocol, which a supervisor does not have: it starts its own
//! executable again, which works if a new one does not, with a hidden subcommand.

use std::io;
use std::process::Stdio;

use tokio::process::Command;
use tokio::task::AbortHandle;

use super::supervisor::bind_life;
use super::{ENDS, Ends, REPORT_SUBCOMMAND, Service, process_title};

/// Reports one end at a time: a later report contains the earlier ones.
#[derive(Debug, Default)]
pub(super) struct Reporter {
    /// Waits for the process, which ends by itself or when this is aborted.
    waiting: Option<AbortHandle>,
}

// === impl Reporter ===

impl Reporter {
    pub(super) fn report(&mut self, service: &Service, ends: &Ends) -> io::Result<()> {
        if let Some(waiting) = self.waiting.take() {
            waiting.abort();
        }
        let mut command = Command::new("/proc/self/exe");
        command.arg0(process_title()).args([REPORT_SUBCOMMAND, "--dir", ".", "--"]).args(&service.args);
        command.envs(&service.env).env(ENDS, serde_json::to_string(ends)?);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).kill_on_drop(true);
        bind_life(&mut command);
        let mut child = command.spawn()?;
        self.waiting = Some(tokio::spawn(async move { drop(child.wait().await) }).abort_handle());
        Ok(())
    }
}
