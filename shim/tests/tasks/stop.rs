//! How tasks end: by themselves, asked, killed, and by their fence.

use std::time::Duration;

use disco_shim::output::Source;
use disco_shim::{Ended, boottime_ms};

use crate::harness::{Test, runs, sh};

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
    // Long enough for the second one to come before the end on a busy machine too.
    client.stop(Some(Duration::from_secs(3))).unwrap();
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
