//! What clients read of a task's output.

use disco_proto::v1::{TaskOutputPart, TaskOutputRequest};
use tokio::sync::mpsc::{Receiver, channel};

use super::*;
use crate::cluster::tasks;

impl Test {
    /// The lines of a request, as long as the task is not over.
    fn read(&self, request: TaskOutputRequest) -> Receiver<tasks::Part> {
        let (sender, receiver) = channel(4);
        let (data, states) = (self.folder.path().to_owned(), self.states.clone());
        tokio::spawn(async move {
            let over = || states.get(TASK).is_none_or(|state| state.gone);
            tasks::send(&data, &TaskOutputRequest { task_id: TASK, ..request }, &sender, over).await.unwrap();
        });
        receiver
    }
}

async fn all(mut parts: Receiver<tasks::Part>) -> Vec<TaskOutputPart> {
    let mut found = Vec::new();
    let read = async {
        while let Some(part) = parts.recv().await {
            found.push(part.unwrap());
        }
    };
    tokio::time::timeout(DEADLINE, read).await.unwrap();
    found
}

fn texts(parts: &[TaskOutputPart]) -> Vec<String> {
    parts.iter().map(|part| String::from_utf8(part.line.to_vec()).unwrap()).collect()
}

fn past(lines: u32) -> TaskOutputRequest {
    TaskOutputRequest { lines, ..TaskOutputRequest::default() }
}

#[tokio::test]
async fn output_of_all_starts_is_one_sequence_that_can_be_followed_and_continued() {
    let mut test =
        Test::new("echo one; echo two >&2; printf three; [ -e ../1 ] && [ -e ../2 ] && exec sleep 3600; exit 1");
    test.begin();
    // Without a state it is over.
    test.until(|_| true).await;
    let follow = test.read(TaskOutputRequest { follow: true, ..past(u32::MAX) });
    test.until(|state| state.restarts == 2 && state.state == TaskState::Running).await;
    test.printed(2, "three").await;
    test.goal.send_replace(Some(Goal::Stop));
    test.gone().await;
    let followed = all(follow).await;
    let expected = ["one", "two", "three"];
    let sorted = |parts: &[TaskOutputPart], attempt| {
        let mut lines = texts(&parts.iter().filter(|part| part.attempt == attempt).cloned().collect::<Vec<_>>());
        lines.sort_unstable();
        lines
    };
    for attempt in 0..3 {
        assert_eq!(sorted(&followed, attempt), ["one", "three", "two"], "{followed:?}");
    }
    assert_eq!(followed.len(), 3 * expected.len());
    assert!(followed.iter().all(|part| part.error == (part.line == "two") && part.at_ms > 0 && part.missed == 0));
    // The past is the same.
    assert_eq!(all(test.read(past(u32::MAX))).await, followed);
    assert_eq!(all(test.read(past(4))).await, followed[5..]);
    assert_eq!(all(test.read(past(0))).await, []);
    // Wherever a client breaks off, it continues with the next line.
    for (at, part) in followed.iter().enumerate() {
        let rest = TaskOutputRequest { attempt: Some(part.attempt), offset: part.offset, ..past(0) };
        let rest = all(test.read(rest)).await;
        assert_eq!(rest, followed[at + 1..], "behind {at}");
    }
    let since = TaskOutputRequest { since_ms: followed[8].at_ms + 1, ..past(u32::MAX) };
    assert_eq!(all(test.read(since)).await, []);
}

#[tokio::test]
async fn a_follower_gets_the_last_lines_of_a_task_though_its_folder_is_removed() {
    let mut test = Test::new("trap 'printf last; exit 0' TERM; echo ready; while :; do sleep 0.02; done");
    test.begin();
    test.printed(0, "ready").await;
    let mut follow = test.read(TaskOutputRequest { follow: true, ..past(u32::MAX) });
    let mut next = async || tokio::time::timeout(DEADLINE, follow.recv()).await.unwrap().map(|part| part.unwrap());
    assert_eq!(next().await.unwrap().line, "ready");
    test.goal.send_replace(Some(Goal::Stop));
    test.gone().await;
    assert_eq!(next().await.unwrap().line, "last");
    fs_err::remove_dir_all(folders::task(test.folder.path(), TASK)).unwrap();
    assert!(next().await.is_none());
    assert_eq!(all(test.read(past(5))).await, []);
}

#[tokio::test]
async fn new_lines_follow_the_last_ones_of_the_past() {
    let mut test = Test::new("echo older; echo old; while [ ! -e go ]; do sleep 0.02; done; echo new; exec sleep 3600");
    test.begin();
    test.printed(0, "old\n").await;
    let mut follow = test.read(TaskOutputRequest { follow: true, ..past(1) });
    let mut next = async || tokio::time::timeout(DEADLINE, follow.recv()).await.unwrap().unwrap().unwrap();
    assert_eq!(next().await.line, "old");
    fs_err::write(test.files().join("go"), "").unwrap();
    assert_eq!(next().await.line, "new");
}
