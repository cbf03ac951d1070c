//! The installed state of a machine.

use std::collections::HashMap;

use super::layout::{UNIT, UNIT_PATH};
use super::remote::SUMS;
use super::{InstallError, Remote, ServiceKind};
use crate::ssh::quote;
use crate::supervise::{Service, ServiceStatus};

/// The installed state of a machine.
#[derive(Debug)]
pub(super) struct State {
    /// The checksums of files that exist, in hexadecimal digits.
    sums: HashMap<String, String>,
    /// Whether the service runs or is starting.
    pub(super) running: bool,
    /// Whether all of the service's files exist.
    pub(super) installed: bool,
    /// Whether it still runs with the files from before a change.
    pub(super) outdated: bool,
    /// How often the daemon ended recently and why, if it is in a crash loop.
    pub(super) failing: Option<String>,
}

impl State {
    /// The checksum of a file that exists.
    pub(super) fn sum(&self, path: &str) -> Option<&str> {
        self.sums.get(path).map(String::as_str)
    }

    /// Whether a file has this checksum.
    pub(super) fn has(&self, path: &str, sha256: &str) -> bool {
        self.sums.get(path).is_some_and(|sum| sum == sha256)
    }
}

impl Remote {
    /// The files of the service besides the join token.
    pub(super) fn service_files(&self) -> Vec<String> {
        match self.layout.kind {
            ServiceKind::Systemd => vec![UNIT_PATH.to_owned(), format!("{}/discod.env", self.layout.service)],
            ServiceKind::Supervised => {
                vec![format!("{}/{}", self.layout.service, Service::FILE), format!("{}/start", self.layout.service)]
            }
        }
    }

    /// The checksums of those of these files that exist.
    pub(super) async fn sums(&self, paths: &[String]) -> Result<HashMap<String, String>, InstallError> {
        let quoted: Vec<String> = paths.iter().map(|path| quote(path)).collect();
        let script = format!(
            "{SUMS}set -e; for f in {}; do if [ -f \"$f\" ]; then x=$(sha256 \"$f\"); printf '%s %s\\n' \"${{x%% *}}\" \"$f\"; fi; done",
            quoted.join(" ")
        );
        let text = self.step("check what is installed", &script, &[]).await?.text();
        let lines = text.lines().filter_map(|line| line.split_once(' '));
        Ok(lines.map(|(sum, path)| (path.to_owned(), sum.to_owned())).collect())
    }

    /// The command that prints the daemon's status, as [`ServiceStatus`]. With systemd the folder also has the counted ends.
    pub(super) fn status_command(&self) -> String {
        format!("[ ! -x {} ] || {}", quote(&self.layout.binary("discod")), self.supervise("--status"))
    }

    /// Checks what is installed.
    pub(super) async fn state(&self) -> Result<State, InstallError> {
        let mut paths = self.service_files();
        paths.extend([self.layout.binary("disco"), self.layout.binary("discod"), self.layout.join_token()]);
        let marker = self.layout.restart_marker();
        paths.push(marker.clone());
        let quoted: Vec<String> = paths.iter().map(|path| quote(path)).collect();
        let own = self.status_command();
        let systemd = match self.layout.kind {
            ServiceKind::Systemd => format!("; echo \"systemd $(systemctl is-active {UNIT} 2> /dev/null)\""),
            ServiceKind::Supervised => String::new(),
        };
        let script = format!(
            "{SUMS}command -v sha256sum > /dev/null || {{ echo 'sha256sum is not installed' >&2; exit 1; }}; \
             for f in {}; do [ ! -f \"$f\" ] || printf '%s %s\\n' \"$(sha256 \"$f\" | cut -d ' ' -f 1)\" \"$f\"; done; \
             printf 'status %s\\n' \"$({own} 2> /dev/null)\"{systemd}",
            quoted.join(" ")
        );
        let text = self.step("check what is installed", &script, &[]).await?.text();
        let mut state =
            State { sums: HashMap::new(), running: false, installed: false, outdated: false, failing: None };
        for line in text.lines() {
            match line.split_once(' ') {
                Some(("status", status)) => {
                    let status = serde_json::from_str::<ServiceStatus>(status).unwrap_or_default();
                    state.running |= status.supervisor.is_some();
                    state.failing = status.failing();
                }
                Some(("systemd", status)) => {
                    state.running |= matches!(status, "active" | "activating" | "reloading");
                }
                Some((_, path)) if path == marker => state.outdated = true,
                Some((sum, path)) => {
                    state.sums.insert(path.to_owned(), sum.to_owned());
                }
                None => {}
            }
        }
        state.installed = self.service_files().iter().all(|path| state.sums.contains_key(path));
        Ok(state)
    }
}
