//! Sessions with real programs.
#![expect(clippy::unwrap_used, reason = "a failed unwrap shows what is wrong")]

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use disco_shim::session::{Answer, Finish, Frames, INPUT, Request, Session, Size};
use disco_shim::{Process, Spec};
use rustix::event::{PollFd, PollFlags, poll};

/// Longer than anything here takes on a machine that is ten times slower.
const DEADLINE: Duration = Duration::from_secs(60);

/// A session beside a process that stands for a task.
struct Test {
    task: Child,
    session: Child,
    input: Option<ChildStdin>,
    output: ChildStdout,
    frames: Frames,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    taken: usize,
}

impl Drop for Test {
    fn drop(&mut self) {
        self.input = None;
        let _ended = self.task.kill();
        let _reaped = self.task.wait();
        let _reaped = self.session.wait();
    }
}

impl Test {
    fn new(program: Spec, terminal: Option<Size>) -> Self {
        let task = Command::new("sleep").arg("1000").spawn().unwrap();
        let process = Process::find(task.id().cast_signed()).unwrap().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_disco-test-shim"));
        command.arg("session").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut session = command.spawn().unwrap();
        let (input, output) = (session.stdin.take(), session.stdout.take().unwrap());
        let (stdout, stderr) = (Vec::new(), Vec::new());
        let mut test = Self { task, session, input, output, frames: Frames::default(), stdout, stderr, taken: 0 };
        test.send(&Request::Start(Box::new(Session { program, task: process, terminal })));
        test
    }

    fn sh(script: &str) -> Self {
        Self::new(sh(script), None)
    }

    fn send(&mut self, request: &Request) {
        self.input.as_mut().unwrap().write_all(&request.encode().unwrap()).unwrap();
    }

    fn answer(&mut self) -> Answer {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(answer) = self.frames.answer().unwrap() {
                return answer;
            }
            let left = deadline.saturating_duration_since(Instant::now()).try_into().unwrap();
            let ready = poll(&mut [PollFd::new(&self.output, PollFlags::IN)], Some(&left)).unwrap();
            assert!(ready > 0, "no answer; so far: {:?}", String::from_utf8_lossy(&self.stdout));
            let mut buffer = [0; 4096];
            let count = self.output.read(&mut buffer).unwrap();
            assert!(count > 0, "the session has ended without a result");
            self.frames.add(&buffer[..count]);
        }
    }

    /// The end, after all output.
    fn end(&mut self) -> Finish {
        loop {
            match self.answer() {
                Answer::Started => {}
                Answer::Output { error: false, bytes } => self.stdout.extend(bytes),
                Answer::Output { error: true, bytes } => self.stderr.extend(bytes),
                Answer::Taken(count) => self.taken += count as usize,
                Answer::Ended(finish) => return finish,
            }
        }
    }

    /// Waits until the program has printed this.
    fn printed(&mut self, text: &str) {
        while !String::from_utf8_lossy(&self.stdout).contains(text) {
            match self.answer() {
                Answer::Output { bytes, .. } => self.stdout.extend(bytes),
                Answer::Ended(finish) => panic!("{finish:?} before `{text}`"),
                Answer::Started | Answer::Taken(_) => {}
            }
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// The process whose id the program has printed, up to the end of the line.
    fn process(&self) -> Process {
        Process::find(self.text().lines().next().unwrap().trim().parse().unwrap()).unwrap().unwrap()
    }
}

fn sh(script: &str) -> Spec {
    let mut spec = Spec::new("/bin/sh", "/");
    spec.args = vec!["-c".to_owned(), script.to_owned()];
    spec.environment = vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned()), ("COLOUR".to_owned(), "red".to_owned())];
    spec
}

fn ended(code: i32) -> Finish {
    Finish::Ended { code: Some(code), signal: None }
}

fn wait_for_end(process: &Process) {
    if let Some(descriptor) = process.open().unwrap() {
        let ready = poll(&mut [PollFd::new(&descriptor, PollFlags::IN)], Some(&DEADLINE.try_into().unwrap())).unwrap();
        assert!(ready > 0, "process {} does not end", process.pid);
    }
}

#[test]
fn output_is_apart_and_whole_and_the_exit_code_is_the_programs_own() {
    let mut test = Test::sh("printf '\\000\\377out'; echo $COLOUR >&2; exit 7");
    assert_eq!(test.end(), ended(7));
    assert_eq!((test.stdout.as_slice(), test.stderr.as_slice()), (b"\0\xffout".as_slice(), b"red\n".as_slice()));
    let mut killed = Test::sh("kill -SEGV $$");
    assert_eq!(killed.end(), Finish::Ended { code: None, signal: Some(11) });
}

#[test]
fn input_reaches_the_program_to_its_end() {
    let mut test = Test::sh("cat");
    let bytes: Vec<u8> = (0..200_000_u32).map(|at| (at % 251) as u8).collect();
    for part in bytes.chunks(30_000) {
        test.send(&Request::Input(part.to_vec()));
    }
    test.send(&Request::EndOfInput);
    assert_eq!(test.end(), ended(0));
    assert!(test.stdout == bytes, "{} bytes returned", test.stdout.len());
    assert_eq!(test.taken, bytes.len());
}

#[test]
fn a_signal_arrives_although_the_program_reads_nothing() {
    let mut test = Test::sh("trap 'exit 4' INT; echo ready; while :; do sleep 0.05; done");
    test.printed("ready");
    for _ in 0..INPUT / 32_768 {
        test.send(&Request::Input(vec![b'x'; 32_768]));
    }
    test.send(&Request::Signal("SIGINT".to_owned()));
    assert_eq!(test.end(), ended(4));
}

#[test]
fn a_program_that_closes_its_input_goes_on() {
    let mut test =
        Test::sh("exec <&-; trap 'go=1' HUP; echo closed; while [ -z \"$go\" ]; do sleep 0.05; done; echo done");
    test.printed("closed");
    test.send(&Request::Input(vec![b'x'; 100_000]));
    test.send(&Request::EndOfInput);
    // It ends when all its input was taken, not before.
    while test.taken < 100_000 {
        match test.answer() {
            Answer::Taken(count) => test.taken += count as usize,
            other => panic!("{other:?} before all was taken"),
        }
    }
    test.send(&Request::Signal("SIGHUP".to_owned()));
    assert_eq!(test.end(), ended(0));
    assert!(test.text().contains("done"), "{}", test.text());
    assert_eq!(test.taken, 100_000);
}

#[test]
fn a_program_has_a_terminal_with_its_size_and_its_keys() {
    // `exec`: a signal that reaches dash 0.5.12 after it forked and before the program runs ends neither of them.
    let mut test = Test::new(
        sh("tty; stty size; read line; stty size; echo got $line; exec sleep 100"),
        Some(Size { columns: 99, rows: 33 }),
    );
    test.printed("33 99");
    test.send(&Request::Resize(Size { columns: 50, rows: 20 }));
    test.send(&Request::Input(b"word\n".to_vec()));
    test.printed("got word");
    assert!(test.text().contains("/dev/pts/") && test.text().contains("20 50"), "{}", test.text());
    // Ctrl-C.
    test.send(&Request::Input(vec![3]));
    assert_eq!(test.end(), Finish::Ended { code: None, signal: Some(2) });
}

#[test]
fn the_end_of_input_reaches_a_program_on_a_terminal() {
    let mut test = Test::new(sh("stty -echo; echo ready; cat; echo end"), Some(Size { columns: 80, rows: 24 }));
    test.printed("ready");
    test.send(&Request::Input(b"no newline".to_vec()));
    test.send(&Request::EndOfInput);
    assert_eq!(test.end(), ended(0));
    assert!(test.text().replace('\r', "").ends_with("no newlineend\n"), "{:?}", test.text());
}

#[test]
fn nothing_of_the_program_is_left_when_the_client_is_gone() {
    let mut test = Test::sh("setsid sh -c 'echo $$; trap \"\" HUP TERM INT; exec sleep 1000' & wait");
    test.printed("\n");
    let process = test.process();
    test.input = None;
    wait_for_end(&process);
    assert!(test.session.wait().unwrap().success());
}

#[test]
fn nothing_of_the_program_is_left_when_it_has_ended() {
    let mut test = Test::sh("setsid sh -c 'echo $$; exec sleep 1000' & read line; exit 3");
    test.printed("\n");
    let process = test.process();
    test.send(&Request::Input(b"go\n".to_vec()));
    assert_eq!(test.end(), ended(3));
    assert!(!process.runs().unwrap());
}

#[test]
fn the_program_ends_with_its_task() {
    let mut test = Test::sh("echo ready; exec sleep 1000");
    test.printed("ready");
    test.task.kill().unwrap();
    assert_eq!(test.end(), Finish::TaskEnded);
}

#[test]
fn output_that_is_not_read_waits_and_is_bounded() {
    let mut test = Test::sh("dd if=/dev/zero bs=65536 count=160 2>/dev/null; exit 5");
    // Not a byte is read until the program stands still, as all buffers are full.
    assert_eq!(test.end(), ended(5));
    assert_eq!(test.stdout.len(), 160 * 65_536);
}

#[test]
fn what_cannot_be_executed_is_told_from_what_is_missing() {
    let missing = |program: &str| match Test::new(Spec::new(program, "/"), None).end() {
        Finish::NotExecuted { missing, why } => {
            assert!(why.contains(program), "{why}");
            missing
        }
        other => panic!("{other:?}"),
    };
    assert!(missing("/nowhere/at-all"));
    assert!(!missing("/etc/passwd"));
    assert!(!missing("/etc"));
}
