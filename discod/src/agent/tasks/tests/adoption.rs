//! The daemon ends, and another one continues.

use disco_shim::{Process as Named, boottime_ms};

use super::*;
use crate::agent::tasks::driver::Driver;

#[tokio::test]
async fn a_running_task_is_adopted_with_its_health() {
    let mut test = Test::new("echo ready; exec sleep 3600");
    test.begin();
    test.printed(0, "ready").await;
    let before = test.running().await;
    test.crash().await;
    test.outdate();
    // Not even the cluster needs to be there.
    test.confirmed.send_replace(false);
    test.begin();
    assert_eq!(test.running().await, before);
    assert!(runs(before.pid));
    test.goal.send_replace(Some(Goal::Stop));
    assert_eq!(test.gone().await.restarts, 0);
    assert!(!runs(before.pid));
}

#[tokio::test]
async fn an_end_in_the_daemons_absence_is_not_lost() {
    let mut test = Test::new("echo ready; while [ ! -e go ]; do sleep 0.02; done; exit 7");
    test.restart(RestartCondition::Never, 20, 0);
    test.begin();
    test.printed(0, "ready").await;
    test.running().await;
    test.crash().await;
    fs_err::write(test.files().join("go"), "").unwrap();
    eventually("the end", || test.attempt(0).exit().unwrap().is_some()).await;
    test.begin();
    let state = test.gone().await;
    assert_eq!((state.state, state.exit_code, state.reason.as_str()), (TaskState::Failed, Some(7), "exit code 7"));
}

#[tokio::test]
async fn nothing_is_started_or_removed_before_the_cluster_has_confirmed_it() {
    let mut test = Test::new("echo ready; exec sleep 3600");
    test.confirmed.send_replace(false);
    test.begin();
    let state = test.until(|state| state.state == TaskState::Starting).await;
    assert_eq!(state.reason, "its node waits for the cluster");
    assert!(!test.files().exists());
    test.confirmed.send_replace(true);
    test.printed(0, "ready").await;
    let pid = test.running().await.pid;
    // A record that is missing in an old copy of the state.
    test.crash().await;
    test.outdate();
    test.confirmed.send_replace(false);
    test.goal.send_replace(None);
    test.begin();
    test.goal.send_replace(Some(Goal::Run));
    assert_eq!(test.running().await.pid, pid);
    assert!(runs(pid));
}

#[tokio::test]
async fn a_task_whose_shim_is_killed_ends_as_a_whole_and_is_restarted() {
    let mut test = Test::new("setsid sleep 3600 & echo $!; echo ready; exec sleep 3600");
    test.begin();
    test.printed(0, "ready").await;
    let left: u32 = test.text(0).lines().next().unwrap().parse().unwrap();
    let pid = test.running().await.pid;
    let shim = test.attempt(0).task().unwrap().unwrap().shim;
    shim.kill().unwrap();
    let state = test.until(|state| state.state == TaskState::Running && state.restarts == 1).await;
    assert!(!runs(pid) && !runs(left) && runs(state.pid));
    // It left no zombie.
    assert_ne!(Named::find(shim.pid).unwrap(), Some(shim));
}

#[tokio::test]
async fn what_a_shim_leaves_that_is_killed_in_the_daemons_absence_is_ended() {
    let mut test = Test::new("setsid sleep 3600 & echo $!; echo ready; exec sleep 3600");
    // The service may set any variable.
    for (name, value) in [("HOME", "/"), ("DISCO_TASK", "none")] {
        test.spec(|spec| drop(spec.environment.insert(name.to_owned(), value.to_owned())));
    }
    test.begin();
    test.printed(0, "ready").await;
    let left: u32 = test.text(0).lines().next().unwrap().parse().unwrap();
    let pid = test.running().await.pid;
    test.crash().await;
    let shim = test.attempt(0).task().unwrap().unwrap().shim;
    shim.kill().unwrap();
    eventually("the end of the shim", || !shim.runs().unwrap()).await;
    assert!(runs(left));
    test.begin();
    let state = test.until(|state| state.state == TaskState::Running && state.restarts == 1).await;
    assert!(!runs(pid) && !runs(left) && runs(state.pid));
    // The new start has the same marks.
    test.crash().await;
    test.outdate();
    test.begin();
    assert_eq!(test.running().await.pid, state.pid);
    assert!(runs(state.pid));
}

#[tokio::test]
async fn a_task_that_an_earlier_daemon_has_just_started_is_adopted_though_its_port_is_taken() {
    let mut test = Test::new("echo ready; exec sleep 3600");
    test.order.task.ports = vec![free_port()];
    test.confirmed.send_replace(false);
    test.begin();
    test.until(|state| state.state == TaskState::Starting).await;
    let driver = test.driver();
    driver.prepare(&test.order, &watch::Sender::default()).await.unwrap();
    let start = driver.start(&test.order, 0, None).await.unwrap();
    let _taken = std::net::TcpListener::bind((address(), test.order.task.ports[0].number)).unwrap();
    test.confirmed.send_replace(true);
    let state = test.until(|state| state.state == TaskState::Running || state.gone).await;
    assert_eq!((state.pid, state.gone), (start.pid, false), "{state:?}");
}

#[tokio::test]
async fn tasks_whose_folder_was_removed_are_ended() {
    let mut test = Test::new("echo ready; exec sleep 3600");
    test.begin();
    test.printed(0, "ready").await;
    let pid = test.running().await.pid;
    let task = test.attempt(0).task().unwrap().unwrap();
    test.driver().end_orphans().await.unwrap();
    assert!(runs(pid));
    test.crash().await;
    fs_err::remove_dir_all(folders::task(test.folder.path(), TASK)).unwrap();
    test.driver().end_orphans().await.unwrap();
    if task.cgroup.is_none() {
        println!("skipped: tasks_whose_folder_was_removed_are_ended: needs control groups");
        task.shim.kill().unwrap();
    }
    eventually("the end of the task", || !runs(pid)).await;
    eventually("the end of its shim", || !task.shim.runs().unwrap()).await;
}

#[tokio::test]
async fn a_task_that_was_over_before_the_daemon_began_is_not_started_again() {
    let mut test = Test::new("echo ready; exec sleep 3600");
    test.confirmed.send_replace(false);
    test.begin();
    let state = test.until(|state| state.state == TaskState::Starting).await;
    let over = TaskStateRecord { state: TaskState::Failed, gone: true, ..state };
    *test.recorded.lock() = Some(over.clone());
    test.confirmed.send_replace(true);
    assert_eq!(test.gone().await, over);
    assert!(!test.files().exists());
}

#[tokio::test]
async fn a_shim_that_does_not_answer_is_killed_with_its_task() {
    let mut test = Test::new("echo ready; exec sleep 3600");
    test.begin();
    test.printed(0, "ready").await;
    let pid = test.running().await.pid;
    fs_err::remove_file(test.attempt(0).path().join("socket")).unwrap();
    test.goal.send_replace(Some(Goal::Stop));
    let state = test.gone().await;
    assert_eq!((state.state, state.reason.as_str()), (TaskState::Stopped, "its shim was killed"));
    assert!(!runs(pid));
}

#[tokio::test]
async fn a_start_that_an_earlier_daemon_began_is_taken_over() {
    let mut test = Test::new("echo ready; exec sleep 3600");
    // Its shim has the folder, and has not recorded the task yet.
    fs_err::create_dir_all(test.attempt(0).path()).unwrap();
    let lock = fs_err::File::open(test.attempt(0).path()).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    test.begin();
    let state = test.until(|state| state.reason.contains("started before") || state.gone).await;
    assert_eq!(state.state, TaskState::Starting);
    drop(lock);
    test.printed(0, "ready").await;
    assert_eq!(test.running().await.restarts, 0);
}

#[tokio::test]
async fn a_damaged_record_of_a_start_is_one_that_ended() {
    let mut test = Test::new("echo ready; exec sleep 3600");
    fs_err::create_dir_all(test.attempt(0).path()).unwrap();
    fs_err::write(test.attempt(0).path().join("task.json"), "{").unwrap();
    test.begin();
    test.printed(1, "ready").await;
    assert_eq!(test.running().await.restarts, 1);
}

#[tokio::test]
async fn a_singleton_runs_only_as_long_as_its_lease() {
    let mut test = Test::new("trap '' TERM; echo ready; while :; do sleep 0.05; done");
    test.spec(|spec| spec.singleton = true);
    test.begin();
    let state = test.until(|state| state.state == TaskState::Starting).await;
    assert_eq!(state.reason, "its node waits for news from the leader");
    assert!(!test.files().exists());
    test.lease_ms.send_replace(boottime_ms() + 3_600_000);
    test.printed(0, "ready").await;
    let pid = test.running().await.pid;
    // Renewed for a moment, and not again.
    let until = boottime_ms() + 300;
    test.lease_ms.send_replace(until);
    let state = test.until(|state| state.state == TaskState::Starting).await;
    assert!(boottime_ms() >= until && !runs(pid));
    assert!(state.reason.contains("no news from the leader") || state.reason.contains("waits for news"), "{state:?}");
    test.lease_ms.send_replace(boottime_ms() + 3_600_000);
    let state = test.until(|state| state.state == TaskState::Running && state.restarts == 1).await;
    assert!(runs(state.pid));
}

#[tokio::test]
async fn a_singletons_lease_ends_without_its_daemon_too() {
    let mut test = Test::new("trap '' TERM; echo ready; while :; do sleep 0.05; done");
    test.spec(|spec| spec.singleton = true);
    // Enough for a slow machine to start the task.
    test.lease_ms.send_replace(boottime_ms() + 10_000);
    test.begin();
    test.printed(0, "ready").await;
    let pid = test.running().await.pid;
    test.crash().await;
    eventually("the end of the lease", || !runs(pid)).await;
    eventually("its record", || test.attempt(0).exit().unwrap().is_some()).await;
    assert_eq!(test.attempt(0).exit().unwrap().unwrap().ended, disco_shim::Ended::Fenced);
}
