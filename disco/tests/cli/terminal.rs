//! Output on a terminal, tested with a pseudo-terminal.

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::OwnedFd,
    process::Stdio,
};

use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};

use super::support::{Folder, Ran};

/// Runs the binary with a terminal on all three streams, and types `keys` at once. Standard output and standard error are mixed, as
/// on a real terminal.
fn on_terminal(folder: &Folder, args: &[&str], keys: &str, env: &[(&str, &str)]) -> Ran {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    tcsetwinsize(&master, Winsize { ws_row: 40, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    let slave = || -> OwnedFd { File::options().read(true).write(true).open(&name).unwrap().into() };
    let mut command = folder.command(args);
    command.stdin(Stdio::from(slave())).stdout(Stdio::from(slave())).stderr(Stdio::from(slave())).env("TERM", "xterm");
    command.envs(env.iter().copied());
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut master = File::from(master);
    master.write_all(keys.as_bytes()).unwrap();
    let mut seen = Vec::new();
    let mut chunk = [0; 4096];
    // Reading fails when the last process with the terminal has exited.
    while let Ok(count @ 1..) = master.read(&mut chunk) {
        seen.extend_from_slice(&chunk[..count]);
    }
    let code = child.wait().unwrap().code().unwrap_or(-1);
    Ran { code, stdout: String::from_utf8_lossy(&seen).into_owned(), stderr: String::new() }
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
