//! What tasks have written.

use std::time::Duration;

use disco_proto::v1::{TaskOutputPart, TaskOutputRequest};
use serde_json::{Value, json};

use super::Task;
use crate::{
    client::{Client, from_status, rfc3339_millis},
    error::Outcome,
    printer::{Item, Style},
};

/// Time for a node to send what a task wrote in the past.
const READ_WITHIN: Duration = Duration::from_secs(10);

/// A line of a task.
#[derive(Clone, Debug)]
pub(crate) struct TaskLine {
    /// `STACK/SERVICE/INDEX`.
    pub(crate) name: String,
    pub(crate) node: u64,
    pub(crate) part: TaskOutputPart,
}

impl TaskLine {
    pub(crate) fn new(task: &Task, part: TaskOutputPart) -> Self {
        Self { name: task.name(), node: task.record.node, part }
    }

    pub(crate) fn line(&self) -> String {
        String::from_utf8_lossy(&self.part.line).into_owned()
    }
}

impl Item for TaskLine {
    fn json(&self) -> Value {
        let mut names = self.name.splitn(3, '/');
        let (stack, service, index) = (names.next(), names.next(), names.next());
        json!({
            "time": rfc3339_millis(self.part.at_ms),
            "task": self.part.task_id,
            "stack": stack,
            "service": service,
            "index": index.and_then(|index| index.parse::<u64>().ok()),
            "node": self.node,
            "stream": if self.part.error { "stderr" } else { "stdout" },
            "text": self.line(),
        })
    }

    fn name(&self) -> String {
        self.line()
    }

    fn text(&self, style: Style) -> String {
        // A task may write control characters, which would reach the terminal.
        let line: String = self.line().chars().filter(|c| !c.is_control() || *c == '\t').collect();
        format!("{} {} {line}", style.dim(&rfc3339_millis(self.part.at_ms)), style.accent(&self.name))
    }
}

/// Reads what a task has written so far.
pub(crate) async fn read_output(client: &Client, request: TaskOutputRequest) -> Outcome<Vec<TaskOutputPart>> {
    let reading = async {
        let mut stream = client.call(|mut control| async move { control.task_output(request).await }).await?;
        let mut parts = Vec::new();
        while let Some(part) = stream.message().await.map_err(|status| from_status(&status))? {
            parts.push(part);
        }
        Ok(parts)
    };
    match tokio::time::timeout(READ_WITHIN, reading).await {
        Ok(read) => read,
        Err(_) => Err(from_status(&tonic::Status::deadline_exceeded(format!(
            "the node of task {} did not send its output within {READ_WITHIN:?}",
            request.task_id
        )))),
    }
}

/// The last lines of several tasks, in the order of their times.
pub(crate) fn merged(mut lines: Vec<TaskLine>, most: usize) -> Vec<TaskLine> {
    // Stable: lines of one task stay in their order.
    lines.sort_by_key(|line| line.part.at_ms);
    let first = lines.len().saturating_sub(most);
    lines.split_off(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, at_ms: u64, text: &'static str) -> TaskLine {
        let part = TaskOutputPart { task_id: 1001, at_ms, line: text.into(), ..TaskOutputPart::default() };
        TaskLine { name: name.to_owned(), node: 2, part }
    }

    #[test]
    fn lines_of_several_tasks_are_merged_by_time_and_those_of_one_stay_in_order() {
        let lines = vec![
            line("a/b/1", 5, "one"),
            line("a/b/1", 5, "two"),
            line("a/b/1", 9, "five"),
            line("a/b/2", 5, "three"),
            line("a/b/2", 7, "four"),
        ];
        let texts: Vec<String> = merged(lines.clone(), 10).iter().map(TaskLine::line).collect();
        assert_eq!(texts, ["one", "two", "three", "four", "five"]);
        let last: Vec<String> = merged(lines, 2).iter().map(TaskLine::line).collect();
        assert_eq!(last, ["four", "five"]);
    }

    #[test]
    fn a_line_has_its_task_and_no_control_characters_on_a_terminal() {
        let line = line("shop/web/3", 1_700_000_000_123, "\u{1b}[31mred\tx");
        assert_eq!(line.text(Style::default()), "2023-11-14T22:13:20.123Z shop/web/3 [31mred\tx");
        let json = line.json();
        assert_eq!((&json["service"], &json["index"], &json["stream"]), (&json!("web"), &json!(3), &json!("stdout")));
        assert_eq!(json["text"], "\u{1b}[31mred\tx");
    }
}
