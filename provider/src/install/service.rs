//! The service on a machine.

use super::layout::{UNIT, UNIT_PATH};
use super::permit::sum;
use super::remote::ServiceFile;
use super::state::State;
use super::{InstallError, NodeSettings, Permitted, Remote, ServiceKind};
use crate::ssh::quote;
use crate::supervise::{REPORT_SUBCOMMAND, SERVICE_DIR, Service, ServiceStatus};

/// How long `discod` may take to stop, in seconds: as [`Service::STOP_LIMIT`].
const STOP_LIMIT_S: u64 = Service::STOP_LIMIT.as_secs();

/// The state of a machine's service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceState {
    /// It is not installed, or not completely yet.
    Missing,
    /// It is installed and can be started.
    Stopped,
    /// It runs.
    Running,
    /// It is in a crash loop: how often it ended recently and why, as a clause.
    Failing(String),
}

impl Permitted {
    /// Writes the service's files. Returns whether any of them changed.
    pub(super) async fn write_service(&self, settings: &NodeSettings, state: &State) -> Result<bool, InstallError> {
        settings.check()?;
        let missing = |file: &ServiceFile| !state.has(&file.path, &sum(file.content.as_bytes()));
        let service: Vec<_> = self.files(settings).into_iter().filter(missing).collect();
        let changed = !service.is_empty();
        // A new token needs no restart: only a node that has not joined uses it.
        let token = settings.join_token.iter().map(|token| ServiceFile {
            path: self.layout.join_token(),
            content: token.clone(),
            mode: "600",
        });
        let marker = ServiceFile { path: self.layout.restart_marker(), content: String::new(), mode: "600" };
        // The service's own files come last: when they exist, it can be started.
        let files: Vec<_> = changed.then_some(marker).into_iter().chain(token.filter(missing)).chain(service).collect();
        if !files.is_empty() {
            self.write(&files).await?;
        }
        Ok(changed)
    }

    /// In the order of [`Self::service_files`].
    fn files(&self, settings: &NodeSettings) -> Vec<ServiceFile> {
        let (program, args) = (self.layout.binary("discod"), settings.args(&self.layout));
        let contents = match self.layout.kind {
            ServiceKind::Systemd => [(unit(&program, &self.layout.service, &args), "644"), (env_file(settings), "600")],
            ServiceKind::Supervised => {
                let program = self.layout.for_service(&program);
                let start = format!(
                    "#!/bin/sh\ncd \"$(dirname \"$0\")\" && exec {} supervise --dir . --detach\n",
                    quote(&program)
                );
                let env = settings.env.clone();
                let service = Service { program: program.into(), args, env, stop_limit_s: STOP_LIMIT_S };
                let text = serde_json::to_string_pretty(&service).unwrap_or_default();
                [(text + "\n", "600"), (start, "700")]
            }
        };
        let paths = self.service_files().into_iter();
        paths.zip(contents).map(|(path, (content, mode))| ServiceFile { path, content, mode }).collect()
    }

    /// Starts the service, and enables it at boot.
    ///
    /// # Errors
    /// Errors of the connection and of the machine.
    pub async fn start_service(&self) -> Result<(), InstallError> {
        let script = match self.layout.kind {
            ServiceKind::Systemd => format!("systemctl daemon-reload && systemctl enable --now --quiet {UNIT}"),
            ServiceKind::Supervised => self.supervise("--detach"),
        };
        let script = format!("{script} && rm -f {}", quote(&self.layout.restart_marker()));
        self.step("start the service", &script, &[]).await?;
        Ok(())
    }

    /// Stops the service gracefully: a leader hands over first. It is no error if it does not run.
    ///
    /// # Errors
    /// Errors of the connection and of the machine.
    pub async fn stop_service(&self) -> Result<(), InstallError> {
        let script = match self.layout.kind {
            ServiceKind::Systemd => format!("[ ! -e {UNIT_PATH} ] || systemctl stop {UNIT}"),
            ServiceKind::Supervised => {
                format!("[ ! -x {} ] || {}", quote(&self.layout.binary("discod")), self.supervise("--stop"))
            }
        };
        self.step("stop the service", &script, &[]).await?;
        Ok(())
    }

    /// Restarts the service.
    ///
    /// # Errors
    /// Errors of the connection and of the machine.
    pub async fn restart_service(&self) -> Result<(), InstallError> {
        self.stop_service().await?;
        self.start_service().await
    }
}

impl Remote {
    /// Whether the service is installed, and whether it runs.
    ///
    /// # Errors
    /// Errors of the connection and of the machine.
    pub async fn service_state(&self) -> Result<ServiceState, InstallError> {
        let state = self.state().await?;
        Ok(match (state.running, state.failing, state.installed) {
            (true, Some(reason), _) => ServiceState::Failing(reason),
            (true, None, _) => ServiceState::Running,
            (false, _, true) => ServiceState::Stopped,
            (false, _, false) => ServiceState::Missing,
        })
    }

    /// The supervisor's status of the daemon. Much cheaper than [`Self::service_state`].
    ///
    /// # Errors
    /// Errors of the connection and of the machine.
    pub async fn daemon(&self) -> Result<ServiceStatus, InstallError> {
        let text = self.step("read the daemon's status", &self.status_command(), &[]).await?.text();
        // An older program prints less, and a missing one nothing.
        Ok(serde_json::from_str(text.trim()).unwrap_or_default())
    }

    /// The last lines of the service's log.
    ///
    /// # Errors
    /// Errors of the connection and of the machine.
    pub async fn fetch_log(&self, lines: usize) -> Result<String, InstallError> {
        let script = match self.layout.kind {
            ServiceKind::Systemd => format!("journalctl --no-pager --output cat --unit {UNIT} --lines {lines}"),
            ServiceKind::Supervised => {
                format!("cd {} && cat log.1 log 2> /dev/null | tail -n {lines}", quote(&self.layout.service))
            }
        };
        Ok(self.step("read the log", &script, &[]).await?.text())
    }

    pub(super) fn supervise(&self, action: &str) -> String {
        self.supervise_by(&quote(&self.layout.binary("discod")), action)
    }

    /// The same with another program than the installed one, given as a shell word.
    pub(super) fn supervise_by(&self, program: &str, action: &str) -> String {
        format!("{program} supervise --dir {} {action}", quote(&self.layout.service))
    }
}

fn unit(program: &str, service: &str, args: &[String]) -> String {
    let line = |words: &[&str]| {
        let words = words.iter().copied().chain(args.iter().map(String::as_str));
        words.map(unit_word).collect::<Vec<_>>().join(" ")
    };
    // An older program does not have the subcommand and fails, which `-` allows.
    let report = line(&[program, REPORT_SUBCOMMAND, "--dir", service, "--systemd", "--"]);
    format!(
        "[Unit]\n\
         Description=Disco node\n\
         Wants=network-online.target\n\
         After=network-online.target\n\
         StartLimitIntervalSec=0\n\
         \n\
         [Service]\n\
         KillMode=process\n\
         OOMPolicy=continue\n\
         ExecStart={}\n\
         ExecStopPost=-{report}\n\
         Environment={SERVICE_DIR}={service}\n\
         EnvironmentFile=-/etc/disco/discod.env\n\
         Restart=on-failure\n\
         RestartSec=1\n\
         TimeoutStopSec={STOP_LIMIT_S}\n\
         LimitNOFILE=65536\n\
         \n\
         [Install]\n\
         WantedBy=multi-user.target\n",
        line(&[program])
    )
}

/// A word of `ExecStart=`, see systemd.service(5): quoted, with special characters doubled.
fn unit_word(word: &str) -> String {
    let escaped = word.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    format!("\"{escaped}\"")
}

/// See systemd.exec(5), `EnvironmentFile=`: within double quotes a backslash escapes the next character.
fn env_file(settings: &NodeSettings) -> String {
    settings.env.iter().fold(String::new(), |text, (name, value)| {
        let escaped: String =
            value.chars().flat_map(|c| "\"\\$`".contains(c).then_some('\\').into_iter().chain([c])).collect();
        format!("{text}{name}=\"{escaped}\"\n")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_unit_are_taken_as_they_are() {
        assert_eq!(unit_word(r#"a "b" \ 5% $HOME"#), r#""a \"b\" \\ 5%% $$HOME""#);
    }

    #[test]
    fn the_unit_starts_the_daemon_with_its_arguments() {
        let text = unit("/usr/local/bin/discod", "/etc/disco", &["--name".to_owned(), "web 1".to_owned()]);
        // Tasks go on while the daemon is restarted, and the daemon while the kernel kills a task that wants too much memory. Upgrades
        // add these lines to a unit of an earlier version, see `upgrade.rs`.
        assert!(text.contains("\n[Service]\nKillMode=process\nOOMPolicy=continue\n"), "{text}");
        assert!(text.contains("\nExecStart=\"/usr/local/bin/discod\" \"--name\" \"web 1\"\n"), "{text}");
        let report = "\nExecStopPost=-\"/usr/local/bin/discod\" \"report-end\" \"--dir\" \"/etc/disco\" \"--systemd\" \"--\" \"--name\" ";
        assert!(text.contains(report), "{text}");
    }
}
