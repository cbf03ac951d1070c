//! Tasks that outlive the daemon, and none that outlives its shim.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use disco_shim::output::Source;
use disco_shim::{Ended, Process, Spec, Start};

use crate::harness::{SHIM, Test, sh, wait_for_end};

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
