//! Other binaries for a node that is there, and the way back to those of before.
//!
//! ```text
//! bin/:  NAME.next ──switch──> NAME ──switch (first of all)──> NAME.previous
//!                               ^──────────switch back───────────────┘
//! ```
//! Invariants:
//! - The service runs on while files are exchanged, and whoever keeps it up restarts it: an interruption at any moment leaves a
//!   node that runs, with the one binary or the other.
//! - From before the first exchange until [`Remote::end_upgrade`] the file `upgrade` stands in the service's folder; as long as
//!   it does, `NAME.previous` is what ran before the whole, however often something else was put in place meanwhile. So going
//!   back needs no network.
//! - The supervisor, where there is no systemd, stays the one that was started: it must work where a new binary does not.

use std::collections::HashMap;

use super::layout::UNIT;
use super::remote::SUMS;
use super::{Binaries, Binary, InstallError, InstallProgress, Permitted, Remote, ServiceKind, Step};
use crate::ssh::quote;
use crate::supervise::ServiceStatus;

/// The names of both, in the order in which they are exchanged: the client is not what the service runs.
const NAMES: &str = "disco discod";

/// What is installed on a machine, and what runs there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Installation {
    /// Checksums by file name, in hexadecimal digits.
    sums: HashMap<String, String>,
    /// The service's process.
    pub process: ServiceProcess,
    /// An upgrade was begun and not ended.
    pub unfinished: bool,
}

/// The process that is the service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServiceProcess {
    /// Somebody keeps the service running, though it may be starting again and again.
    pub kept: bool,
    /// Its id and the checksum of the program that it runs, in hexadecimal digits.
    pub running: Option<(u32, String)>,
}

impl Installation {
    /// The checksum of the installed `discod`.
    #[must_use]
    pub fn discod(&self) -> Option<&str> {
        self.sums.get("discod").map(String::as_str)
    }

    /// The checksum of the `discod` that an upgrade has put aside.
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

    /// Whether something that an upgrade has sent, or its mark, is still there.
    #[must_use]
    pub fn has_leftovers(&self) -> bool {
        self.unfinished || self.sums.keys().any(|name| name.ends_with(".next"))
    }

    /// What was sent for another upgrade.
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
    /// Looks which binaries are installed, and which one runs.
    ///
    /// # Errors
    /// The connection's, and what the machine says.
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

    /// Looks at the service's process alone.
    ///
    /// # Errors
    /// The connection's, and what the machine says.
    pub async fn service_process(&self) -> Result<ServiceProcess, InstallError> {
        let text = self.step("check the service", &self.process_script(), &[]).await?.text();
        Ok(process(&text))
    }
}

impl Permitted {
    /// Sends those of the binaries that are not there yet, each checked, beside those in use. Nothing is exchanged. What is there
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

    /// Puts the binaries that [`Self::stage`] has sent in the place of those in use, which stay beside them, and restarts the
    /// service. Returns when that is under way, not when the node answers.
    ///
    /// # Errors
    /// The connection's, and what the machine says.
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

    /// Puts the client that [`Self::stage`] has sent in its place: no service runs it, so nothing is restarted.
    ///
    /// # Errors
    /// The connection's, and what the machine says.
    pub async fn switch_client(&self) -> Result<(), InstallError> {
        let script = format!("cd {} && {{ [ ! -e disco.next ] || mv -f disco.next disco; }}", quote(&self.layout.bin));
        self.step("replace the client", &script, &[]).await?;
        Ok(())
    }

    /// Puts the binaries of before the upgrade back in their place, and restarts the service.
    ///
    /// # Errors
    /// The connection's, what the machine says, and that no upgrade was begun there.
    pub async fn switch_back(&self) -> Result<(), InstallError> {
        // Whose name leads to the same file already is left alone: `mv` may refuse that.
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

    /// From now on what is in place is what ran before the next upgrade; what was sent and not used goes.
    ///
    /// # Errors
    /// The connection's, and what the machine says.
    pub async fn end_upgrade(&self) -> Result<(), InstallError> {
        let (bin, marker) = (quote(&self.layout.bin), quote(&self.layout.upgrade_marker()));
        let script = format!("cd {bin} && rm -f disco.next discod.next {marker}");
        self.step("end the upgrade", &script, &[]).await?;
        Ok(())
    }

    /// Has whoever keeps the service up start it anew; starts it where nobody does.
    async fn restart_in_place(&self) -> Result<(), InstallError> {
        let script = match self.layout.kind {
            ServiceKind::Systemd => format!("systemctl daemon-reload && systemctl restart {UNIT}"),
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
    /// A shell word for the program that is known to work: during an upgrade the one of before.
    fn good(&self) -> String {
        let (now, before) = (self.layout.binary("discod"), self.layout.binary("discod.previous"));
        format!(
            "\"$([ -e {} ] && [ -x {before} ] && echo {before} || echo {})\"",
            quote(&self.layout.upgrade_marker()),
            quote(&now),
            before = quote(&before),
        )
    }

    /// Prints a line `kept` when somebody keeps the service up, and `process ID SUM`.
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
        // It starts again and again.
        let starting = ServiceProcess { kept: true, running: None };
        assert_eq!(process("status {\"supervisor\":7,\"pid\":null}"), starting);
        assert_eq!(process("status \n"), ServiceProcess::default());
        assert_eq!(process(""), ServiceProcess::default());
    }
}
