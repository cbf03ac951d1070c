//! Removes Disco from a machine.

use super::layout::{UNIT, UNIT_PATH};
use super::manifest::DATA;
use super::permit::Permitted;
use super::remote::SUMS;
use super::{InstallError, ServiceKind};
use crate::END_TASKS_SUBCOMMAND;
use crate::ssh::quote;

impl Permitted {
    /// Stops the service and removes what Disco has installed on the machine, and nothing else. Returns the paths that are left:
    /// programs that Disco did not install, and folders that contain other files.
    ///
    /// # Errors
    /// Errors of the connection and of the machine. A retry continues the removal.
    pub async fn uninstall(&self) -> Result<Vec<String>, InstallError> {
        const WHAT: &str = "remove Disco";
        let found = self.check().await?;
        if found.is_empty() {
            return Ok(Vec::new());
        }
        let manifest = self.manifest(&found).await?;
        let layout = &self.layout;
        match layout.kind {
            ServiceKind::Systemd => {
                let stop = format!("if [ -e {UNIT_PATH} ]; then systemctl disable --now --quiet {UNIT}; fi");
                self.step("stop the service", &stop, &[]).await?;
            }
            ServiceKind::Supervised => self.stop_service().await?,
        }
        self.end_tasks().await?;
        self.forget_boot().await?;
        let quoted = |paths: &[String]| paths.iter().map(|path| quote(path)).collect::<Vec<_>>().join(" ");
        let (bin, data) = (quote(&layout.bin), quote(&layout.data));
        let data: Vec<String> = DATA.iter().map(|name| format!("{data}/{name}")).collect();
        let reload = if layout.kind == ServiceKind::Systemd { "systemctl daemon-reload\n" } else { "" };
        // The innermost first.
        let folders: Vec<String> = manifest.folders.iter().rev().cloned().collect();
        // The manifest is the last file to be removed: until then it lists what to remove.
        let script = format!(
            "{SUMS}set -e\n\
             for f in {programs}; do if [ -f \"$f\" ]; then x=$(sha256 \"$f\"); case {sums} in *\" ${{x%% *}} \"*) \
             rm -f \"$f\";; *) printf 'left %s\\n' \"$f\";; esac; fi; done\n\
             rm -f {bin}/.tmp-disco.* {bin}/.tmp-discod.*\n\
             rm -rf {data}\n\
             rm -f {service}\n\
             {reload}rm -f {file}\n\
             for d in {folders}; do if [ -d \"$d\" ]; then rmdir \"$d\" 2> /dev/null || printf 'left %s\\n' \"$d\"; fi; done\n\
             echo end",
            programs = quoted(&layout.programs()),
            sums = quote(&format!(" {} ", manifest.programs.iter().cloned().collect::<Vec<_>>().join(" "))),
            data = data.join(" "),
            service = layout.service_patterns().join(" "),
            file = quote(&layout.manifest()),
            folders = quoted(&folders),
        );
        let text = self.step(WHAT, &script, &[]).await?.text();
        if text.lines().last() != Some("end") {
            return Err(InstallError::Answer { what: WHAT, endpoint: self.endpoint(), answer: text });
        }
        Ok(text.lines().filter_map(|line| line.strip_prefix("left ")).map(str::to_owned).collect())
    }

    /// Ends the node's tasks, which outlive the daemon.
    async fn end_tasks(&self) -> Result<(), InstallError> {
        let (program, data) = (quote(&self.layout.binary("discod")), quote(&self.layout.data));
        let script =
            format!("if [ -d {data}/tasks ] && [ -x {program} ]; then {program} {END_TASKS_SUBCOMMAND} {data}; fi");
        self.step("end the node's tasks", &script, &[]).await?;
        Ok(())
    }
}
