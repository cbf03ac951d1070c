//! Output on a terminal, tested with a pseudo-terminal.

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::OwnedFd,
    process::{Child, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rustix::{
    process::{Pid, Signal, kill_process},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};

use super::support::{Folder, Ran};

/// Time for the binary to ask, and to end after a signal, on a slow machine.
const SOON: Duration = Duration::from_secs(60);

/// The binary with a terminal on all three streams. Standard output and standard error are mixed, as on a real terminal.
struct OnTerminal {
    child: Child,
    master: File,
    seen: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl OnTerminal {
    fn start(folder: &Folder, args: &[&str], env: &[(&str, &str)]) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        tcsetwinsize(&master, Winsize { ws_row: 40, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let slave = || -> OwnedFd { File::options().read(true).write(true).open(&name).unwrap().into() };
        let mut command = folder.command(args);
        command
            .stdin(Stdio::from(slave()))
            .stdout(Stdio::from(slave()))
            .stderr(Stdio::from(slave()))
            .env("TERM", "xterm");
        command.envs(env.iter().copied());
        let child = command.spawn().unwrap();
        drop(command);
        let master = File::from(master);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut source = master.try_clone().unwrap();
        let sink = Arc::clone(&seen);
        let reader = std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            // Reading fails when the last process with the terminal has exited.
            while let Ok(count @ 1..) = source.read(&mut chunk) {
                sink.lock().unwrap().extend_from_slice(&chunk[..count]);
            }
        });
        Self { child, master, seen, reader }
    }

    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap()).into_owned()
    }

    fn wait_for(&self, text: &str) {
        super::support::wait_for(text, || {
            Some(()).filter(|()| self.shown().contains(text)).ok_or_else(|| self.shown())
        });
    }

    fn send(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn end(mut self) -> Ran {
        let deadline = Instant::now() + SOON;
        let code = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status.code().unwrap_or(-1);
            }
            if Instant::now() > deadline {
                self.child.kill().unwrap();
                panic!("it does not end: {}", self.shown());
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        self.reader.join().unwrap();
        let stdout = String::from_utf8_lossy(&self.seen.lock().unwrap()).into_owned();
        Ran { code, stdout, stderr: String::new() }
    }
}

/// Runs the binary on a terminal, and types `keys` at once.
fn on_terminal(folder: &Folder, args: &[&str], keys: &str, env: &[(&str, &str)]) -> Ran {
    let mut running = OnTerminal::start(folder, args, env);
    running.master.write_all(keys.as_bytes()).unwrap();
    running.end()
}

fn asking() -> Folder {
    Folder::with_client(
        "export async function init() {
  return new Cluster({ name: 'x', provider: await LocalProvider.init({ name: 'x' }) });
}
export async function bootstrap(cluster) {
  const answer = await ask('Shall it be?');
  console.log(`answer: ${answer}`);
}
export async function many(cluster) {
  return await ask('How many?', { default: 3 });
}
",
    )
}

#[test]
fn a_question_is_asked_and_answered() {
    let ran = on_terminal(&asking(), &["bootstrap"], "y\n", &[]).expect(0);
    assert!(ran.stdout.contains("Shall it be? [y/N]") && ran.stdout.contains("answer: true"), "{ran}");
    let ran = on_terminal(&asking(), &["do", "many"], "many\n5\n", &[]).expect(0);
    assert!(ran.stdout.contains("How many? [3]") && ran.stdout.contains("5\r\n"), "{ran}");
}

#[test]
fn a_signal_ends_a_question_at_once_and_nothing_was_begun() {
    let own = Folder::expired("export async function init() {}");
    for (folder, args, question) in
        [(asking(), vec!["bootstrap"], "Shall it be? [y/N]"), (own, vec!["destroy"], "Destroy the cluster")]
    {
        for (signal, name) in [(Signal::INT, "interrupt"), (Signal::TERM, "terminated")] {
            let running = OnTerminal::start(&folder, &args, &[]);
            running.wait_for(question);
            running.send(signal);
            let ran = running.end().expect(8);
            for text in [&format!("cancelled ({name})"), "nothing was begun", "hint:"] {
                assert!(ran.stdout.contains(text), "`{text}` is missing for {args:?}: {ran}");
            }
        }
        let limited = [args, vec!["--timeout", "8s"]].concat();
        let ran = OnTerminal::start(&folder, &limited, &[]).end().expect(9);
        for text in [question, "not done after 8s", "nothing was begun"] {
            assert!(ran.stdout.contains(text), "`{text}` is missing for {limited:?}: {ran}");
        }
    }
}

#[test]
fn no_is_a_cancellation() {
    let ran = on_terminal(&asking(), &["bootstrap"], "n\n", &[]).expect(8);
    assert!(ran.stdout.contains("answer: false") && ran.stdout.contains("no cluster was created"), "{ran}");
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let folder = asking();
    let colored = on_terminal(&folder, &["status"], "", &[]).expect(6);
    assert!(colored.stdout.contains("\x1b["), "{colored}");
    for (args, env) in [
        (vec!["status"], vec![("NO_COLOR", "1")]),
        (vec!["--plain", "status"], vec![]),
        (vec!["status"], vec![("CI", "true")]),
        (vec!["status"], vec![("DISCO_PLAIN", "1")]),
    ] {
        let plain = on_terminal(&folder, &args, "", &env).expect(6);
        assert!(!plain.stdout.contains('\x1b'), "{args:?} {env:?}: {plain}");
    }
}

#[test]
fn plain_lines_carry_the_time() {
    let folder = asking();
    let plain = on_terminal(&folder, &["--plain", "bootstrap", "-y"], "", &[]).expect(0);
    let line = plain.stdout.lines().find(|line| line.contains("answer: true")).expect("the script's line");
    assert!(line.starts_with("20") && line.contains("Z answer"), "{plain}");
    let live = on_terminal(&folder, &["bootstrap", "-y"], "", &[]).expect(0);
    assert!(live.stdout.lines().any(|line| line.trim_end().ends_with("answer: true") && !line.contains('Z')), "{live}");
}
