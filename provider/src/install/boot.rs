//! Starting a node at boot, on machines without a system service.
//!
//! Without root the user's systemd does it, if lingering is allowed; without systemd, cron does. [`Permitted::forget_boot`]
//! undoes what is done here, and leaves other entries alone.

use super::{InstallError, Permitted, ServiceKind};
use crate::ssh::quote;

/// Whether a node starts at boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Boot {
    /// The system's or the user's systemd starts it, or the maker of the machine does.
    #[default]
    Starts,
    /// By `@reboot` in the user's crontab.
    Cron,
    /// Nothing starts it at boot.
    Nobody,
}

impl Permitted {
    /// Enables the start of the service at boot, if possible. It is no failure if it is not.
    ///
    /// # Errors
    /// The connection's.
    pub async fn start_with_machine(&self) -> Result<Boot, InstallError> {
        if !self.needs_boot() {
            return Ok(Boot::Starts);
        }
        let output =
            self.step("enable the start at boot", &enable(&self.start_file(), &self.layout.service), &[]).await?;
        Ok(match output.text().lines().last().map(str::trim) {
            Some("boot=user") => Boot::Starts,
            Some("boot=cron") => Boot::Cron,
            _ => Boot::Nobody,
        })
    }

    /// Disables the start at boot. Must be called while the service's folder still exists.
    ///
    /// # Errors
    /// The connection's.
    pub(super) async fn forget_boot(&self) -> Result<(), InstallError> {
        if self.needs_boot() {
            let script = disable(&self.start_file(), &self.layout.service);
            self.step("disable the start at boot", &script, &[]).await?;
        }
        Ok(())
    }

    /// A machine with `DISCO_PREFIX` is started, with everything on it, by its maker.
    fn needs_boot(&self) -> bool {
        self.layout.kind == ServiceKind::Supervised && self.probe.prefix.is_none()
    }

    fn start_file(&self) -> String {
        format!("{}/start", self.layout.service)
    }
}

/// The line of the crontab, which no other line equals.
fn line(start: &str) -> String {
    // In a crontab a percent sign ends the command.
    format!("@reboot {}", quote(start).replace('%', "\\%"))
}

/// The common part of both scripts. `table` copies the crontab, which may not exist, and fails if a missing crontab cannot be
/// distinguished from an unreadable one: an unread crontab is never overwritten.
fn common(start: &str, service: &str) -> String {
    format!(
        "start={}; dir={}; line={}; unit=$HOME/.config/systemd/user/discod.service\n\
         XDG_RUNTIME_DIR=${{XDG_RUNTIME_DIR:-/run/user/$(id -u)}}; export XDG_RUNTIME_DIR\n\
         table() {{ crontab -l > \"$dir/crontab\" 2> \"$dir/crontab.error\" || grep -qi 'no crontab\\|no such file' \"$dir/crontab.error\"; }}\n\
         user() {{ [ \"$(id -u)\" != 0 ] && [ -d /run/systemd/system ] && command -v loginctl; }} > /dev/null 2>&1\n",
        quote(start),
        quote(service),
        quote(&line(start)),
    )
}

fn enable(start: &str, service: &str) -> String {
    common(start, service)
        + "if user; then\n\
             [ -e \"/var/lib/systemd/linger/$(id -un)\" ] || lingers=no\n\
             if [ -z \"$lingers\" ] || loginctl enable-linger > /dev/null 2>&1; then\n\
               [ -z \"$lingers\" ] || : > \"$dir/linger\"\n\
               mkdir -p \"${unit%/*}\"\n\
               printf '%s\\n' '[Unit]' 'Description=Disco node' '[Service]' 'Type=oneshot' 'RemainAfterExit=yes' 'KillMode=process' \
                 \"ExecStart=\\\"$start\\\"\" '[Install]' 'WantedBy=default.target' > \"$unit.tmp\" && mv -f \"$unit.tmp\" \"$unit\" \
                 && systemctl --user daemon-reload > /dev/null 2>&1 && systemctl --user enable discod.service > /dev/null 2>&1 \
                 && { echo boot=user; exit 0; }\n\
             fi\n\
           fi\n\
           if command -v crontab > /dev/null 2>&1 && pidof cron crond fcron > /dev/null 2>&1 && table; then\n\
             grep -qxF -e \"$line\" \"$dir/crontab\" && { echo boot=cron; exit 0; }\n\
             [ -z \"$(tail -c 1 \"$dir/crontab\")\" ] || echo >> \"$dir/crontab\"\n\
             printf '%s\\n' \"$line\" >> \"$dir/crontab\"\n\
             crontab \"$dir/crontab\" > /dev/null 2>&1 && { echo boot=cron; exit 0; }\n\
           fi\n\
           echo boot=nobody\n"
}

fn disable(start: &str, service: &str) -> String {
    common(start, service)
        + "if user && [ -e \"$unit\" ] && grep -qF -e \"$start\" \"$unit\"; then\n\
             systemctl --user disable discod.service > /dev/null 2>&1; rm -f \"$unit\"; systemctl --user daemon-reload > /dev/null 2>&1\n\
             [ ! -e \"$dir/linger\" ] || loginctl disable-linger > /dev/null 2>&1\n\
           fi\n\
           if command -v crontab > /dev/null 2>&1 && table && grep -qxF -e \"$line\" \"$dir/crontab\"; then\n\
             grep -vxF -e \"$line\" \"$dir/crontab\" > \"$dir/crontab.rest\"\n\
             if [ -s \"$dir/crontab.rest\" ]; then crontab \"$dir/crontab.rest\"; else crontab -r; fi > /dev/null 2>&1\n\
           fi\n\
           true\n"
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;
    use std::process::Command;

    use super::*;

    /// A computer with cron, and with no other way: `crontab` is a file here, and some of its answers.
    fn computer(list: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().display();
        for (name, text) in [
            ("crontab", format!("case $1 in -l) {list};; -r) rm {home}/table;; *) cp \"$1\" {home}/table;; esac")),
            ("pidof", "true".to_owned()),
            ("loginctl", "false".to_owned()),
        ] {
            let file = dir.path().join("bin").join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, format!("#!/bin/sh\n{text}\n")).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::create_dir_all(dir.path().join("service")).unwrap();
        dir
    }

    fn run(dir: &Path, script: impl Fn(&str, &str) -> String) -> String {
        let service = dir.join("service").display().to_string();
        let path = format!("{}:/usr/bin:/bin", dir.join("bin").display());
        let script = script(&format!("{service}/start"), &service);
        let output = Command::new("/bin/sh").args(["-c", &script]).env("PATH", path).env("HOME", dir).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    #[test]
    fn cron_starts_a_node_and_what_was_in_its_table_stays() {
        let dir = computer("cat $HOME/table 2> /dev/null || { echo 'no crontab for pi' >&2; exit 1; }");
        let table = || fs::read_to_string(dir.path().join("table")).ok();
        for before in [None, Some("MAILTO=me\n5 * * * * backup\n")] {
            if let Some(before) = before {
                fs::write(dir.path().join("table"), before).unwrap();
            }
            for _ in 0..2 {
                assert_eq!(run(dir.path(), enable), "boot=cron");
            }
            let line = format!("@reboot '{}/service/start'\n", dir.path().display());
            let line = if table().unwrap().contains('\'') { line } else { line.replace('\'', "") };
            assert_eq!(table(), Some(format!("{}{line}", before.unwrap_or_default())));
            run(dir.path(), disable);
            assert_eq!(table().as_deref(), before);
        }
    }

    #[test]
    fn a_table_that_cannot_be_read_is_not_written() {
        let dir = computer("echo 'you may not use cron' >&2; exit 1");
        fs::write(dir.path().join("table"), "5 * * * * backup\n").unwrap();
        assert_eq!(run(dir.path(), enable), "boot=nobody");
        run(dir.path(), disable);
        assert_eq!(fs::read_to_string(dir.path().join("table")).unwrap(), "5 * * * * backup\n");
    }
}
