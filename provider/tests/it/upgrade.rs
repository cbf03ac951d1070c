//! Other binaries for a node that runs, and the way back.

use std::path::{Path, PathBuf};

use disco_provider::install::{Binaries, Installation, NoProgress, Permitted, Remote};

use crate::install::{owner, settings};
use crate::setup::{LIMIT, Machines, stand_in};

/// The stand-in as both programs, with other bytes at its end for each name.
struct Builds(tempfile::TempDir);

impl Builds {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The client `disco` of one build and the daemon of another.
    fn binaries(&self, disco: &str, discod: &str) -> Binaries {
        for name in [disco, discod] {
            if !self.path(name).exists() {
                let mut program = std::fs::read(stand_in()).unwrap();
                program.extend_from_slice(name.as_bytes());
                std::fs::write(self.path(name), program).unwrap();
            }
        }
        Binaries::from_paths(&self.path(disco), &self.path(discod)).unwrap()
    }

    /// This system's own program as the daemon.
    fn not_the_daemon(&self, program: &str) -> Binaries {
        std::fs::copy(Path::new("/bin").join(program), self.path(program)).unwrap();
        self.binaries("old-disco", program)
    }
}

/// A machine with a node of the build `old`.
struct Machine {
    machines: Machines,
    builds: Builds,
    remote: Permitted,
    bin: PathBuf,
}

impl Machine {
    async fn new() -> Self {
        let (machines, builds) = (Machines::new(), Builds::new());
        let machine = machines.start("one").await;
        let remote = Remote::probe(machines.connect(&machine).await).await.unwrap();
        let remote = remote.permit(owner(&machine)).await.unwrap();
        let old = builds.binaries("old-disco", "old");
        let settings = settings(&machine);
        remote.install_first_node(&old, &settings, |request| Ok(request.to_owned()), &NoProgress).await.unwrap();
        let bin = machines.path(&machine).join("home/disco/bin");
        Self { machines, builds, remote, bin }
    }

    async fn until(&self, what: &str, condition: impl Fn(&Installation) -> bool) -> Installation {
        let deadline = std::time::Instant::now() + LIMIT;
        loop {
            let found = self.remote.installation().await.unwrap();
            if condition(&found) {
                return found;
            }
            assert!(std::time::Instant::now() < deadline, "not within {LIMIT:?}: {what}; last seen: {found:?}");
        }
    }

    async fn exchange(&self, binaries: &Binaries) {
        let found = self.remote.installation().await.unwrap();
        self.remote.stage(binaries, &found, &NoProgress).await.unwrap();
        self.remote.switch().await.unwrap();
    }

    fn files(&self) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(&self.bin)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

#[tokio::test]
async fn another_daemon_takes_its_place_and_the_one_before_stays_beside_it() {
    let machine = Machine::new().await;
    let old = machine.builds.binaries("old-disco", "old");
    let before = machine.until("the node runs", |found| found.runs(&old)).await;
    assert!(before.has_both(&old) && !before.unfinished && before.previous().is_none(), "{before:?}");

    let new = machine.builds.binaries("new-disco", "new");
    machine.remote.stage(&new, &before, &NoProgress).await.unwrap();
    let sent = machine.remote.installation().await.unwrap();
    assert!(sent.has_received(&new) && sent.runs(&old) && !sent.unfinished, "{sent:?}");
    assert_eq!(sent.process, before.process, "sending restarts nothing");
    machine.remote.switch().await.unwrap();
    let after = machine.until("the new one runs", |found| found.runs(&new)).await;
    assert!(after.has_both(&new) && after.unfinished, "{after:?}");
    assert_eq!(after.previous(), Some(old.discod.sha256()));

    // Doing it again changes nothing but a restart, and a third one keeps what ran before the whole.
    machine.exchange(&new).await;
    machine.exchange(&machine.builds.binaries("new-disco", "newer")).await;
    let third = machine.remote.installation().await.unwrap();
    assert_eq!(third.previous(), Some(old.discod.sha256()));

    machine.remote.switch_back().await.unwrap();
    let back = machine.until("the old one runs", |found| found.runs(&old)).await;
    assert!(back.has_both(&old) && !back.unfinished, "{back:?}");
    assert!(machine.remote.switch_back().await.is_err(), "there is no upgrade to go back from");

    machine.exchange(&new).await;
    machine.until("the new one runs", |found| found.runs(&new)).await;
    machine.remote.end_upgrade().await.unwrap();
    assert_eq!(machine.files(), ["disco", "disco.previous", "discod", "discod.previous"]);
    machine.remote.uninstall().await.unwrap();
    assert!(!machine.bin.exists());
    drop(machine.machines);
}

#[tokio::test]
async fn another_client_restarts_nothing_and_what_was_sent_for_another_upgrade_goes() {
    let machine = Machine::new().await;
    let old = machine.builds.binaries("old-disco", "old");
    let before = machine.until("the node runs", |found| found.runs(&old)).await;
    machine.remote.stage(&machine.builds.binaries("stale-disco", "stale"), &before, &NoProgress).await.unwrap();
    assert_eq!(machine.files(), ["disco", "disco.next", "discod", "discod.next"]);

    let new = machine.builds.binaries("new-disco", "old");
    let found = machine.remote.installation().await.unwrap();
    machine.remote.stage(&new, &found, &NoProgress).await.unwrap();
    machine.remote.switch_client().await.unwrap();
    let after = machine.remote.installation().await.unwrap();
    assert!(after.runs(&new) && after.has_both(&new), "{after:?}");
    assert_eq!(after.process, before.process);
    assert_eq!(machine.files(), ["disco", "discod"]);
}

#[tokio::test]
async fn from_what_does_not_run_as_a_daemon_there_is_a_way_back() {
    // One exits at once with code 0, so it is not restarted; the other fails, and is restarted repeatedly.
    for (program, kept) in [("true", false), ("sleep", true)] {
        let machine = Machine::new().await;
        let old = machine.builds.binaries("old-disco", "old");
        machine.until("the node runs", |found| found.runs(&old)).await;
        let broken = machine.builds.not_the_daemon(program);
        machine.exchange(&broken).await;
        machine
            .until("the broken one does not run", |found| {
                found.process.kept == kept && !found.process.runs(old.discod.sha256())
            })
            .await;
        machine.remote.switch_back().await.unwrap();
        let back = machine.until("the old one runs again", |found| found.runs(&old)).await;
        assert!(back.process.kept && back.has_both(&old) && !back.unfinished, "{back:?}");
    }
}
