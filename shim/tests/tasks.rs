//! Shims with real tasks.
#![expect(clippy::unwrap_used, reason = "a failed unwrap shows what is wrong")]

use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use disco_shim::output::{Reader, Source};
use disco_shim::{Client, Ended, Exit, Folder, Limits, Probe, Probed, Process, Spec, Start, Task, User, boottime_ms};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify;

/// Longer than anything here takes on a machine that is ten times slower.
const DEADLINE: Duration = Duration::from_secs(60);

const SHIM: &str = env!("CARGO_BIN_EXE_disco-test-shim");

struct Test {
    _temporary: tempfile::TempDir,
    folder: Folder,
    shim: Option<Child>,
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
    fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path().join("task"));
        Self { _temporary: temporary, folder, shim: None }
    }

    fn try_start(&mut self, spec: &Spec) -> Start {
        let mut command = Command::new(SHIM);
        command.arg(self.folder.path());
        let (shim, start) = Start::task(command, spec, DEADLINE).unwrap();
        self.shim = Some(shim);
        start
    }

    fn start(&mut self, spec: &Spec) -> Task {
        assert_eq!(self.try_start(spec), Start::Started);
        self.folder.task().unwrap().unwrap()
    }

    fn client(&self) -> Client {
        Client::connect(&self.folder).unwrap()
    }

    fn ended(&self) -> Exit {
        self.until("exit.json", || self.folder.exit().unwrap())
    }

    /// Waits for changes of the task's files until there is a result.
    fn until<T>(&self, what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
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

    fn text(&self, source: Source) -> String {
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
    fn printed(&self, what: &str) {
        self.until(what, || self.text(Source::Output).contains(what).then_some(()));
    }
}

/// Waits until a descriptor is readable, or fails at the deadline.
fn wait_for(descriptor: impl AsFd, deadline: Instant, what: &str) {
    let left = deadline.saturating_duration_since(Instant::now());
    let mut awaited = [PollFd::new(&descriptor, PollFlags::IN)];
    let ready = poll(&mut awaited, Some(&left.try_into().unwrap())).unwrap();
    assert!(ready > 0, "waited {DEADLINE:?} for {what}");
}

/// Waits until a process has ended.
fn wait_for_end(process: &Process) {
    if let Some(descriptor) = process.open().unwrap() {
        wait_for(descriptor, Instant::now() + DEADLINE, "the end of a process");
    }
    assert!(!process.runs().unwrap());
}

fn runs(pid: i32) -> bool {
    Process::find(pid).unwrap().is_some_and(|process| process.runs().unwrap())
}

fn sh(script: &str) -> Spec {
    let mut spec = Spec::new("/bin/sh", "/");
    spec.args = vec!["-c".to_owned(), script.to_owned()];
    spec.environment = vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())];
    spec
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The group is named after this process, so that no two runs meet.
fn in_group(mut spec: Spec, name: &str, limits: Limits) -> Spec {
    spec.cgroup = Some(format!("disco-test-shim-{}/{name}", std::process::id()).into());
    spec.limits = limits;
    spec
}

#[test]
fn output_and_exit_status_are_kept() {
    let mut test = Test::new();
    test.start(&sh("echo out; echo err >&2; printf end; exit 3"));
    let exit = test.ended();
    assert_eq!((exit.code, exit.signal, exit.ended), (Some(3), None, Ended::ByItself));
    assert_eq!((test.text(Source::Output), test.text(Source::Error)), ("out\nend".to_owned(), "err\n".to_owned()));
    assert_eq!((exit.dropped_bytes, exit.left, exit.out_of_memory), (0, 0, false));
}

#[test]
fn a_signal_that_ends_the_task_is_named() {
    let mut test = Test::new();
    test.start(&sh("kill -SEGV $$"));
    let exit = test.ended();
    assert_eq!((exit.code, exit.signal.as_deref(), exit.ended), (None, Some("SIGSEGV"), Ended::ByItself));
}

#[test]
fn a_stop_asks_first_and_kills_after_the_grace_time() {
    let mut polite = Test::new();
    polite.start(&sh("trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.05; done"));
    polite.printed("ready");
    polite.client().stop(None).unwrap();
    let exit = polite.ended();
    assert_eq!((exit.code, exit.ended), (Some(0), Ended::Stopped));
    assert!(polite.text(Source::Output).ends_with("bye\n"));

    let mut stubborn = Test::new();
    stubborn.start(&sh("trap '' TERM; echo ready; while :; do sleep 0.05; done"));
    stubborn.printed("ready");
    stubborn.client().stop(Some(Duration::from_millis(100))).unwrap();
    let exit = stubborn.ended();
    assert_eq!((exit.signal.as_deref(), exit.ended), (Some("SIGKILL"), Ended::Killed));
}

#[test]
fn a_second_stop_may_only_shorten_the_grace_time() {
    let mut test = Test::new();
    test.start(&sh("trap '' TERM; echo ready; while :; do sleep 0.05; done"));
    test.printed("ready");
    let mut client = test.client();
    client.stop(Some(Duration::from_millis(100))).unwrap();
    client.stop(Some(Duration::from_secs(3_600))).unwrap();
    assert_eq!(test.ended().ended, Ended::Killed);
}

#[test]
fn another_signal_reaches_the_task_and_an_unknown_one_is_refused() {
    let mut test = Test::new();
    test.start(&sh("trap 'echo again' HUP; echo ready; while :; do sleep 0.05; done"));
    test.printed("ready");
    let mut client = test.client();
    client.signal("SIGHUP").unwrap();
    test.printed("again");
    let refused = client.signal("SIGNONSENSE").unwrap_err();
    assert!(refused.to_string().contains("SIGNONSENSE"), "{refused}");
    assert!(test.folder.exit().unwrap().is_none());
}

#[test]
fn what_the_task_left_in_sessions_of_its_own_ends_with_it() {
    let mut test = Test::new();
    let script = "trap 'exit 0' HUP; setsid sh -c 'sleep 3600 & echo $!; wait' & sh -c 'sleep 3600 & echo $!'
        while :; do sleep 0.05; done";
    test.start(&sh(script));
    test.until("both processes", || (test.text(Source::Output).lines().count() == 2).then_some(()));
    test.client().signal("SIGHUP").unwrap();
    let exit = test.ended();
    assert_eq!((exit.code, exit.left), (Some(0), 0));
    let text = test.text(Source::Output);
    let pids: Vec<i32> = text.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(pids.len(), 2);
    for pid in pids {
        assert!(!runs(pid), "process {pid} was left");
    }
}

#[test]
fn a_fence_that_is_not_moved_ends_the_task() {
    let mut test = Test::new();
    let mut spec = sh("trap '' TERM; echo ready; while :; do sleep 0.05; done");
    spec.fence_ms = Some(boottime_ms() + 3_600_000);
    test.start(&spec);
    test.printed("ready");
    let mut client = test.client();
    // Moved on, and then to a time that passes.
    client.fence(Some(boottime_ms() + 7_200_000)).unwrap();
    let at = boottime_ms() + 200;
    client.fence(Some(at)).unwrap();
    let exit = test.ended();
    assert!(boottime_ms() >= at);
    assert_eq!((exit.signal.as_deref(), exit.ended), (Some("SIGKILL"), Ended::Fenced));
}

#[test]
fn a_fence_holds_while_a_stop_waits() {
    let mut test = Test::new();
    test.start(&sh("trap '' TERM; echo ready; while :; do sleep 0.05; done"));
    test.printed("ready");
    let mut client = test.client();
    client.stop(Some(Duration::from_secs(3_600))).unwrap();
    client.fence(Some(boottime_ms() + 100)).unwrap();
    assert_eq!(test.ended().ended, Ended::Fenced);
}

#[test]
fn the_end_of_the_daemon_is_not_seen_by_the_task() {
    let mut test = Test::new();
    let spec = sh("trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.05; done");
    let mut daemon = Command::new(SHIM)
        .arg("start")
        .arg(test.folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    daemon.stdin.take().unwrap().write_all(&serde_json::to_vec(&spec).unwrap()).unwrap();
    let mut line = String::new();
    BufReader::new(daemon.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "\"started\"\n");
    daemon.kill().unwrap();
    daemon.wait().unwrap();

    // A later daemon finds it by its folder.
    let task = test.folder.task().unwrap().unwrap();
    assert!(task.shim.runs().unwrap() && task.process.runs().unwrap());
    test.printed("ready");
    test.client().stop(None).unwrap();
    let exit = test.ended();
    assert_eq!((exit.code, exit.ended), (Some(7), Ended::Stopped));
    assert!(test.text(Source::Output).ends_with("bye\n"));
    wait_for_end(&task.shim);
    test.shim = None;
}

#[test]
fn a_task_does_not_outlive_its_shim() {
    let mut test = Test::new();
    let task = test.start(&sh("echo ready; exec sleep 3600"));
    test.printed("ready");
    test.shim.as_mut().unwrap().kill().unwrap();
    wait_for_end(&task.process);
    assert!(test.folder.exit().unwrap().is_none());
}

#[test]
fn a_task_inherits_nothing() {
    let mut test = Test::new();
    let mut spec = sh(
        "echo pwd=$PWD; env; ls /proc/self/fd | wc -l; grep -E '^Sig(Blk|Ign)' /proc/self/status; ulimit -n; ulimit -c",
    );
    spec.working_folder = "/usr".into();
    spec.environment.push(("GREETING".to_owned(), "hello world".to_owned()));
    spec.limits.open_files = Some(123);
    test.start(&spec);
    assert_eq!(test.ended().code, Some(0), "{}", test.text(Source::Error));
    let text = test.text(Source::Output);
    assert!(text.contains("pwd=/usr\n") && text.contains("GREETING=hello world\n"), "{text}");
    assert!(!text.contains("CARGO"), "{text}");
    // Standard input, output, error, and the folder that `ls` reads.
    assert!(text.lines().any(|line| line.trim() == "4"), "{text}");
    assert!(text.contains("SigBlk:\t0000000000000000\n"), "{text}");
    assert!(text.contains("SigIgn:\t0000000000000000\n"), "{text}");
    assert!(text.ends_with("123\n0\n"), "{text}");
}

#[test]
fn a_task_that_cannot_start_says_why_and_may_be_tried_again() {
    let mut test = Test::new();
    let reason = |start| match start {
        Start::Failed(why) => why,
        Start::Started => panic!("it was started"),
    };
    let why = reason(test.try_start(&Spec::new("/nonexistent/program", "/")));
    assert!(why.contains("/nonexistent/program") && why.contains("No such file"), "{why}");
    let why = reason(test.try_start(&Spec::new("/bin/true", "/nonexistent")));
    assert!(why.contains("working folder") && why.contains("/nonexistent"), "{why}");
    let why = reason(test.try_start(&Spec::new("/etc/passwd", "/")));
    assert!(why.contains("ermission denied"), "{why}");
    test.start(&Spec::new("/bin/true", "/"));
    assert_eq!(test.ended().code, Some(0));
}

#[test]
fn a_file_that_is_no_program_is_not_given_to_a_shell() {
    let mut test = Test::new();
    let program = test._temporary.path().join("program");
    fs_err::write(&program, "echo a shell runs this").unwrap();
    fs_err::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let Start::Failed(why) = test.try_start(&Spec::new(&program, "/")) else { panic!("it was started") };
    assert!(why.contains("Exec format error"), "{why}");
}

#[test]
fn a_shim_that_does_not_start_its_task_in_time_is_killed() {
    let test = Test::new();
    let mut command = Command::new("/bin/sh");
    let pid = test.folder.path().with_extension("pid");
    command.args(["-c", "echo $$ >\"$0\"; exec sleep 3600"]).arg(&pid);
    let mut spec = sh("true");
    // More than a pipe holds, which nobody reads.
    spec.args.push("x".repeat(1 << 20));
    // Enough for the shell to write its process id.
    let limit = Duration::from_secs(5);
    let Err(error) = Start::task(command, &spec, limit) else { panic!("it was started") };
    assert_eq!(error.to_string(), "the shim did not start the task within 5s");
    let pid: i32 = fs_err::read_to_string(&pid).unwrap().trim().parse().unwrap();
    if let Some(process) = Process::find(pid).unwrap() {
        wait_for_end(&process);
    }
}

#[test]
fn what_a_killed_shim_left_is_ended() {
    let mut test = Test::new();
    let mut spec = sh("setsid sleep 3600 & echo $!; echo ready; exec sleep 3600");
    let mark = ("MARK".to_owned(), format!("{}", test.folder.path().display()));
    spec.environment.push(mark.clone());
    let task = test.start(&spec);
    test.printed("ready");
    let marks = [format!("{}={}", mark.0, mark.1)];
    let left: i32 = test.text(Source::Output).lines().next().unwrap().parse().unwrap();
    let left = Process::find(left).unwrap().unwrap();
    // A shim that runs ends its task itself.
    assert_eq!(test.folder.clear(&marks).unwrap(), 0);
    assert!(task.process.runs().unwrap() && left.runs().unwrap());
    test.shim.as_mut().unwrap().kill().unwrap();
    test.shim.as_mut().unwrap().wait().unwrap();
    wait_for_end(&task.process);
    assert_eq!(test.folder.clear(&marks).unwrap(), 0);
    wait_for_end(&left);
}

/// Runs a probe in a process of its own.
fn probe(script: &str, limit_ms: u64) -> Probed {
    let mut command = Command::new(SHIM);
    let mut child = command.arg("probe").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let probe = Probe { command: sh(script), limit_ms };
    child.stdin.take().unwrap().write_all(&serde_json::to_vec(&probe).unwrap()).unwrap();
    let output = child.wait_with_output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_probe_shows_how_its_command_ended_and_leaves_nothing() {
    let ended = |code, signal: Option<&str>, output: &str| Probed::Ended {
        code,
        signal: signal.map(str::to_owned),
        output: output.to_owned(),
    };
    assert_eq!(probe("echo well", 60_000), ended(Some(0), None, "well\n"));
    assert_eq!(probe("echo bad >&2; exit 3", 60_000), ended(Some(3), None, "bad\n"));
    assert_eq!(probe("kill -SEGV $$", 60_000), ended(None, Some("SIGSEGV"), ""));
    let Probed::Ended { output, .. } = probe("head -c 100000 /dev/zero | tr '\\0' x; echo end", 60_000) else {
        panic!()
    };
    assert!(output.ends_with("xxxend\n") && output.len() == 1_024, "{}", output.len());
    let script = "setsid sleep 3600 & echo $!; (setsid sleep 3600 & echo $!); wait";
    let Probed::TimedOut { output } = probe(script, 3_000) else { panic!("it ended") };
    let pids: Vec<i32> = output.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(pids.len(), 2, "{output}");
    let Probed::Ended { output, .. } = probe("setsid sleep 3600 >/dev/null 2>&1 & echo $!", 60_000) else { panic!() };
    for pid in pids.into_iter().chain([output.trim().parse().unwrap()]) {
        assert!(!runs(pid), "process {pid} was left");
    }
}

#[test]
fn a_task_is_never_started_twice() {
    let mut test = Test::new();
    test.start(&Spec::new("/bin/true", "/"));
    test.ended();
    test.shim.as_mut().unwrap().wait().unwrap();
    assert!(
        matches!(test.try_start(&Spec::new("/bin/true", "/")), Start::Failed(why) if why.contains("started before"))
    );
}

#[test]
fn output_beyond_the_bound_pushes_out_the_oldest() {
    let mut test = Test::new();
    let mut spec = sh("head -c 20000000 /dev/zero | tr '\\0' x; echo; echo last");
    spec.output_bytes = 1 << 20;
    test.start(&spec);
    test.ended();
    let kept: u64 =
        fs_err::read_dir(test.folder.output()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    assert!(kept <= 1 << 20, "{kept} bytes kept");
    assert!(test.text(Source::Output).ends_with("\nlast\n"));
}

#[test]
fn random_bytes_on_the_socket_are_refused_and_harm_nothing() {
    let mut test = Test::new();
    test.start(&sh("echo ready; exec sleep 3600"));
    test.printed("ready");
    let socket = test.folder.path().join("socket");
    let mut bytes = vec![b'x'; 100_000];
    bytes.iter_mut().enumerate().for_each(|(n, byte)| *byte = u8::try_from(n * 31 % 251).unwrap());
    let mut stream = std::os::unix::net::UnixStream::connect(&socket).unwrap();
    // The shim may close before all is written.
    let _refused = stream.write_all(&bytes);
    drop(stream);
    let mut stream = std::os::unix::net::UnixStream::connect(&socket).unwrap();
    stream.write_all(b"{\"dance\":{}}\n").unwrap();
    let mut answer = String::new();
    BufReader::new(&stream).read_line(&mut answer).unwrap();
    assert!(answer.starts_with("{\"refused\":\"not a request"), "{answer}");
    test.client().stop(Some(Duration::ZERO)).unwrap();
    test.ended();
}

#[test]
fn a_task_runs_as_the_given_user() {
    if !is_root() {
        println!("skipped: a_task_runs_as_the_given_user: needs root");
        return;
    }
    let mut test = Test::new();
    let mut spec = sh("id -u; id -g; id -G; cat /proc/self/oom_score_adj; exec sleep 3600");
    spec.user = Some(User { uid: 65_534, gid: 65_533, groups: vec![65_532] });
    let task = test.start(&spec);
    test.printed("65534\n65533\n65533 65532\n0\n");
    // The change of user has not cut the tie to the shim.
    test.shim.as_mut().unwrap().kill().unwrap();
    wait_for_end(&task.process);
}

#[test]
fn a_task_that_takes_too_much_memory_is_killed_and_the_reason_is_known() {
    let mut test = Test::new();
    let limits = Limits { memory: Some(32 << 20), ..Limits::default() };
    // `tail` keeps the last line, which never ends.
    let script = "trap 'go=1' HUP; echo ready; while [ -z \"$go\" ]; do sleep 0.05; done; tail /dev/zero & wait $!";
    let task = test.start(&in_group(sh(script), "memory", limits));
    if task.cgroup.is_none() || task.not_limited.iter().any(|why| why.starts_with("memory")) {
        println!(
            "skipped: a_task_that_takes_too_much_memory_is_killed_and_the_reason_is_known: {:?}",
            task.not_limited
        );
        return;
    }
    test.printed("ready");
    test.client().signal("SIGHUP").unwrap();
    let exit = test.ended();
    assert!(exit.out_of_memory, "{exit:?}");
    assert_groups_are_gone("memory");
}

#[test]
fn processes_are_limited() {
    let mut test = Test::new();
    let limits = Limits { pids: Some(8), cpu_millis: Some(500), ..Limits::default() };
    let script = "n=0; while [ $n -lt 30 ]; do sleep 3600 & n=$((n+1)); done; echo all";
    let task = test.start(&in_group(sh(script), "pids", limits));
    if task.cgroup.is_none() || task.not_limited.iter().any(|why| why.starts_with("pids")) {
        println!("skipped: processes_are_limited: {:?}", task.not_limited);
        return;
    }
    let exit = test.ended();
    assert_ne!(exit.code, Some(0), "{}", test.text(Source::Error));
    assert_eq!(exit.left, 0);
    assert_groups_are_gone("pids");
}

fn assert_groups_are_gone(name: &str) {
    let own = format!("disco-test-shim-{}", std::process::id());
    for hierarchy in ["", "memory", "pids", "cpu"] {
        let group = Path::new("/sys/fs/cgroup").join(hierarchy).join(&own).join(name);
        assert!(!group.exists(), "{} is left", group.display());
        // The last test of this process removes what is above.
        let _others_use_it = std::fs::remove_dir(Path::new("/sys/fs/cgroup").join(hierarchy).join(&own));
    }
}

#[test]
fn a_full_disk_holds_up_no_task_and_its_end_is_recorded() {
    if !is_root() {
        println!("skipped: a_full_disk_holds_up_no_task_and_its_end_is_recorded: needs root");
        return;
    }
    let mut test = Test::new();
    let disk = Disk::mount(test._temporary.path().join("disk"), "size=1m");
    test.folder = Folder::new(disk.0.join("task"));
    fs_err::create_dir(test.folder.path()).unwrap();
    // At last the task takes what room is left itself.
    let mut spec = sh("head -c 8000000 /dev/zero | tr '\\0' x; cat /dev/zero >rest; exit 5");
    spec.working_folder = disk.0.clone();
    spec.output_bytes = 100 << 20;
    test.start(&spec);
    let exit = test.ended();
    assert_eq!(exit.code, Some(5));
    assert!(exit.dropped_bytes > 6_000_000, "{exit:?}");
    test.shim.as_mut().unwrap().wait().unwrap();
}

struct Disk(std::path::PathBuf);

impl Disk {
    fn mount(at: std::path::PathBuf, options: &str) -> Self {
        fs_err::create_dir(&at).unwrap();
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&at).status().unwrap();
        assert!(status.success());
        Self(at)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _reported = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
