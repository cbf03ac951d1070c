use serde_json::{Value, json};

use disco_store::typed::TaskState;

use crate::{
    printer::{Style, Table, View, cell},
    workload::{Catalogue, Task, word},
};

/// `disco ps`: the tasks, in the order of stack, service and index.
#[derive(Debug)]
pub(crate) struct TasksView(Vec<Row>);

#[derive(Debug)]
struct Row {
    task: Task,
    deployment: Option<u64>,
    driver: Option<String>,
    node_name: String,
}

impl TasksView {
    pub(crate) fn new<'a>(tasks: impl Iterator<Item = &'a Task>, catalogue: &Catalogue) -> Self {
        let rows = tasks.map(|task| Row {
            deployment: catalogue.deployment_of(task.record.group),
            driver: catalogue.groups.get(&task.record.group).map(|group| group.spec.driver.clone()),
            node_name: catalogue.node_name(task.record.node),
            task: task.clone(),
        });
        Self(rows.collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Row {
    /// `IP:PORT` of its first port, or the IP alone; `None` until its node has begun with it.
    fn address(&self) -> Option<String> {
        let ip = self.task.state.as_ref().map(|state| state.address.as_str()).filter(|ip| !ip.is_empty())?;
        Some(match self.task.record.ports.first() {
            Some(port) => address(ip, port.number),
            None => ip.to_owned(),
        })
    }

    fn json(&self) -> Value {
        let (record, state) = (&self.task.record, self.task.state.as_ref());
        let ports = record.ports.iter();
        json!({
            "id": record.id,
            "stack": record.stack,
            "service": record.service,
            "index": record.index,
            "deployment": self.deployment,
            "node": record.node,
            "node_name": self.node_name,
            "driver": self.driver,
            "state": word(self.task.state()),
            "healthy": self.task.is_healthy(),
            "pid": state.map(|state| state.pid).filter(|pid| *pid != 0),
            "address": self.address(),
            "ports": ports
                .map(|port| json!({ "target": port.target, "port": port.number, "proto": port.protocol }))
                .collect::<Vec<_>>(),
            "restarts": state.map_or(0, |state| state.restarts),
            "exit_code": state.and_then(|state| state.exit_code),
            "signal": state.and_then(|state| state.signal.as_deref()),
            "started_at": state.and_then(|state| state.started_at.as_deref()),
            "finished_at": state.and_then(|state| state.finished_at.as_deref()),
            "reason": self.task.reason(),
            "goal": record.goal,
            "run": record.run.as_ref().map(|run| run.number),
        })
    }
}

/// An address with its port, also of IPv6.
pub(super) fn address(ip: &str, port: u16) -> String {
    ip.parse::<std::net::IpAddr>()
        .map_or_else(|_| format!("{ip}:{port}"), |ip| std::net::SocketAddr::new(ip, port).to_string())
}

impl View for TasksView {
    fn json(&self) -> Value {
        self.0.iter().map(Row::json).collect()
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|row| row.task.record.id.to_string()).collect()
    }

    fn text(&self, style: Style) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        let headings = ["ID", "TASK", "NODE", "STATE", "ADDRESS", "PID", "RESTARTS", "VERSION", "REASON"];
        let mut table = Table::new(style, &headings).spare(&["VERSION", "PID", "RESTARTS"]);
        for row in &self.0 {
            let state = row.task.state();
            let shown = match (state, row.task.is_healthy()) {
                (TaskState::Running, true) => cell::good("running"),
                (TaskState::Running, false) => cell::warning("running, not healthy"),
                (TaskState::Failed, _) => cell::bad("failed"),
                (state, _) => cell::plain(word(state)),
            };
            let of_state =
                |read: fn(&disco_store::typed::TaskStateRecord) -> u64| row.task.state.as_ref().map_or(0, read);
            let pid = of_state(|state| u64::from(state.pid));
            // A healthy task needs no reason.
            let reason = if row.task.is_healthy() && row.task.record.why.is_empty() { "" } else { row.task.reason() };
            table.row(vec![
                cell::plain(row.task.record.id),
                cell::plain(row.task.name()),
                cell::plain(&row.node_name),
                shown,
                cell::plain(row.address().unwrap_or_else(|| "-".to_owned())),
                cell::plain(if pid == 0 { "-".to_owned() } else { pid.to_string() }),
                cell::plain(of_state(|state| state.restarts)),
                cell::plain(row.deployment.map_or_else(|| "-".to_owned(), |deployment| deployment.to_string())),
                cell::plain(reason.lines().next().unwrap_or_default()),
            ]);
        }
        table.text()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::catalogue;

    fn view() -> TasksView {
        let known = catalogue(&json!({
            "groups": [{ "id": 4, "stack": "shop", "service": "web", "deployment": 7, "hash": "",
                "spec": { "driver": "process", "stop_signal": "SIGTERM", "stop_grace_ms": 1 } }],
            "nodes": [{ "id": 2, "name": "shop-2" }],
            "tasks": [
                { "id": 1002, "stack": "shop", "service": "web", "group": 4, "index": 2, "node": 3, "ports": [], "needs": {},
                    "goal": "run", "since": "" },
                { "id": 1001, "stack": "shop", "service": "web", "group": 4, "index": 1, "node": 2,
                    "ports": [{ "target": 80, "number": 20001, "protocol": "tcp" }], "needs": {}, "goal": "stop", "since": "",
                    "why": "a new version" },
            ],
            "states": [{ "id": 1001, "node": 2, "state": "running", "healthy": true, "pid": 17, "address": "127.0.0.2",
                "restarts": 1, "started_at": "2026-11-30T12:00:00Z", "reason": "" }],
        }));
        TasksView::new(known.tasks.iter(), &known)
    }

    #[test]
    fn a_task_is_a_stable_object() {
        let json = view().json();
        let first = &json[0];
        for (field, value) in [
            ("id", json!(1001)),
            ("stack", json!("shop")),
            ("service", json!("web")),
            ("index", json!(1)),
            ("deployment", json!(7)),
            ("node", json!(2)),
            ("driver", json!("process")),
            ("state", json!("stopping")),
            ("healthy", json!(true)),
            ("pid", json!(17)),
            ("address", json!("127.0.0.2:20001")),
            ("restarts", json!(1)),
            ("exit_code", Value::Null),
            ("started_at", json!("2026-11-30T12:00:00Z")),
            ("reason", json!("a new version")),
        ] {
            assert_eq!(first[field], value, "{field}");
        }
        let second = &json[1];
        assert_eq!(
            (&second["state"], &second["pid"], &second["address"]),
            (&json!("pending"), &Value::Null, &Value::Null)
        );
        assert_eq!(view().names(), ["1001", "1002"]);
    }

    #[test]
    fn the_table_shows_tasks_with_their_nodes() {
        let text = view().text(Style::default());
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[1].starts_with("1001  shop/web/1  shop-2  stopping") && lines[1].ends_with("a new version"),
            "{text}"
        );
        assert!(lines[2].contains("shop/web/2  3       pending"), "{text}");
    }
}
