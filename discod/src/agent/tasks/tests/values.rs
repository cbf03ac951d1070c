//! Secrets and configs of a running task.

use std::collections::BTreeSet;

use super::*;
use crate::agent::tasks::driver::Driver;
use crate::records::{ValueKind, ValuePlace, ValueUse};

fn file(kind: ValueKind, target: &str) -> ValueUse {
    let place = ValuePlace::File { target: target.to_owned(), uid: None, gid: None, mode: 0o444 };
    ValueUse { kind, name: target.to_owned(), version: 1, place }
}

fn variable(name: &str) -> ValueUse {
    ValueUse {
        kind: ValueKind::Secret,
        name: name.to_owned(),
        version: 1,
        place: ValuePlace::Variable(name.to_owned()),
    }
}

impl Test {
    /// What the uses of a version are.
    fn know(&self, group: u64, values: &[&str]) {
        let values = values.iter().map(|text| Value::new(text.as_bytes().to_vec())).collect();
        self.values.lock().insert(group, values);
    }
}

#[tokio::test]
async fn a_task_finds_its_secrets_and_configs_as_files_and_variables() {
    let script =
        "cat $DISCO_SECRETS/token; echo; cat $DISCO_CONFIGS/app.conf; echo; echo \"v=$PASSWORD.\"; exec sleep 3600";
    let mut test = Test::new(script);
    test.spec(|spec| {
        spec.values = vec![file(ValueKind::Secret, "token"), file(ValueKind::Config, "app.conf"), variable("PASSWORD")];
    });
    test.know(1, &["canary-file", "level: 3", "canary-variable\n"]);
    test.begin();
    test.running().await;
    test.printed(0, "v=canary-variable.").await;
    let text = test.text(0);
    assert!(text.contains("canary-file\n") && text.contains("level: 3\n"), "{text}");
    let state = test.states.get(TASK).unwrap();
    assert!(state.applied == 1 && state.reason.is_empty(), "{state:?}");
    // The shim's files outlive the task.
    for path in [test.attempt(0).path().join("task.json"), test.attempt(0).path().to_owned()] {
        let found =
            std::process::Command::new("grep").args(["-rl", "--exclude-dir=output", "canary"]).arg(&path).output();
        assert!(found.unwrap().stdout.is_empty(), "{}", path.display());
    }
    let folder = test.folder.path().join("values").canonicalize().unwrap();
    test.goal.send_replace(Some(Goal::Stop));
    test.gone().await;
    test.driver().keep_values(BTreeSet::new()).await.unwrap();
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0, "nothing is left of the task");
}

#[tokio::test]
async fn a_task_waits_for_its_secrets() {
    let mut test = Test::new("cat $DISCO_SECRETS/token; exec sleep 3600");
    test.spec(|spec| spec.values = vec![file(ValueKind::Secret, "token")]);
    test.begin();
    test.until(|state| state.state == TaskState::Starting && state.reason == "no voter answers").await;
    test.know(1, &["late"]);
    test.running().await;
    test.printed(0, "late").await;
}

#[tokio::test]
async fn a_task_starts_again_with_the_files_that_it_had_while_no_voter_answers() {
    let mut test = Test::new("cat $DISCO_SECRETS/token; echo; sleep 0.2; exit 1");
    test.restart(RestartCondition::Any, 20, 0);
    test.spec(|spec| spec.values = vec![file(ValueKind::Secret, "token")]);
    test.know(1, &["first"]);
    test.begin();
    test.printed(0, "first").await;
    test.values.lock().clear();
    test.until(|state| state.restarts >= 1).await;
    test.printed(1, "first").await;
}

const RELOADS: &str = "trap 'echo changed to $(cat $DISCO_SECRETS/token)' HUP
echo ready with $(cat $DISCO_SECRETS/token)
while :; do sleep 0.05; done";

/// A task with its first version, which has a second one.
async fn reloading() -> Test {
    let mut test = Test::new(RELOADS);
    test.spec(|spec| {
        spec.values = vec![file(ValueKind::Secret, "token")];
        spec.reload = Some("SIGHUP".to_owned());
    });
    test.know(1, &["one"]);
    let mut next = (*test.order.group).clone();
    next.id = 2;
    next.spec.values[0].version = 2;
    test.versions.lock().insert(1, (*test.order.group).clone());
    test.versions.lock().insert(2, next);
    test.begin();
    test.running().await;
    test.printed(0, "ready with one").await;
    test
}

#[tokio::test]
async fn a_running_task_gets_changed_files_and_a_signal() {
    let test = reloading().await;
    let before = test.states.get(TASK).unwrap();
    *test.group.lock() = 2;
    test.goal.send_modify(|_| {});
    test.until(|state| state.reason == "no voter answers").await;
    assert_eq!(test.states.get(TASK).unwrap().applied, 1, "nothing is confirmed yet");
    test.know(2, &["two"]);
    let after = test.until(|state| state.applied == 2).await;
    test.printed(0, "changed to two").await;
    assert!(after.pid == before.pid && after.healthy && after.reason.is_empty(), "{after:?}");
}

#[tokio::test]
async fn a_change_that_comes_while_the_daemon_is_away_is_made_up_for() {
    let mut test = reloading().await;
    test.crash().await;
    *test.group.lock() = 2;
    test.know(2, &["two"]);
    let next = test.versions.lock().get(&2).cloned().unwrap();
    test.order.group = Arc::new(next);
    test.begin();
    let state = test.until(|state| state.applied == 2).await;
    test.printed(0, "changed to two").await;
    assert_eq!((state.state, state.restarts), (TaskState::Running, 0));
}
