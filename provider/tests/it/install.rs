//! Installing over SSH.

use std::fs::{File, OpenOptions};
use std::io::{Cursor, Seek, SeekFrom, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

use disco_provider::install::{
    Binaries, InstallError, InstallProgress, NoProgress, NodeSettings, Owner, Permitted, Remote, ServiceState, Step,
};
use disco_provider::{Machine, Pace};

use crate::setup::{LIMIT, Machines, eventually, is_alive, kill, stand_in};

/// A project folder with copies of the stand-in, so that they can be changed.
pub(crate) struct Project {
    dir: tempfile::TempDir,
}

impl Project {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["disco", "discod"] {
            std::fs::copy(stand_in(), dir.path().join(format!("{name}-build"))).unwrap();
            symlink(format!("{name}-build"), dir.path().join(name)).unwrap();
        }
        Self { dir }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn binaries(&self) -> Result<Binaries, InstallError> {
        Binaries::find(Some(self.dir.path()))
    }

    /// Makes another program of it that does the same.
    pub(crate) fn change(&self, name: &str) {
        OpenOptions::new().append(true).open(self.path(name)).unwrap().write_all(b"another build").unwrap();
    }
}

pub(crate) fn settings(machine: &Machine) -> NodeSettings {
    NodeSettings {
        public_address: None,
        listen: machine.control_address,
        advertise: machine.control_address,
        name: "web 1".to_owned(),
        machine: Some(machine.id.clone()),
        pace: Pace::Fast,
        join_token: None,
        labels: [("disk".to_owned(), "it's ssd".to_owned())].into(),
        env: [("EXTRA".to_owned(), "$HOME \"quoted\"".to_owned())].into(),
    }
}

/// Records the progress.
#[derive(Default)]
struct Recorded {
    steps: Mutex<Vec<Step>>,
    sent: Mutex<u64>,
}

impl InstallProgress for Recorded {
    fn step(&self, step: Step) {
        self.steps.lock().unwrap().push(step);
    }

    fn sent(&self, _name: &'static str, sent: u64, total: u64) {
        assert!(sent <= total);
        *self.sent.lock().unwrap() = sent;
    }
}

/// The cluster that asks for a machine.
pub(crate) fn owner(machine: &Machine) -> Owner {
    Owner {
        cluster_id: "00112233".to_owned(),
        cluster_name: "stage".to_owned(),
        machine: Some(machine.id.clone()),
        ..Owner::default()
    }
}

pub(crate) async fn remote(machines: &Machines, machine: &Machine) -> Permitted {
    // As if it had a disk of its own: sending is what is tested.
    Remote::probe(machines.connect(machine).await).await.unwrap().with_own_disk().permit(owner(machine)).await.unwrap()
}

pub(crate) fn sign(request: &str) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    Ok(format!("signed: {request}"))
}

pub(crate) fn starts(home: &Path) -> Vec<u32> {
    let text = std::fs::read_to_string(home.join("disco/data/snapshots/starts")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

/// Waits until the only start has also printed its line, which its supervisor writes to the log.
pub(crate) async fn service_runs(home: &Path) {
    let log = home.join("disco/service/log");
    let has_printed = || std::fs::read_to_string(&log).is_ok_and(|text| text.contains("serving"));
    eventually("the service runs, and has printed", || starts(home).len() == 1 && has_printed()).await;
}

#[tokio::test]
async fn the_first_node_is_installed_repaired_and_removed() {
    let (machines, project) = (Machines::new(), Project::new());
    let machine = machines.start("one").await;
    let home = machines.path(&machine).join("home");
    let remote = remote(&machines, &machine).await;
    let (binaries, settings, recorded) = (project.binaries().unwrap(), settings(&machine), Recorded::default());

    let before = Instant::now();
    let installed = remote.install_first_node(&binaries, &settings, sign, &recorded).await.unwrap();
    println!("installed {} bytes in {:?}", 2 * binaries.discod.size(), before.elapsed());
    assert!(installed.binaries_changed && installed.settings_changed && installed.started);
    let steps = [
        Step::Checking,
        Step::Uploading { name: "discod" },
        Step::Uploading { name: "disco" },
        Step::Identity,
        Step::Starting,
        Step::Done,
    ];
    assert_eq!(*recorded.steps.lock().unwrap(), steps);
    assert_eq!(*recorded.sent.lock().unwrap(), binaries.disco.size());
    eventually("the service runs", || starts(&home).len() == 1).await;
    let identity = std::fs::read_to_string(home.join("disco/data/identity")).unwrap();
    assert!(identity.starts_with("signed: -----BEGIN") && identity.contains(&machine.control_address.to_string()));
    let address = machine.control_address;
    let expected = format!(
        "serving --data-dir ../data --listen {address} --advertise {address} --name web 1 --raft-pace fast --instance local-1 \
         --label disk=it's ssd $HOME \"quoted\""
    );
    let mut log = String::new();
    let deadline = Instant::now() + LIMIT;
    while !log.contains("serving") && Instant::now() < deadline {
        log = remote.fetch_log(10).await.unwrap();
    }
    assert_eq!(log, expected);

    // Again: nothing is sent, nothing is restarted.
    let recorded = Recorded::default();
    let again = remote.install_first_node(&project.binaries().unwrap(), &settings, sign, &recorded).await.unwrap();
    assert!(!again.binaries_changed && !again.settings_changed && !again.started, "{again:?}");
    assert_eq!(*recorded.steps.lock().unwrap(), [Step::Checking, Step::Identity, Step::Done]);
    assert_eq!(starts(&home).len(), 1);

    // Another client is sent and restarts nothing, another daemon does, and so do other settings.
    let install = async |settings: &NodeSettings| {
        remote.install_first_node(&project.binaries().unwrap(), settings, sign, &NoProgress).await.unwrap()
    };
    project.change("disco");
    assert!(!install(&settings).await.started);
    assert!(!install(&settings).await.started);
    project.change("discod");
    let changed = install(&settings).await;
    assert!(changed.binaries_changed && changed.started && !changed.settings_changed);
    eventually("the service runs again", || starts(&home).len() == 2).await;
    let other = NodeSettings { pace: Pace::Slow, ..settings.clone() };
    let changed = install(&other).await;
    assert!(!changed.binaries_changed && changed.started && changed.settings_changed);
    eventually("the service runs again", || starts(&home).len() == 3).await;

    // What was lost is put back, and what was stopped is started.
    remote.stop_service().await.unwrap();
    assert_eq!(remote.service_state().await.unwrap(), ServiceState::Stopped);
    std::fs::remove_file(home.join("disco/bin/disco")).unwrap();
    assert!(install(&other).await.started);
    assert!(home.join("disco/bin/disco").exists());
    assert_eq!(remote.service_state().await.unwrap(), ServiceState::Running);

    eventually("the service runs again", || starts(&home).len() == 4).await;
    assert_eq!(remote.uninstall().await.unwrap(), Vec::<String>::new());
    assert!(!home.join("disco").exists());
    remote.uninstall().await.unwrap();
}

#[tokio::test]
async fn a_local_machine_copies_what_is_on_its_computer_and_is_sent_what_it_cannot_see() {
    use std::os::unix::fs::MetadataExt;

    let (machines, project) = (Machines::new(), Project::new());
    let machine = machines.start("one").await;
    let bin = machines.path(&machine).join("home/disco/bin");
    let near = Remote::probe(machines.connect(&machine).await).await.unwrap();
    assert!(near.machine().local);
    let near = near.permit(owner(&machine)).await.unwrap();
    let (binaries, recorded) = (project.binaries().unwrap(), Recorded::default());
    assert!(near.upload_binaries(&binaries, &recorded).await.unwrap());
    assert_eq!(*recorded.sent.lock().unwrap(), binaries.disco.size());
    for binary in [&binaries.disco, &binaries.discod] {
        let (there, here) = (bin.join(binary.name()), binary.path());
        assert_eq!(std::fs::read(&there).unwrap(), std::fs::read(here).unwrap(), "{}", binary.name());
        // What is done on the machine's disk is not done to the computer's.
        assert_ne!(there.metadata().unwrap().ino(), here.metadata().unwrap().ino());
    }
    assert!(!near.upload_binaries(&binaries, &NoProgress).await.unwrap());

    // What is there by now is not what was looked at: it is not taken, and cannot be sent for the other either.
    project.change("discod");
    let looked_at = project.binaries().unwrap();
    project.change("discod");
    let error = near.upload_binaries(&looked_at, &NoProgress).await.unwrap_err();
    assert!(matches!(error, InstallError::Checksum { name: "discod", .. }), "{error}");
    let mut names: Vec<_> = std::fs::read_dir(&bin).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["disco", "discod"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_are_installed_at_once() {
    let (machines, project) = (Machines::new(), Project::new());
    let before = Instant::now();
    let binaries = project.binaries().unwrap();
    let nodes = ["one", "two", "three"].map(async |token| {
        let machine = machines.start(token).await;
        let remote = remote(&machines, &machine).await;
        remote.install_first_node(&binaries, &settings(&machine), sign, &NoProgress).await.unwrap();
        machine
    });
    let nodes = futures_util::future::join_all(nodes).await;
    println!("three machines with {} bytes each in {:?}", 2 * binaries.discod.size(), before.elapsed());
    for machine in nodes {
        let home = machines.path(&machine).join("home");
        eventually("the service runs", || starts(&home).len() == 1).await;
    }
}

#[tokio::test]
async fn a_joining_node_gets_its_token_in_a_file_of_its_own() {
    use std::os::unix::fs::PermissionsExt;

    let (machines, project) = (Machines::new(), Project::new());
    let machine = machines.start("one").await;
    let home = machines.path(&machine).join("home");
    let remote = remote(&machines, &machine).await;
    let with = |token: &str| NodeSettings { join_token: Some(token.to_owned()), ..settings(&machine) };
    let install = async |settings: NodeSettings| {
        remote.install_joining_node(&project.binaries().unwrap(), &settings, &NoProgress).await.unwrap()
    };
    assert!(install(with("secret-1")).await.started);
    let path = home.join("disco/service/join-token");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "secret-1");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    eventually("the service runs", || starts(&home).len() == 1).await;
    // Another token is no reason to restart.
    assert!(!install(with("secret-2")).await.started);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "secret-2");
    assert!(!format!("{:?}", with("secret-3")).contains("secret-3"));
}

#[tokio::test]
async fn the_service_dies_with_its_machine_and_comes_back_with_it() {
    let (machines, project) = (Machines::new(), Project::new());
    let machine = machines.start("one").await;
    let home = machines.path(&machine).join("home");
    let remote = remote(&machines, &machine).await;
    remote.install_first_node(&project.binaries().unwrap(), &settings(&machine), sign, &NoProgress).await.unwrap();
    eventually("the service runs", || starts(&home).len() == 1).await;
    kill(machine.pid.unwrap());
    eventually("the service is dead", || !starts(&home).into_iter().any(is_alive)).await;
    let machine = machines.start("one").await;
    eventually("the service runs again", || starts(&home).len() == 2).await;
    machines.provider.stop(&machine.id).await.unwrap();
    assert!(!starts(&home).into_iter().any(is_alive));
}

#[tokio::test]
async fn an_interrupted_installation_is_completed_by_the_next() {
    let (machines, project) = (Machines::new(), Project::new());
    let machine = machines.start("one").await;
    let home = machines.path(&machine).join("home");
    let bin = home.join("disco/bin");
    let first = remote(&machines, &machine).await;
    let binaries = project.binaries().unwrap();

    /// Stops the installation when half of a binary is there.
    struct Half(tokio::sync::Notify);
    impl InstallProgress for Half {
        fn step(&self, _step: Step) {}
        fn sent(&self, _name: &'static str, sent: u64, total: u64) {
            if sent > total / 2 {
                self.0.notify_one();
            }
        }
    }
    let half = Half(tokio::sync::Notify::new());
    tokio::select! {
        result = first.upload_binaries(&binaries, &half) => panic!("too fast: {result:?}"),
        () = half.0.notified() => {}
    }
    drop(first);
    assert!(!bin.join("discod").exists() && !bin.join("disco").exists());

    let second = remote(&machines, &machine).await;
    let settings = settings(&machine);
    assert!(second.install_first_node(&binaries, &settings, sign, &NoProgress).await.unwrap().started);
    let mut names: Vec<_> = std::fs::read_dir(&bin).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["disco", "discod"]);
    eventually("the service runs", || starts(&home).len() == 1).await;

    // Interrupted between the new daemon and the restart.
    project.change("discod");
    let binaries = project.binaries().unwrap();
    assert!(second.upload_binaries(&binaries, &NoProgress).await.unwrap());
    let installed = second.install_first_node(&binaries, &settings, sign, &NoProgress).await.unwrap();
    assert!(!installed.binaries_changed && installed.started, "{installed:?}");
    eventually("the service runs again", || starts(&home).len() == 2).await;
    assert!(!second.install_first_node(&binaries, &settings, sign, &NoProgress).await.unwrap().started);
}

#[tokio::test]
async fn what_the_machine_could_not_use_is_not_sent() {
    let (machines, project) = (Machines::new(), Project::new());
    let machine = machines.start("one").await;
    let remote = remote(&machines, &machine).await;
    let refused = async |part: &[&str]| {
        let binaries = project.binaries().unwrap();
        let error =
            remote.install_first_node(&binaries, &settings(&machine), sign, &NoProgress).await.unwrap_err().to_string();
        assert!(part.iter().all(|part| error.contains(part)), "{error}");
        assert!(!machines.path(&machine).join("home/disco").exists());
    };

    // The number of the processor's kind is at offset 18.
    let (name, number) = if cfg!(target_arch = "x86_64") { ("aarch64", 183_u16) } else { ("x86_64", 62) };
    let mut file = File::options().write(true).open(project.path("discod")).unwrap();
    file.seek(SeekFrom::Start(18)).unwrap();
    file.write_all(&number.to_le_bytes()).unwrap();
    drop(file);
    refused(&[name, std::env::consts::ARCH, "symlink `discod`", &machine.ssh.endpoint()]).await;

    // Another loader than this machine's, of the same length.
    std::fs::copy(stand_in(), project.path("discod-build")).unwrap();
    let Some(loader) = project.binaries().unwrap().discod.interpreter().map(str::to_owned) else { return };
    let mut content = std::fs::read(project.path("discod")).unwrap();
    let at = content.windows(loader.len()).position(|window| window == loader.as_bytes()).unwrap();
    content[at + 1..at + 4].copy_from_slice(b"xyz");
    std::fs::write(project.path("discod"), content).unwrap();
    refused(&["/xyz", "static", &machine.ssh.endpoint()]).await;
}

#[tokio::test]
async fn a_program_that_does_not_start_there_does_not_take_its_place() {
    let (machines, project) = (Machines::new(), Project::new());
    let machine = machines.start("one").await;
    let remote = remote(&machines, &machine).await;
    // Cut off behind its headers: still a program by its looks.
    File::options().write(true).open(project.path("discod")).unwrap().set_len(8192).unwrap();
    let error = remote.upload_binaries(&project.binaries().unwrap(), &NoProgress).await.unwrap_err();
    assert!(matches!(error, InstallError::DoesNotStart { name: "discod", .. }), "{error}");
    let bin = machines.path(&machine).join("home/disco/bin");
    assert_eq!(std::fs::read_dir(bin).unwrap().count(), 0);
}

#[tokio::test]
async fn a_refused_identity_ends_the_installation() {
    let (machines, project) = (Machines::new(), Project::new());
    let machine = machines.start("one").await;
    let remote = remote(&machines, &machine).await;
    let (binaries, settings) = (project.binaries().unwrap(), settings(&machine));
    let refuse = |_: &str| Ok("refuse".to_owned());
    let error = remote.install_first_node(&binaries, &settings, refuse, &NoProgress).await.unwrap_err().to_string();
    assert!(error.contains("another cluster") && error.contains(&machine.ssh.endpoint()), "{error}");
    let fail = |_: &str| Err("the key is locked".into());
    let error = remote.install_first_node(&binaries, &settings, fail, &NoProgress).await.unwrap_err();
    assert!(matches!(error, InstallError::Sign { .. }), "{error}");
    // The binaries are there, and nothing that could be started.
    assert!(machines.path(&machine).join("home/disco/bin/discod").exists());
    assert_eq!(remote.service_state().await.unwrap(), ServiceState::Missing);
}

#[tokio::test]
async fn keys_are_added_once() {
    let machines = Machines::new();
    let machine = machines.start("one").await;
    let remote = remote(&machines, &machine).await;
    let keys = ["ssh-ed25519 AAAA it's me".to_owned(), machines.key.public_openssh()];
    remote.authorize(&keys).await.unwrap();
    remote.authorize(&keys).await.unwrap();
    let text = std::fs::read_to_string(machines.path(&machine).join("home/.ssh/authorized_keys")).unwrap();
    assert_eq!(text.lines().collect::<Vec<_>>(), [&keys[0], &keys[1]]);
}

#[test]
fn symlinks_are_followed_and_must_lead_somewhere() {
    let project = Project::new();
    let binaries = project.binaries().unwrap();
    assert_eq!(binaries.discod.path(), project.path("discod-build").canonicalize().unwrap());

    std::fs::remove_file(project.path("discod-build")).unwrap();
    let error = project.binaries().unwrap_err().to_string();
    for part in [project.path("discod").display().to_string().as_str(), "`discod-build`", "cargo build --release"] {
        assert!(error.contains(part), "{error}");
    }

    // A script is no program that could be sent.
    std::fs::write(project.path("discod-build"), format!("#!/bin/sh\n{}", "# \n".repeat(100))).unwrap();
    let error = project.binaries().unwrap_err().to_string();
    assert!(error.contains("it is a script"), "{error}");

    // Neither in the project nor beside this test.
    std::fs::remove_file(project.path("discod")).unwrap();
    let error = project.binaries().unwrap_err();
    assert!(matches!(error, InstallError::BinaryMissing { name: "discod", .. }), "{error}");
}

#[tokio::test]
async fn output_without_end_is_cut_off() {
    let machines = Machines::new();
    let machine = machines.start("one").await;
    let session = machines.connect(&machine).await;
    let error = session.exec("yes").await.unwrap_err();
    assert!(matches!(error, disco_provider::ssh::SshError::TooMuchOutput { .. }), "{error}");
    // The connection is still good.
    let status = session.exec_streaming("cat > /dev/null", Cursor::new([0; 10]), |_, _| {}, |_| {}).await.unwrap();
    assert!(status.success());
}
