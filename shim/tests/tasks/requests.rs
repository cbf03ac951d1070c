//! Probes and what else comes by the shim's socket.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use disco_shim::{Probe, Probed};

use crate::harness::{SHIM, Test, runs, sh};

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
