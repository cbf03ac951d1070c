//! A task with its shim, in a folder of its own.

use std::os::fd::AsFd;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use disco_shim::output::{Reader, Source};
use disco_shim::{Client, Exit, Folder, Limits, Process, Spec, Start, Task};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify;

/// Longer than anything here takes on a machine that is ten times slower.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) const SHIM: &str = env!("CARGO_BIN_EXE_disco-test-shim");

pub(crate) struct Test {
    pub(crate) temporary: tempfile::TempDir,
    pub(crate) folder: Folder,
    pub(crate) shim: Option<Child>,
}

/// No test leaves a shim behind; with it goes its task.
impl Drop for Test {
    fn drop(&mut self) {
        if let Some(mut shim) = self.shim.take() {
            // What the task started goes with it only if the shim ends it.
            if let Ok(mut client) = Client::connect(&self.folder) {
                let _asked = client.stop(Some(Duration::ZERO));
                if let Ok(Some(process)) = Process::find(shim.id().cast_signed()) {
                    wait_for_end(&process);
                }
            }
            let _ended = shim.kill();
            let _reaped = shim.wait();
        }
    }
}

impl Test {
    pub(crate) fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path().join("task"));
        Self { temporary, folder, shim: None }
    }

    pub(crate) fn try_start(&mut self, spec: &Spec) -> Start {
        let mut command = Command::new(SHIM);
        command.arg(self.folder.path());
        let (shim, start) = Start::task(command, spec, DEADLINE).unwrap();
        self.shim = Some(shim);
        start
    }

    pub(crate) fn start(&mut self, spec: &Spec) -> Task {
        assert_eq!(self.try_start(spec), Start::Started);
        self.folder.task().unwrap().unwrap()
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(&self.folder).unwrap()
    }

    pub(crate) fn ended(&self) -> Exit {
        self.until("exit.json", || self.folder.exit().unwrap())
    }

    /// Waits for changes of the task's files until there is a result.
    pub(crate) fn until<T>(&self, what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + DEADLINE;
        // Before the first look, so that no change is missed.
        let changes = inotify::init(inotify::CreateFlags::CLOEXEC).unwrap();
        for folder in [self.folder.path(), &self.folder.output()] {
            let kinds = inotify::WatchFlags::MODIFY | inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO;
            inotify::add_watch(&changes, folder, kinds).unwrap();
        }
        let mut events = [0; 4096];
        loop {
            if let Some(value) = condition() {
                return value;
            }
            wait_for(&changes, deadline, what);
            rustix::io::read(&changes, &mut events).unwrap();
        }
    }

    pub(crate) fn text(&self, source: Source) -> String {
        let mut reader = Reader::new(self.folder.output(), 0);
        let mut text = Vec::new();
        while let Some(chunk) = reader.read().unwrap() {
            if chunk.source == source {
                text.extend(chunk.content);
            }
        }
        String::from_utf8(text).unwrap()
    }

    /// Waits until the task has printed this.
    pub(crate) fn printed(&self, what: &str) {
        self.until(what, || self.text(Source::Output).contains(what).then_some(()));
    }
}

/// Waits until a descriptor is readable, or fails at the deadline.
pub(crate) fn wait_for(descriptor: impl AsFd, deadline: Instant, what: &str) {
    let left = deadline.saturating_duration_since(Instant::now());
    let mut awaited = [PollFd::new(&descriptor, PollFlags::IN)];
    let ready = poll(&mut awaited, Some(&left.try_into().unwrap())).unwrap();
    assert!(ready > 0, "waited {DEADLINE:?} for {what}");
}

/// Waits until a process has ended.
pub(crate) fn wait_for_end(process: &Process) {
    if let Some(descriptor) = process.open().unwrap() {
        wait_for(descriptor, Instant::now() + DEADLINE, "the end of a process");
    }
    assert!(!process.runs().unwrap());
}

pub(crate) fn runs(pid: i32) -> bool {
    Process::find(pid).unwrap().is_some_and(|process| process.runs().unwrap())
}

pub(crate) fn sh(script: &str) -> Spec {
    let mut spec = Spec::new("/bin/sh", "/");
    spec.args = vec!["-c".to_owned(), script.to_owned()];
    spec.environment = vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())];
    spec
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The group is named after this process, so that no two runs meet.
pub(crate) fn in_group(mut spec: Spec, name: &str, limits: Limits) -> Spec {
    spec.cgroup = Some(format!("disco-test-shim-{}/{name}", std::process::id()).into());
    spec.limits = limits;
    spec
}
