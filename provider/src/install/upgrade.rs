//! Replaces the binaries of an existing node, and restores the previous ones.
//!
//! ```text
//! bin/:  NAME.next ──switch──> NAME ──switch (first of all)──> NAME.previous
//!                               ^──────────switch back───────────────┘
//! ```
//! Invariants:
//! - The service keeps running while files are replaced, and its supervisor or systemd restarts it: an interruption at any moment
//!   leaves a running node, with one binary or the other.
//! - From before the first replacement until [`Remote::end_upgrade`] the file `upgrade` exists in the service's folder; as long as
//!   it does, `NAME.previous` is what ran before the upgrade, however often the binary was replaced meanwhile. So a rollback
//!   needs no network.
//! - The supervisor, on machines without systemd, is not replaced: it must work if a new binary does not.

use std::collections::HashMap;

use super::layout::{UNIT, UNIT_PATH};
use super::remote::SUMS;
use super::{Binaries, Binary, InstallError, InstallProgress, Permitted, Remote, ServiceKind, Step};
use crate::ssh::quote;
use crate::supervise::ServiceStatus;

/// Both names, in the order in which they are replaced: the service does not run the client.
const NAMES: &str = "disco discod";

/// The binaries that are installed on a machine, and the running one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Installation {
    /// Checksums by file name, in hexadecimal digits.
    sums: HashMap<String, String>,
    /// The service's process.
    pub process: ServiceProcess,
    /// An upgrade was started and not ended.
    pub unfinished: bool,
}

/// The service's process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServiceProcess {
    /// A supervisor or systemd keeps the service running, though it may be in a crash loop.
    pub kept: bool,
    /// The process id and the checksum of the running program, in hexadecimal digits.
    pub running: Option<(u32, String)>,
}

impl Installation {
    /// The checksum of the installed `discod`.
    #[must_use]
    pub fn discod(&self) -> Option<&str> {
        self.sums.get("discod").map(String::as_str)
    }

    /// The checksum of the previous `discod` during an upgrade.
    #[must_use]
    pub fn previous(&self) -> Option<&str> {
        self.sums.get("discod.previous").map(String::as_str)
    }

    /// Whether this `discod` is installed, and the service runs it.
    #[must_use]
    pub fn runs(&self, binaries: &Binaries) -> bool {
        self.has(&binaries.discod, "") && self.process.runs(binaries.discod.sha256())
    }

    /// Whether both binaries are installed.
    #[must_use]
    pub fn has_both(&self, binaries: &Binaries) -> bool {
        binaries.both().into_iter().all(|binary| self.has(binary, ""))
    }

    /// Whether both are installed, or were sent by [`Permitted::stage`].
    #[must_use]
    pub fn has_received(&self, binaries: &Binaries) -> bool {
        binaries.both().into_iter().all(|binary| self.has(binary, "") || self.has(binary, ".next"))
    }

    /// Whether files that an upgrade has sent, or its mark, still exist.
    #[must_use]
    pub fn has_leftovers(&self) -> bool {
        self.unfinished || self.sums.keys().any(|name| name.ends_with(".next"))
    }

    /// Files that were sent for another upgrade.
    fn stale(&self, binaries: &Binaries) -> Vec<String> {
        let sent = binaries.both().into_iter().map(|binary| (binary, format!("{}.next", binary.name())));
        let stale = sent.filter(|(binary, name)| self.sums.contains_key(name) && !self.has(binary, ".next"));
        stale.map(|(_, name)| name).collect()
    }

    fn has(&self, binary: &Binary, suffix: &str) -> bool {
        let sum = self.sums.get(&format!("{}{suffix}", binary.name()));
        sum.is_some_and(|sum| sum == binary.sha256())
    }
}

impl ServiceProcess {
    /// Whether it runs the program with this checksum.
    #[must_use]
    pub fn runs(&self, sha256: &str) -> bool {
        self.running.as_ref().is_some_and(|(_, sum)| sum == sha256)
    }
}

impl Remote {
    /// Checks which binaries are installed, and which one runs.
    ///
    /// # Errors
    /// Errors of the connection and of the machine.
    pub async fn installation(&self) -> Result<Installation, InstallError> {
        let script = format!(
            "{SUMS}command -v sha256sum > /dev/null || {{ echo 'sha256sum is not installed' >&2; exit 1; }}; \
             for n in {NAMES}; do for s in '' .previous .next; do f={bin}/$n$s; [ ! -f \"$f\" ] || \
             echo \"sum $n$s $(sha256 \"$f\" | cut -d ' ' -f 1)\"; done; done; \
             [ ! -e {marker} ] || echo unfinished; {process}",
            bin = quote(&self.layout.bin),
            marker = quote(&self.layout.upgrade_marker()),
            process = self.process_script(),
        );
        let text = self.step("check what is installed", &script, &[]).await?.text();
        let mut found = Installation { process: process(&text), ..Installation::default() };
        for line in text.lines() {
            match line.split(' ').collect::<Vec<_>>().as_slice() {
                ["sum", name, sum] => {
                    found.sums.insert((*name).to_owned(), (*sum).to_owned());
                }
                ["unfinished"] => found.unfinished = true,
                _ => {}
            }
        }
        Ok(found)
    }

    /// Checks only the service's process.
    ///
    /// # Errors
    /// Errors of the connection and of the machine.
    pub async fn service_process(&self) -> Result<ServiceProcess, InstallError> {
        let text = self.step("check the service", &self.process_script(), &[]).await?.text();
        Ok(process(&text))
    }
}

impl Permitted {
    /// Sends the missing binaries, each verified, beside those in use, without replacing them. Returns what is installed
    /// afterwards.
    ///
    /// # Errors
    /// As [`Self::upload_binaries`].
    pub async fn stage(
        &self,
        binaries: &Binaries,
        found: &Installation,
        progress: &dyn InstallProgress,
    ) -> Result<Installation, InstallError> {
        self.check_architecture(binaries)?;
        let mut found = found.clone();
        let replaced = binaries.both().into_iter().filter(|binary| !found.has(binary, ""));
        let present = replaced.filter_map(|binary| {
            let sum = found.sums.get(binary.name())?.clone();
            Some((self.layout.binary(binary.name()), sum))
        });
        self.check_replaceable(&present.collect::<Vec<_>>()).await?;
        let stale = found.stale(binaries);
        if !stale.is_empty() {
            let script = format!("cd {} && rm -f {}", quote(&self.layout.bin), stale.join(" "));
            self.step("remove what was sent for another upgrade", &script, &[]).await?;
            found.sums.retain(|name, _| !stale.contains(name));
        }
        let there = |binary: &Binary| found.has(binary, "") || found.has(binary, ".next");
        let missing: Vec<&Binary> = binaries.both().into_iter().filter(|binary| !there(binary)).collect();
        self.check_room(&missing)?;
        self.check_interpreters(&missing).await?;
        self.claim(&missing).await?;
        for binary in missing {
            progress.step(Step::Uploading { name: binary.name() });
            let place = format!("{}.next", binary.name());
            self.upload(binary, &place, false, progress).await?;
            found.sums.insert(place, binary.sha256().to_owned());
        }
        Ok(found)
    }

    /// Replaces the binaries in use by those that [`Self::stage`] has sent, keeps the previous ones beside them, and restarts the
    /// service. Returns when the restart has begun, before the node answers.
    ///
    /// # Errors
    /// Errors of the connection and of the machine.
    pub async fn switch(&self) -> Result<(), InstallError> {
        let script = format!(
            "set -e; umask 077; mkdir -p {service}; cd {bin}; if [ ! -e {marker} ]; then for n in {NAMES}; do \
             rm -f $n.previous; [ ! -e $n ] || ln $n $n.previous 2> /dev/null || cp -p $n $n.previous; done; \
             : > {marker}; fi; : > {restart}; for n in {NAMES}; do [ ! -e $n.next ] || mv -f $n.next $n; done",
            service = quote(&self.layout.service),
            bin = quote(&self.layout.bin),
            marker = quote(&self.layout.upgrade_marker()),
            restart = quote(&self.layout.restart_marker()),
        );
        self.step("replace the binaries", &script, &[]).await?;
        self.restart_in_place().await
    }

    /// Replaces the client by the one that [`Self::stage`] has sent: no service runs it, so nothing is restarted.
    ///
    /// # Errors
    /// Errors of the connection and of the machine.
    pub async fn switch_client(&self) -> Result<(), InstallError> {
        let script = format!("cd {} && {{ [ ! -e disco.next ] || mv -f disco.next disco; }}", quote(&self.layout.bin));
        self.step("replace the client", &script, &[]).await?;
        Ok(())
    }

    /// Restores the previous binaries, and restarts the service.
    ///
    /// # Errors
    /// Errors of the connection and of the machine, and that no upgrade was started there.
    pub async fn switch_back(&self) -> Result<(), InstallError> {
        // A name that already links to the same file is left alone: `mv` may refuse that.
        let script = format!(
            "set -e; umask 077; cd {bin}; [ -e {marker} ] && [ -e discod.previous ] || \
             {{ echo 'no upgrade was started there' >&2; exit 1; }}; : > {restart}; for n in {NAMES}; do rm -f $n.next .tmp-$n.back; [ -e $n.previous ] || continue; \
             [ ! $n -ef $n.previous ] || continue; ln $n.previous .tmp-$n.back 2> /dev/null || \
             cp -p $n.previous .tmp-$n.back; mv -f .tmp-$n.back $n; done",
            bin = quote(&self.layout.bin),
            marker = quote(&self.layout.upgrade_marker()),
            restart = quote(&self.layout.restart_marker()),
        );
        self.step("restore the previous binaries", &script, &[]).await?;
        self.restart_in_place().await?;
        self.end_upgrade().await
    }

    /// Ends the upgrade: the installed binaries become the previous ones of the next upgrade, and unused uploads are removed.
    ///
    /// # Errors
    /// Errors of the connection and of the machine.
    pub async fn end_upgrade(&self) -> Result<(), InstallError> {
        let (bin, marker) = (quote(&self.layout.bin), quote(&self.layout.upgrade_marker()));
        let script = format!("cd {bin} && rm -f disco.next discod.next {marker}");
        self.step("end the upgrade", &script, &[]).await?;
        Ok(())
    }

    /// Has the supervisor or systemd restart the service; starts it if neither does.
    async fn restart_in_place(&self) -> Result<(), InstallError> {
        let script = match self.layout.kind {
            // An earlier version has written a unit whose restart ends all tasks.
            ServiceKind::Systemd => format!(
                "{{ grep -q '^KillMode=' {UNIT_PATH} || sed -i '/^\\[Service\\]$/a KillMode=process\\nOOMPolicy=continue' {UNIT_PATH}; }} && \
                 systemctl daemon-reload && systemctl restart {UNIT}"
            ),
            ServiceKind::Supervised if self.service_process().await?.kept => {
                self.supervise_by(&self.good(), "--reload")
            }
            ServiceKind::Supervised => self.supervise("--detach"),
        };
        let script = format!("{script} && rm -f {}", quote(&self.layout.restart_marker()));
        self.step("restart the service", &script, &[]).await?;
        Ok(())
    }
}

impl Remote {
    /// A shell word for the program that is known to work: during an upgrade the previous one.
    fn good(&self) -> String {
        let (now, before) = (self.layout.binary("discod"), self.layout.binary("discod.previous"));
        format!(
            "\"$([ -e {} ] && [ -x {before} ] && echo {before} || echo {})\"",
            quote(&self.layout.upgrade_marker()),
            quote(&now),
            before = quote(&before),
        )
    }

    /// Prints a line `kept` if a supervisor or systemd keeps the service up, and `process ID SUM`.
    fn process_script(&self) -> String {
        let pid = match self.layout.kind {
            ServiceKind::Systemd => format!(
                "case $(systemctl is-active {UNIT}) in active|activating|reloading) echo kept;; esac; \
                 p=$(systemctl show -p MainPID {UNIT} | cut -d = -f 2)"
            ),
            ServiceKind::Supervised => format!(
                "s=$({} 2> /dev/null) || s=; printf 'status %s\\n' \"$s\"; p=$(printf '%s\\n' \"$s\" | sed -n 's/.*\"pid\":\\([0-9]*\\).*/\\1/p')",
                self.supervise_by(&self.good(), "--status")
            ),
        };
        format!(
            "{SUMS}{pid}; [ -z \"$p\" ] || [ ! -e \"/proc/$p/exe\" ] || \
             echo \"process $p $(sha256 \"/proc/$p/exe\" | cut -d ' ' -f 1)\""
        )
    }
}

fn process(text: &str) -> ServiceProcess {
    let mut found = ServiceProcess::default();
    for line in text.lines() {
        match line.split_once(' ').unwrap_or((line, "")) {
            ("kept", _) => found.kept = true,
            ("status", json) => {
                found.kept =
                    serde_json::from_str::<ServiceStatus>(json).is_ok_and(|status| status.supervisor.is_some());
            }
            ("process", words) => {
                found.running = words.split_once(' ').and_then(|(pid, sum)| Some((pid.parse().ok()?, sum.to_owned())));
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_machine_says_of_its_service_is_read() {
        let running = ServiceProcess { kept: true, running: Some((12, "ab".to_owned())) };
        assert_eq!(process("status {\"supervisor\":7,\"pid\":12}\nprocess 12 ab"), running);
        assert_eq!(process("kept\nprocess 12 ab"), running);
        // It is in a crash loop.
        let starting = ServiceProcess { kept: true, running: None };
        assert_eq!(process("status {\"supervisor\":7,\"pid\":null}"), starting);
        assert_eq!(process("status \n"), ServiceProcess::default());
        assert_eq!(process(""), ServiceProcess::default());
    }
}
