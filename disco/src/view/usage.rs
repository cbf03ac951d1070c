use serde_json::{Value, json};

use super::units::bytes;
use crate::{
    printer::{Style, Table, View, cell},
    workload::{NodeUsage, Task, TaskUsage, word},
};

/// `disco top`.
#[derive(Debug)]
pub(crate) struct TopView {
    /// RFC 3339.
    pub(crate) time: String,
    pub(crate) nodes: Vec<TopNode>,
    /// In their order.
    pub(crate) tasks: Vec<TopTask>,
}

#[derive(Debug)]
pub(crate) struct TopNode {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) tasks: usize,
    /// `Err`: why it was not measured.
    pub(crate) usage: Result<NodeUsage, String>,
}

#[derive(Debug)]
pub(crate) struct TopTask {
    pub(crate) task: Task,
    pub(crate) node_name: String,
    /// Absent if its node was not measured, or does not run it.
    pub(crate) usage: Option<TaskUsage>,
}

impl TopNode {
    fn json(&self) -> Value {
        let usage = self.usage.as_ref().ok();
        json!({
            "id": self.id,
            "name": self.name,
            "cpu_percent": usage.and_then(|usage| usage.cpu_percent),
            "processors": usage.map(|usage| usage.processors),
            "memory": usage.map(|usage| usage.memory),
            "memory_used": usage.map(|usage| usage.memory_used),
            "tasks": self.tasks,
            "error": self.usage.as_ref().err(),
        })
    }
}

impl TopTask {
    fn json(&self) -> Value {
        let record = &self.task.record;
        json!({
            "id": record.id,
            "stack": record.stack,
            "service": record.service,
            "index": record.index,
            "node": record.node,
            "node_name": self.node_name,
            "state": word(self.task.state()),
            "healthy": self.task.is_healthy(),
            "restarts": self.task.state.as_ref().map_or(0, |state| state.restarts),
            "cpu_percent": self.usage.and_then(|usage| usage.cpu_percent),
            "memory": self.usage.map(|usage| usage.memory),
            "processes": self.usage.map(|usage| usage.processes),
        })
    }
}

impl View for TopView {
    fn json(&self) -> Value {
        let nodes: Vec<Value> = self.nodes.iter().map(TopNode::json).collect();
        let tasks: Vec<Value> = self.tasks.iter().map(TopTask::json).collect();
        json!({ "time": self.time, "nodes": nodes, "tasks": tasks })
    }

    fn names(&self) -> Vec<String> {
        self.tasks.iter().map(|task| task.task.record.id.to_string()).collect()
    }

    fn text(&self, style: Style) -> String {
        let mut nodes =
            Table::new(style, &["NODE", "CPU", "MEMORY", "OF", "PROCESSORS", "TASKS"]).spare(&["PROCESSORS"]);
        for node in &self.nodes {
            let usage = node.usage.as_ref().ok();
            nodes.row(vec![
                cell::plain(&node.name),
                cell::plain(percent(usage.and_then(|usage| usage.cpu_percent))),
                cell::plain(usage.map_or_else(none, |usage| bytes(usage.memory_used))),
                cell::plain(usage.map_or_else(none, |usage| bytes(usage.memory))),
                cell::plain(usage.map_or_else(none, |usage| usage.processors.to_string())),
                match &node.usage {
                    Ok(_) => cell::plain(node.tasks),
                    Err(why) => cell::bad(why),
                },
            ]);
        }
        let mut text = nodes.text();
        if self.tasks.is_empty() {
            return text;
        }
        let headings = ["TASK", "NODE", "STATE", "CPU", "MEMORY", "PROCESSES", "RESTARTS", "ID"];
        let mut tasks = Table::new(style, &headings).spare(&["ID", "RESTARTS", "PROCESSES"]);
        for row in &self.tasks {
            let state = match row.task.is_healthy() {
                true => cell::good(word(row.task.state())),
                false => cell::warning(word(row.task.state())),
            };
            tasks.row(vec![
                cell::plain(row.task.name()),
                cell::plain(&row.node_name),
                state,
                cell::plain(percent(row.usage.and_then(|usage| usage.cpu_percent))),
                cell::plain(row.usage.map_or_else(none, |usage| bytes(usage.memory))),
                cell::plain(row.usage.map_or_else(none, |usage| usage.processes.to_string())),
                cell::plain(row.task.state.as_ref().map_or(0, |state| state.restarts)),
                cell::plain(row.task.record.id),
            ]);
        }
        text.push('\n');
        text.push_str(&tasks.text());
        text
    }
}

fn percent(value: Option<f64>) -> String {
    value.map_or_else(none, |value| format!("{value:.1} %"))
}

fn none() -> String {
    "-".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::catalogue;

    fn view() -> TopView {
        let known = catalogue(&json!({
            "tasks": [{ "id": 1001, "stack": "shop", "service": "web", "group": 4, "index": 1, "node": 2, "ports": [], "needs": {},
                "goal": "run", "since": "" }],
            "states": [{ "id": 1001, "node": 2, "state": "running", "healthy": true, "restarts": 1 }],
        }));
        let usage =
            NodeUsage { cpu_percent: Some(12.5), processors: 2, memory: 4_000_000_000, memory_used: 1_500_000_000 };
        TopView {
            time: "2026-11-30T12:00:00Z".to_owned(),
            nodes: vec![
                TopNode { id: 2, name: "shop-2".to_owned(), tasks: 1, usage: Ok(usage) },
                TopNode { id: 3, name: "shop-3".to_owned(), tasks: 0, usage: Err("no answer within 5s".to_owned()) },
            ],
            tasks: vec![TopTask {
                task: known.tasks[0].clone(),
                node_name: "shop-2".to_owned(),
                usage: Some(TaskUsage { cpu_percent: Some(75.0), memory: 12_000_000, processes: 3 }),
            }],
        }
    }

    #[test]
    fn usage_is_a_stable_object() {
        let json = view().json();
        let (node, other, task) = (&json["nodes"][0], &json["nodes"][1], &json["tasks"][0]);
        assert_eq!((&node["cpu_percent"], &node["memory_used"]), (&json!(12.5), &json!(1_500_000_000_u64)));
        assert_eq!((&other["cpu_percent"], &other["error"]), (&Value::Null, &json!("no answer within 5s")));
        for (field, value) in [
            ("id", json!(1001)),
            ("cpu_percent", json!(75.0)),
            ("memory", json!(12_000_000)),
            ("processes", json!(3)),
            ("restarts", json!(1)),
            ("healthy", json!(true)),
        ] {
            assert_eq!(task[field], value, "{task}");
        }
    }

    #[test]
    fn nodes_stand_above_tasks() {
        let text = view().text(Style::default());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 6, "{text}");
        assert!(lines[1].contains("12.5 %") && lines[1].contains("1500.0 MB"), "{text}");
        assert!(lines[2].contains("no answer within 5s"), "{text}");
        assert!(
            lines[5].starts_with("shop/web/1") && lines[5].contains("75.0 %") && lines[5].contains("12.0 MB"),
            "{text}"
        );
    }
}
