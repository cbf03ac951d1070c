use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::machine::logs_beneath;
use crate::processes::{self, Process};
use crate::{Binaries, Machine, Output, Permit, Running, SOON, Status, client_script, cluster_script, wait_for};

/// The time limit of a command.
const LONGEST: Duration = Duration::from_secs(120);
/// How much of each log a failed test shows.
const LOG_SHOWN: usize = 6000;

/// A project folder, and the cluster that was made from it.
pub struct Project {
    /// Contains `project/`, `home/` and `tmp/`: commands are isolated from the user who runs the tests.
    root: TempDir,
    name: String,
    /// Additional environment variables of every command.
    environment: Vec<(String, String)>,
    /// Released after all of the above.
    _permit: Permit,
}

/// The initial files of a project.
pub struct ProjectBuilder {
    name: String,
    client: String,
    cluster: Option<String>,
}

impl ProjectBuilder {
    /// Another `client.js`.
    #[must_use]
    pub fn client(mut self, source: impl Into<String>) -> Self {
        self.client = source.into();
        self
    }

    /// The default `client.js` with another number of nodes.
    #[must_use]
    pub fn nodes(mut self, count: u32) -> Self {
        self.client = client_script(&self.name, count);
        self
    }

    /// Another `cluster.js`.
    #[must_use]
    pub fn cluster(mut self, source: impl Into<String>) -> Self {
        self.cluster = Some(source.into());
        self
    }

    /// The default `cluster.js` with these hooks.
    #[must_use]
    pub fn hooks(mut self, hooks: &str) -> Self {
        self.cluster = Some(cluster_script(&self.name, hooks));
        self
    }

    /// No `cluster.js`.
    #[must_use]
    pub fn no_cluster_script(mut self) -> Self {
        self.cluster = None;
        self
    }

    /// Writes it.
    #[must_use]
    pub fn build(self) -> Project {
        let permit = Permit::one();
        let root = tempfile::Builder::new().prefix("disco-test-").tempdir().unwrap();
        for folder in ["project", "home", "tmp"] {
            fs::create_dir(root.path().join(folder)).unwrap();
        }
        crate::reaper::watch_over(root.path());
        let project = Project { root, name: self.name, environment: Vec::new(), _permit: permit };
        project.write("client.js", &self.client);
        if let Some(source) = self.cluster {
            project.write("cluster.js", &source);
        }
        let binaries = Binaries::get();
        symlink(&binaries.disco, project.path("disco")).unwrap();
        symlink(&binaries.discod, project.path("discod")).unwrap();
        project
    }
}

impl Project {
    /// The default scripts, for three local nodes.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self::builder(name).build()
    }

    /// The same, with its cluster running.
    #[must_use]
    pub fn bootstrapped(name: &str) -> Self {
        let project = Self::new(name);
        project.bootstrap();
        project
    }

    /// Makes a builder for a project with other files.
    #[must_use]
    pub fn builder(name: &str) -> ProjectBuilder {
        let cluster = cluster_script(name, "");
        ProjectBuilder { name: name.to_owned(), client: client_script(name, 3), cluster: Some(cluster) }
    }

    /// The cluster's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A path in the project folder.
    #[must_use]
    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.path().join("project").join(relative)
    }

    /// A path beside the project folder: `home`, `tmp`.
    #[must_use]
    pub fn outside(&self, relative: &str) -> PathBuf {
        self.root.path().join(relative)
    }

    /// Writes a file of the project; folders are made.
    pub fn write(&self, relative: &str, content: &str) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// `cluster.js` with these hooks.
    pub fn write_hooks(&self, hooks: &str) {
        self.write("cluster.js", &cluster_script(&self.name, hooks));
    }

    /// Sets these variables for all further commands.
    pub fn set_environment(&mut self, variables: Vec<(String, String)>) {
        self.environment = variables;
    }

    /// Points the project's `discod` to another file.
    pub fn point_discod_to(&self, file: &Path) {
        fs::remove_file(self.path("discod")).unwrap();
        symlink(file, self.path("discod")).unwrap();
    }

    /// Gives the project another build of `discod` with the same behaviour: data after a program's end does not matter.
    pub fn another_build(&self, name: &str) -> PathBuf {
        let mut program = fs::read(&Binaries::get().discod).unwrap();
        program.extend_from_slice(name.as_bytes());
        let path = self.outside(name);
        fs::write(&path, program).unwrap();
        self.point_discod_to(&path);
        path
    }

    /// Gives the project a build whose mark has another data format.
    pub fn build_of_format(&self, format: u32) -> PathBuf {
        assert!(format < 10, "the mark in the program is overwritten, so it stays as long");
        let mut program = fs::read(&Binaries::get().discod).unwrap();
        let (mark, other) = (b"disco-format:1;", format!("disco-format:{format};"));
        let places: Vec<usize> =
            program.windows(mark.len()).enumerate().filter(|(_, w)| w == mark).map(|(at, _)| at).collect();
        assert!(!places.is_empty(), "the program has no mark");
        for at in places {
            program[at..at + other.len()].copy_from_slice(other.as_bytes());
        }
        let path = self.outside(&format!("format-{format}"));
        fs::write(&path, program).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        self.point_discod_to(&path);
        path
    }

    // --- commands

    /// The command `disco` in this project's folder and environment.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&Binaries::get().disco);
        command.args(args).current_dir(self.path("")).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.outside("home")).env("TMPDIR", self.outside("tmp"));
        command.env("DISCO_TEST_DIR", self.root.path()).env("RUST_BACKTRACE", "1");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs `disco` to its end.
    #[track_caller]
    pub fn disco(&self, args: &[&str]) -> Output {
        self.start(args).wait(LONGEST)
    }

    /// Starts `disco`.
    #[track_caller]
    pub fn start(&self, args: &[&str]) -> Running {
        self.start_command(&mut self.command(args))
    }

    /// Starts a command that [`Self::command`] made.
    #[track_caller]
    pub fn start_command(&self, command: &mut Command) -> Running {
        let line: Vec<_> = command.get_args().map(|arg| arg.to_string_lossy().into_owned()).collect();
        let line = format!("disco {}", line.join(" "));
        let start = Instant::now();
        let child = command.spawn().unwrap_or_else(|error| panic!("`{line}` cannot be started: {error}"));
        Running::new(line, child, start)
    }

    /// `disco bootstrap -y`, which must succeed; the status of the whole cluster.
    #[track_caller]
    pub fn bootstrap(&self) -> Status {
        self.disco(&["bootstrap", "-y"]).ok();
        // On a busy machine another leader may have been elected since.
        self.wait_for_status(SOON, "a healthy cluster after its bootstrap", |status| {
            status.healthy && status.leader.is_some() && status.has_reports()
        })
    }

    /// `disco status -o json`, which must succeed.
    #[track_caller]
    pub fn status(&self) -> Status {
        let output = self.disco(&["status", "-o", "json"]).ok();
        serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("not a status ({error}): {output}"))
    }

    /// The same, but it may fail.
    pub fn try_status(&self) -> Result<Status, Output> {
        let output = self.disco(&["status", "-o", "json"]);
        match serde_json::from_str(&output.stdout) {
            Ok(status) if output.code == 0 => Ok(status),
            _ => Err(output),
        }
    }

    /// Waits until the status meets a condition.
    #[track_caller]
    pub fn wait_for_status(&self, limit: Duration, what: &str, condition: impl Fn(&Status) -> bool) -> Status {
        wait_for(limit, what, || match self.try_status() {
            Ok(status) if condition(&status) => Ok(status),
            Ok(status) => Err(format!("{status:#?}")),
            Err(output) => Err(output.to_string()),
        })
    }

    /// Waits until the cluster is healthy with this many nodes, and the leader has a report of each.
    #[track_caller]
    pub fn wait_until_healthy(&self, limit: Duration, nodes: usize) -> Status {
        let voters = if nodes % 2 == 1 { nodes } else { nodes - 1 }.min(5);
        self.wait_for_status(limit, &format!("{nodes} healthy nodes"), |status| {
            status.healthy
                && status.nodes.len() == nodes
                && status.leader.is_some()
                && status.voters() == voters
                && status.has_reports()
        })
    }

    /// Waits until the nodes are those of an earlier status, as the same processes: a node that was restarted never is.
    #[track_caller]
    pub fn wait_for_same_processes(&self, before: &Status) -> Status {
        self.wait_for_status(SOON, &format!("the processes {:?}", before.pids()), |now| now.pids() == before.pids())
    }

    /// `disco kv put`, which must succeed; the revision.
    #[track_caller]
    pub fn put(&self, key: &str, value: &str) -> i64 {
        let answer = self.disco(&["kv", "put", key, value, "-o", "json"]).ok().json();
        answer["revision"].as_i64().unwrap_or_else(|| panic!("no revision in {answer}"))
    }

    /// `disco kv get`; `None` if the key does not exist.
    #[track_caller]
    pub fn get(&self, key: &str) -> Option<String> {
        let output = self.disco(&["kv", "get", key, "-o", "json"]);
        if output.code == 6 {
            return None;
        }
        let answer = output.ok().json();
        Some(answer["value"].as_str().unwrap_or_else(|| panic!("no value in {answer}")).to_owned())
    }

    // --- machines and processes

    /// The local provider's folder.
    #[must_use]
    pub fn local(&self) -> PathBuf {
        self.path(".disco/local")
    }

    /// The local machines, by id.
    #[must_use]
    pub fn machines(&self) -> Vec<Machine> {
        Machine::all(&self.local())
    }

    /// The machine of a node.
    #[track_caller]
    #[must_use]
    pub fn machine(&self, instance: Option<&str>) -> Machine {
        let machines = self.machines();
        let found = machines.iter().find(|machine| Some(machine.id.as_str()) == instance);
        found.cloned().unwrap_or_else(|| panic!("no machine {instance:?} among {machines:?}"))
    }

    /// All processes of this project.
    #[must_use]
    pub fn processes(&self) -> Vec<Process> {
        processes::of_folder(&self.real_root())
    }

    /// Waits until none of them runs.
    #[track_caller]
    pub fn wait_for_no_process(&self) {
        wait_for(SOON, "the end of all processes", || {
            let left = self.processes();
            if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
        });
    }

    /// The process ids of this project's daemons, in order.
    #[must_use]
    pub fn daemons(&self) -> Vec<u32> {
        // The process that reports the end of a daemon has its arguments too.
        let is_daemon = |command: &str| command.contains("--data-dir") && !command.contains(" report-end ");
        let daemons = self.processes().into_iter().filter(|process| is_daemon(&process.command));
        let mut pids: Vec<_> = daemons.map(|process| process.pid).collect();
        pids.sort_unstable();
        pids
    }

    /// Signals a process of this project.
    ///
    /// # Panics
    /// When it does not belong to the project.
    pub fn signal(&self, pid: u32, signal: Signal) {
        processes::signal(&self.real_root(), pid, signal);
    }

    /// `kill -9`.
    pub fn kill(&self, pid: u32) {
        self.signal(pid, Signal::KILL);
    }

    fn real_root(&self) -> PathBuf {
        self.root.path().canonicalize().unwrap()
    }

    /// The files in a folder of the project, relative to it and sorted, folders with a `/` at the end.
    #[must_use]
    pub fn list(&self, relative: &str) -> Vec<String> {
        list(&self.path(relative))
    }

    /// The output for a failed test.
    pub(crate) fn logs_and_status(&self) -> String {
        let mut text = format!("===== cluster `{}` in {}\n", self.name, self.root.path().display());
        for process in self.processes() {
            text += &format!("process {} {}\n", process.pid, process.command);
        }
        let status = self.command(&["status", "--timeout", "5s"]).output();
        if let Ok(status) = status {
            text += &format!("{}{}", String::from_utf8_lossy(&status.stdout), String::from_utf8_lossy(&status.stderr));
        }
        for machine in self.machines() {
            let own = fs::read_to_string(machine.folder.join("machine.log")).unwrap_or_default();
            text += &format!("===== log of machine {}\n{}", machine.id, tail(&own));
            text += &format!("===== log of discod on {}\n{}", machine.id, tail(&machine.log()));
        }
        text
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.logs_and_status());
        }
        // Not with `disco destroy`, which is itself under test.
        processes::end_all(&self.real_root());
        crate::values::forget(self.root.path());
    }
}

pub(crate) fn tail(text: &str) -> &str {
    let mut from = text.len().saturating_sub(LOG_SHOWN);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    &text[from..]
}

pub(crate) fn list(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .flatten()
        .map(|entry| {
            let slash = if entry.path().is_dir() { "/" } else { "" };
            format!("{}{slash}", entry.file_name().to_string_lossy())
        })
        .collect();
    names.sort();
    names
}

pub(crate) fn logs(folder: &Path) -> String {
    tail(&logs_beneath(folder)).to_owned()
}
