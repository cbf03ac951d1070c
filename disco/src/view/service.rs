use disco_store::typed::{Goal, ServiceRecord, ServiceSummary, TaskState};
use serde_json::{Value, json};

use super::task::address;
use crate::{
    printer::{Style, Table, View, cell},
    workload::{Catalogue, Task},
};

/// `disco services`.
#[derive(Debug)]
pub(crate) struct ServicesView(Vec<Row>);

#[derive(Debug)]
struct Row {
    service: ServiceRecord,
    summary: ServiceSummary,
    tasks: Vec<Task>,
}

impl ServicesView {
    pub(crate) fn new<'a>(services: impl Iterator<Item = &'a ServiceRecord>, catalogue: &Catalogue) -> Self {
        let rows = services.map(|service| Row {
            summary: catalogue.summary(service),
            tasks: catalogue.tasks_of(&service.stack, &service.name).cloned().collect(),
            service: service.clone(),
        });
        Self(rows.collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Row {
    /// What runs, also what is about to end.
    fn serving(&self) -> impl Iterator<Item = (&Task, &str)> {
        self.tasks.iter().filter_map(|task| {
            let state = task.state.as_ref().filter(|state| state.state == TaskState::Running && !state.gone)?;
            (!state.address.is_empty()).then_some((task, state.address.as_str()))
        })
    }
}

impl View for ServicesView {
    fn json(&self) -> Value {
        self.0.iter().map(|row| json!(row.summary)).collect()
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|row| format!("{}/{}", row.service.stack, row.service.name)).collect()
    }

    fn text(&self, style: Style) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        let mut table = Table::new(style, &["SERVICE", "HEALTHY", "STATE", "VERSION", "ENDPOINTS"]).spare(&["VERSION"]);
        for row in &self.0 {
            let healthy = format!("{} of {}", row.summary.healthy, row.summary.desired);
            let healthy = match row.summary.healthy {
                count if count < row.summary.desired => cell::warning(healthy),
                _ => cell::good(healthy),
            };
            let endpoints: Vec<String> = row
                .serving()
                .filter(|(task, _)| task.is_healthy() && task.record.goal == Goal::Run)
                .flat_map(|(task, ip)| task.record.ports.iter().map(move |port| address(ip, port.number)))
                .collect();
            table.row(vec![
                cell::plain(format!("{}/{}", row.service.stack, row.service.name)),
                healthy,
                cell::plain(row.summary.state),
                cell::plain(row.summary.deployment.map_or_else(|| "-".to_owned(), |deployment| deployment.to_string())),
                cell::plain(endpoints.join(" ")),
            ]);
        }
        let mut text = table.text();
        for row in &self.0 {
            if !row.service.unplaced.is_empty() {
                let name = style.bold(&format!("{}/{}", row.service.stack, row.service.name));
                text.push_str(&format!("{name}: no node for a task: {}\n", row.service.unplaced));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::catalogue;

    fn view() -> ServicesView {
        let task = |id: u64, goal: &str| {
            json!({ "id": id, "stack": "shop", "service": "web", "group": 4, "index": id, "node": 2, "needs": {}, "since": "",
                "ports": [{ "target": 80, "number": 20000 + id, "protocol": "tcp" }], "goal": goal })
        };
        let state = |id: u64, state: &str| json!({ "id": id, "node": 2, "state": state, "healthy": state == "running", "address": "127.0.0.2" });
        let known = catalogue(&json!({
            "groups": [{ "id": 4, "stack": "shop", "service": "web", "deployment": 7, "hash": "",
                "spec": { "driver": "process", "stop_signal": "SIGTERM", "stop_grace_ms": 1,
                    "ports": [{ "target": 80, "protocol": "tcp", "published": [8080, 8080] }, { "target": 9, "protocol": "udp", "host": true }] } }],
            "services": [{ "stack": "shop", "name": "web", "copies": { "number": 3 }, "group": 4 }],
            "tasks": [task(1, "run"), task(2, "drain"), task(3, "run"), task(4, "run")],
            "states": [state(1, "running"), state(2, "running"), state(3, "starting")],
        }));
        ServicesView::new(known.services.values(), &known)
    }

    #[test]
    fn a_service_is_a_stable_object_with_its_endpoints() {
        let json = view().json();
        let service = &json[0];
        for (field, value) in [
            ("stack", json!("shop")),
            ("name", json!("web")),
            ("driver", json!("process")),
            ("desired", json!(3)),
            ("running", json!(1)),
            ("healthy", json!(1)),
            ("deployment", json!(7)),
            ("address", Value::Null),
        ] {
            assert_eq!(service[field], value, "{field}");
        }
        assert_eq!(service["ports"][0], json!({ "published": 8080, "target": 80, "proto": "tcp", "mode": "ingress" }));
        assert_eq!(service["ports"][1], json!({ "published": null, "target": 9, "proto": "udp", "mode": "host" }));
        let endpoints = service["endpoints"].as_array().unwrap();
        assert_eq!(endpoints.len(), 2);
        assert_eq!(endpoints[0]["port"], 20001);
        assert_eq!((&endpoints[0]["healthy"], &endpoints[0]["draining"]), (&json!(true), &json!(false)));
        // It still answers, and gets no new requests.
        assert_eq!((&endpoints[1]["healthy"], &endpoints[1]["draining"]), (&json!(true), &json!(true)));
    }

    #[test]
    fn the_table_shows_where_a_service_is_reached() {
        let text = view().text(Style::default());
        let line = text.lines().nth(1).unwrap();
        assert!(line.starts_with("shop/web  1 of 3   complete  7") && line.ends_with("127.0.0.2:20001"), "{text}");
        assert_eq!(view().names(), ["shop/web"]);
    }
}
