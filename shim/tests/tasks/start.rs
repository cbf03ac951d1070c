//! What a task starts with, and what keeps it from starting.

use std::process::Command;
use std::time::Duration;

use disco_shim::output::Source;
use disco_shim::{Process, Spec, Start, User};

use crate::harness::{Test, is_root, sh, wait_for_end};

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
    let program = test.temporary.path().join("program");
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
