//! From the start to the end.

use super::*;

#[tokio::test]
async fn a_task_gets_its_files_ports_and_environment_and_nothing_else() {
    let mut test = Test::new("cat conf/greeting; env; pwd; echo ready; exec sleep 3600");
    test.file("conf/greeting", "hello from a file\n", 0o644);
    let port = free_port();
    test.order.task.ports = vec![port.clone(), TaskPort { target: 9_000, ..free_port() }];
    test.spec(|spec| {
        spec.environment.insert("MODE".to_owned(), "test mode".to_owned());
        spec.environment.insert("DISCO_STACK".to_owned(), "the service says".to_owned());
    });
    test.begin();
    let state = test.running().await;
    test.printed(0, "ready").await;
    assert!(state.healthy && state.healthy_since.is_some() && runs(state.pid) && !state.gone, "{state:?}");
    assert_eq!((state.address.as_str(), state.restarts, state.exit_code), ("10.0.0.1", 0, None));
    let text = test.text(0);
    let home = fs_err::canonicalize(test.files()).unwrap();
    let number = port.number;
    for line in [
        "hello from a file",
        &format!("PORT={number}"),
        &format!("DISCO_PORT_80={number}"),
        &format!("DISCO_PORT_9000={}", test.order.task.ports[1].number),
        "DISCO_ADDRESS=127.0.0.1",
        "DISCO_SERVICE=web",
        "DISCO_TASK=7",
        "DISCO_INDEX=2",
        "DISCO_NODE=shop-1",
        "DISCO_STACK=the service says",
        "MODE=test mode",
        &format!("HOME={}", home.display()),
        &format!("{}", home.display()),
    ] {
        assert!(text.lines().any(|found| found == line), "`{line}` is missing in {text}");
    }
    assert!(!text.contains("CARGO"), "{text}");
    test.goal.send_replace(Some(Goal::Stop));
    let state = test.gone().await;
    assert_eq!((state.state, state.pid, state.healthy), (TaskState::Stopped, 0, false));
    assert_eq!(state.signal.as_deref(), Some("SIGTERM"));
    assert!(state.finished_at.is_some() && state.reason.is_empty(), "{state:?}");
    // Until the cluster forgets it, its output can be read.
    assert!(test.files().exists());
}

#[tokio::test]
async fn a_run_of_a_job_gets_its_arguments_and_ends_once() {
    let mut test = Test::new(r#"echo "run $DISCO_RUN of $DISCO_SCHEDULED: $*"; exit 3"#);
    test.restart(RestartCondition::Never, 0, 0);
    test.spec(|spec| spec.process.as_mut().unwrap().args = vec!["--all".to_owned()]);
    let scheduled = Some("2026-12-01T02:00:00Z".to_owned());
    test.order.task.run = Some(TaskRun { number: 7, scheduled, args: vec!["two words".to_owned()] });
    test.begin();
    let state = test.gone().await;
    assert_eq!((state.state, state.exit_code, state.restarts), (TaskState::Failed, Some(3), 0));
    assert_eq!(state.reason, "exit code 3");
    assert_eq!(test.text(0), "run 7 of 2026-12-01T02:00:00Z: --all two words\n");
}

#[tokio::test]
async fn a_task_that_crashes_is_restarted_with_pauses_and_then_counts_as_failed() {
    let mut test = Test::new("echo try; exit 3");
    test.restart(RestartCondition::OnFailure, 20, 3);
    test.begin();
    let waiting = test.until(|state| state.state == TaskState::Starting && state.exit_code == Some(3)).await;
    assert_eq!(waiting.reason, "exit code 3");
    let state = test.gone().await;
    assert_eq!((state.state, state.restarts, state.exit_code), (TaskState::Failed, 3, Some(3)));
    assert_eq!(state.reason, "exit code 3, after 3 restarts");
    assert!(!state.refused);
    let at = |number| test.attempt(number).task().unwrap().unwrap().started_at_ms;
    let pauses: Vec<u64> = (0..3).map(|number| at(number + 1) - at(number)).collect();
    assert!(pauses.iter().zip([20, 40, 80]).all(|(pause, least)| *pause >= least), "{pauses:?}");
    assert_eq!((0..4).map(|number| test.text(number)).collect::<String>(), "try\n".repeat(4));
}

#[tokio::test]
async fn a_task_that_is_done_is_stopped() {
    let mut test = Test::new("exit 0");
    test.restart(RestartCondition::OnFailure, 20, 0);
    test.begin();
    let state = test.gone().await;
    assert_eq!((state.state, state.exit_code, state.restarts), (TaskState::Stopped, Some(0), 0));
}

#[tokio::test]
async fn what_is_no_program_or_missing_fails_with_its_reason() {
    let mut test = Test::new("");
    test.spec(|spec| spec.process.as_mut().unwrap().program = "other".to_owned());
    test.begin();
    let state = test.gone().await;
    assert_eq!((state.state, state.refused), (TaskState::Failed, false));
    assert!(state.reason.contains("`other`") && state.reason.contains("not among its files"), "{}", state.reason);

    for (content, mode, words) in [("no program", 0o755, "Exec format error"), ("x", 0o644, "ermission denied")] {
        let mut test = Test::new("");
        test.file("web", content, mode);
        test.begin();
        let state = test.gone().await;
        assert!(state.state == TaskState::Failed && !state.refused && state.reason.contains(words), "{state:?}");
    }
}

#[tokio::test]
async fn what_only_this_node_lacks_is_refused() {
    let mut test = Test::new("exec sleep 3600");
    let port = free_port();
    let _holder = std::net::TcpListener::bind((address(), port.number)).unwrap();
    test.order.task.ports = vec![port];
    test.begin();
    let state = test.gone().await;
    assert!(state.state == TaskState::Failed && state.refused && state.reason.contains("in use"), "{state:?}");

    let mut test = Test::new("exec sleep 3600");
    test.contents.lock().clear();
    test.begin();
    let state = test.gone().await;
    assert!(state.refused && state.reason.contains("it is missing"), "{state:?}");

    let mut test = Test::new("exec sleep 3600");
    test.spec(|spec| spec.process.as_mut().unwrap().user = Some("nobody-of-this-name".to_owned()));
    test.begin();
    let state = test.gone().await;
    assert!(state.refused && state.reason.contains("does not exist"), "{state:?}");
}

#[tokio::test]
async fn a_task_of_another_user_runs_in_a_folder_of_its_own() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: a_task_of_another_user_runs_in_a_folder_of_its_own: needs root");
        return;
    }
    let mut test = Test::new("id -u; cat conf/x; echo mine >own && cat own; echo ready; exec sleep 3600");
    test.file("conf/x", "of the service\n", 0o644);
    test.spec(|spec| spec.process.as_mut().unwrap().user = Some("65534".to_owned()));
    test.begin();
    test.running().await;
    test.printed(0, "65534\nof the service\nmine\nready\n").await;
}

#[tokio::test]
async fn a_task_that_does_not_end_is_killed_after_its_grace_time() {
    let mut test = Test::new("trap '' TERM; echo ready; while :; do sleep 0.05; done");
    test.spec(|spec| spec.stop_grace_ms = 100);
    test.begin();
    test.printed(0, "ready").await;
    test.goal.send_replace(Some(Goal::Stop));
    let state = test.gone().await;
    assert_eq!((state.state, state.signal.as_deref()), (TaskState::Stopped, Some("SIGKILL")));
    assert_eq!(state.reason, "killed after its grace time");
}

#[tokio::test]
async fn a_task_whose_goal_is_stop_before_it_starts_never_runs() {
    let mut test = Test::new("exec sleep 3600");
    test.goal.send_replace(Some(Goal::Stop));
    test.begin();
    let state = test.gone().await;
    assert_eq!((state.state, state.started_at), (TaskState::Stopped, None));
    assert!(!test.files().exists());
}

#[tokio::test]
async fn a_forgotten_task_is_ended_and_removed() {
    let mut test = Test::new("echo ready; exec sleep 3600");
    test.begin();
    test.printed(0, "ready").await;
    let pid = test.running().await.pid;
    test.goal.send_replace(None);
    test.actor.take().unwrap().await.unwrap();
    assert!(!runs(pid) && !folders::task(test.folder.path(), TASK).exists());
    assert_eq!(test.states.get(TASK), None);
}

#[tokio::test]
async fn all_tasks_of_a_folder_end_at_once() {
    let mut test =
        Test::new("setsid sleep 3600 & echo $!; trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done");
    test.begin();
    test.printed(0, "ready").await;
    let left: u32 = test.text(0).lines().next().unwrap().parse().unwrap();
    let pid = test.running().await.pid;
    test.crash().await;
    assert!(runs(pid) && runs(left));
    end_all(test.folder.path()).unwrap();
    assert!(!runs(pid) && !runs(left));
    assert_eq!(test.attempt(0).exit().unwrap().unwrap().code, Some(0));
}
