//! Programs beside tasks: from any node, with and without a terminal, through a lost connection.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::time::Duration;

use disco_tests::{Project, SOON, is_alive, wait_for};
use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use serde_json::Value;

use super::support::{Bed, STACK};

/// A file of any bytes for standard input.
fn input(project: &Project, bytes: &[u8]) -> File {
    std::fs::write(project.path("input"), bytes).unwrap();
    File::open(project.path("input")).unwrap()
}

/// The standard output of a program beside a task, byte for byte, and how `disco` has ended.
fn exec(project: &Project, args: &[&str], stdin: impl Into<Stdio>) -> (Vec<u8>, String, Option<i32>) {
    let mut command = project.command(&[&["exec"], args].concat());
    let output = command.stdin(stdin).output().unwrap();
    (output.stdout, String::from_utf8_lossy(&output.stderr).into_owned(), output.status.code())
}

#[test]
fn a_program_runs_where_its_task_runs_with_the_tasks_environment() {
    let bed = Bed::deployed();
    let tasks = bed.ps();
    // From each node, to each task: forwarded or not.
    for address in bed.cluster.addresses() {
        for task in tasks.iter().filter(|task| task["service"] == "web") {
            let (id, index) = (task["id"].to_string(), task["index"].to_string());
            let target = format!("{STACK}/web/{index}");
            let args =
                ["--address", &address, &target, "--", "sh", "-c", "echo $DISCO_TASK $VERSION $DISCO_INDEX; pwd"];
            let (stdout, stderr, code) = exec(&bed.project, &args, Stdio::null());
            let stdout = String::from_utf8(stdout).unwrap();
            assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
            let (variables, folder) = stdout.split_once('\n').unwrap();
            assert_eq!(variables, format!("{id} v1 {index}"));
            assert!(folder.trim().ends_with(&format!("/tasks/{id}/files")), "{folder}");
        }
    }
    let events = bed.project.disco(&["events", "-n", "200", "-o", "jsonl"]).ok().jsonl();
    let started: Vec<&Value> = events.iter().filter(|event| event["kind"] == "exec.started").collect();
    assert!(!started.is_empty(), "{events:#?}");
    for event in started {
        assert_eq!((&event["data"]["program"], &event["data"]["service"]), (&"sh".into(), &"web".into()), "{event}");
        assert!(event["data"]["by"].as_str().is_some_and(|by| by.starts_with("operator/")), "{event}");
        assert!(!event.to_string().contains("DISCO_TASK"), "an argument may be a secret: {event}");
    }
}

#[test]
fn input_output_and_exit_codes_pass_unchanged() {
    let bed = Bed::deployed();
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let (stdout, stderr, code) = exec(&bed.project, &["web", "--", "cat"], input(&bed.project, &bytes));
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(stdout == bytes, "{} bytes returned", stdout.len());

    let (stdout, stderr, code) =
        exec(&bed.project, &["store", "--", "sh", "-c", "echo out; echo err >&2; exit 42"], Stdio::null());
    assert_eq!((stdout.as_slice(), stderr.as_str(), code), (b"out\n".as_slice(), "err\n", Some(42)));
    let code_of = |words: &[&str]| exec(&bed.project, &[&["store", "--"], words].concat(), Stdio::null());
    assert_eq!(code_of(&["sh", "-c", "kill -TERM $$"]).2, Some(143));
    // The input stays for others.
    let (stdout, _, code) = exec(&bed.project, &["-I", "store", "--", "cat"], input(&bed.project, b"text"));
    assert_eq!((stdout.as_slice(), code), (b"".as_slice(), Some(0)));

    let (_, stderr, code) = code_of(&["no-such-program"]);
    assert_eq!(code, Some(127), "{stderr}");
    assert!(stderr.contains("`no-such-program` is not in the task's PATH"), "{stderr}");
    let (_, stderr, code) = code_of(&["/etc/passwd"]);
    assert_eq!(code, Some(126), "{stderr}");
    assert!(stderr.contains("Permission denied"), "{stderr}");

    bed.project.disco(&["exec", "gone", "--", "true"]).expect(6);
    bed.project.disco(&["exec", STACK, "--", "true"]).expect(2).says(&["several services", "`shop/web`"]);
    bed.project.disco(&["exec", "web"]).expect(2);
    bed.project.disco(&["stop", "store"]).ok();
    bed.project.disco(&["exec", "store", "--", "true"]).expect(6);
}

/// The id of a process that the program has printed.
fn printed_pid(running: &mut disco_tests::Running) -> u32 {
    running.wait_for_stdout(SOON, "\n");
    running.stdout().lines().next().unwrap().trim().parse().unwrap()
}

fn wait_for_its_end(pid: u32) {
    wait_for(SOON, "the end of the program", || if is_alive(pid) { Err(format!("{pid} runs")) } else { Ok(()) });
}

#[test]
fn an_interrupt_ends_the_program_and_returns_its_exit_code() {
    let bed = Bed::deployed();
    let script = "trap 'echo cleaned; exit 9' INT; echo $$; while :; do sleep 0.05; done";
    let mut running = bed.project.start(&["exec", "web/1", "--", "sh", "-c", script]);
    let pid = printed_pid(&mut running);
    running.signal(Signal::INT);
    let output = running.wait(SOON).expect(9);
    assert!(output.stdout.ends_with("cleaned\n"), "{output}");
    wait_for_its_end(pid);

    // One that ignores it is ended by the second.
    let mut stubborn = bed.project.start(&["exec", "web/1", "--", "sh", "-c", "trap '' INT; echo $$; sleep 1000"]);
    let pid = printed_pid(&mut stubborn);
    stubborn.signal(Signal::INT);
    assert!(!stubborn.ended_within(Duration::from_millis(300)));
    stubborn.signal(Signal::INT);
    stubborn.wait(SOON).expect(130);
    wait_for_its_end(pid);
}

#[test]
fn a_program_ends_with_its_client_its_task_and_its_node() {
    let bed = Bed::deployed();
    let script = "setsid sh -c 'echo $$; trap \"\" HUP TERM INT; exec sleep 1000' & wait";
    for address in bed.cluster.addresses() {
        let mut running = bed.project.start(&["exec", "--address", &address, "web/1", "--", "sh", "-c", script]);
        let pid = printed_pid(&mut running);
        running.signal(Signal::KILL);
        wait_for_its_end(pid);
    }
    let mut running = bed.project.start(&["exec", "web/1", "--", "sh", "-c", script]);
    let pid = printed_pid(&mut running);
    bed.project.disco(&["stop", "web"]).ok();
    running.wait(SOON).expect(137).says(&["its task has ended"]);
    wait_for_its_end(pid);
}

/// A client on a terminal.
struct OnTerminal {
    child: std::process::Child,
    master: File,
    slave: OwnedFd,
    seen: Vec<u8>,
}

impl OnTerminal {
    fn start(project: &Project, args: &[&str]) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        tcsetwinsize(&master, Winsize { ws_row: 33, ws_col: 99, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let slave = || -> OwnedFd { File::options().read(true).write(true).open(&name).unwrap().into() };
        let mut command = project.command(args);
        command.stdin(slave()).stdout(slave()).stderr(slave()).env("TERM", "vt220");
        let child = command.spawn().unwrap();
        Self { child, master: File::from(master), slave: slave(), seen: Vec::new() }
    }

    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.seen).into_owned()
    }

    fn wait_for(&mut self, text: &str) {
        let deadline = std::time::Instant::now() + SOON;
        while !self.shown().contains(text) {
            let left = deadline.saturating_duration_since(std::time::Instant::now()).try_into().unwrap();
            let mut awaited = [rustix::event::PollFd::new(&self.master, rustix::event::PollFlags::IN)];
            assert!(rustix::event::poll(&mut awaited, Some(&left)).unwrap() > 0, "no `{text}`: {}", self.shown());
            let mut part = [0; 4096];
            let count = self.master.read(&mut part).unwrap();
            self.seen.extend_from_slice(&part[..count]);
        }
    }

    fn is_raw(&self) -> bool {
        !tcgetattr(&self.slave).unwrap().local_modes.contains(LocalModes::ICANON)
    }

    fn end(&mut self) -> Option<i32> {
        let code = wait_for(SOON, "the end of the client", || self.child.try_wait().unwrap().ok_or("it runs"));
        code.code()
    }
}

#[test]
fn a_program_on_a_terminal_has_its_size_and_keys_and_the_terminal_is_restored() {
    let bed = Bed::deployed();
    let mut shell = OnTerminal::start(&bed.project, &["exec", "web", "--", "sh"]);
    shell.wait_for("beside `shop/web/1`");
    shell.master.write_all(b"stty size; echo $TERM-$((40 + 2)); test -t 2 && echo on-$((1 + 1))\n").unwrap();
    shell.wait_for("vt220-42");
    shell.wait_for("on-2");
    assert!(shell.shown().contains("33 99") && shell.is_raw(), "{}", shell.shown());
    tcsetwinsize(&shell.master, Winsize { ws_row: 20, ws_col: 50, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    // The kernel signals the foreground group of a controlling terminal, which this one is not.
    rustix::process::kill_process(rustix::process::Pid::from_child(&shell.child), Signal::WINCH).unwrap();
    shell
        .master
        .write_all(b"while ! stty size | grep -q '20 50'; do sleep 0.05; done; echo size-$((2 + 3))\n")
        .unwrap();
    shell.wait_for("size-5");
    // Ctrl-C ends what the shell runs, not the client.
    shell.master.write_all(b"echo began-$((3 + 3)); sleep 1000\n").unwrap();
    shell.wait_for("began-6");
    shell.master.write_all(&[3]).unwrap();
    shell.master.write_all(b"exit 5\n").unwrap();
    assert_eq!(shell.end(), Some(5), "{}", shell.shown());
    assert!(!shell.is_raw());

    // By a signal from outside, and by the end of the task.
    for (end, code) in [(Some(Signal::TERM), 143), (Some(Signal::HUP), 129), (None, 137)] {
        let mut shell =
            OnTerminal::start(&bed.project, &["exec", "web/1", "--", "sh", "-c", "echo $$-pid; exec sleep 1000"]);
        shell.wait_for("-pid");
        assert!(shell.is_raw());
        match end {
            Some(signal) => {
                rustix::process::kill_process(rustix::process::Pid::from_child(&shell.child), signal).unwrap()
            }
            None => {
                bed.project.disco(&["restart", "web"]).ok();
            }
        }
        assert_eq!(shell.end(), Some(code), "{}", shell.shown());
        assert!(!shell.is_raw(), "{}", shell.shown());
    }
}

#[test]
fn a_lost_node_ends_the_client_and_restores_its_terminal() {
    let mut bed = Bed::deployed();
    let task = bed.ps().into_iter().find(|task| task["service"] == "web" && task["index"] == 1).unwrap();
    let on = usize::try_from(task["node"].as_u64().unwrap()).unwrap() - 1;
    let other = bed.cluster.addresses()[(on + 1) % 3].clone();
    let args = ["exec", "--address", &other, "web/1", "--", "sh", "-c", "echo $$-pid; exec sleep 1000"];
    let mut shell = OnTerminal::start(&bed.project, &args);
    shell.wait_for("-pid");
    let pid = shell.shown();
    let pid: u32 = pid.split("-pid").next().unwrap().rsplit(['\n', '\r']).next().unwrap().parse().unwrap();
    bed.cluster.nodes[on].kill();
    assert_eq!(shell.end(), Some(4), "{}", shell.shown());
    assert!(!shell.is_raw());
    wait_for_its_end(pid);
}
