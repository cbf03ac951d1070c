use disco_proto::v1::WorkloadChange;
use disco_store::typed::{ValueKind, ValueRecord};
use serde_json::{Value, json};

use crate::{
    cli::Format,
    printer::{Style, Table, View, cell},
};

/// `disco secret ls` and `disco config ls`: each with the services that use it. Without values.
#[derive(Debug)]
pub(crate) struct ValuesView(pub(crate) Vec<(Vec<String>, ValueRecord)>);

impl View for ValuesView {
    fn json(&self) -> Value {
        let object = |(users, record): &(Vec<String>, ValueRecord)| {
            json!({
                "name": record.name,
                "version": record.version,
                "size": record.size,
                "updated_at": record.updated_at,
                "used_by": users,
            })
        };
        self.0.iter().map(object).collect()
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|(_, record)| record.name.clone()).collect()
    }

    fn text(&self, style: Style) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        let mut table = Table::new(style, &["NAME", "VERSION", "SIZE", "UPDATED", "USED BY"]).spare(&["SIZE"]);
        for (users, record) in &self.0 {
            let users = if users.is_empty() { "-".to_owned() } else { users.join(" ") };
            table.row(vec![
                cell::plain(&record.name),
                cell::plain(record.version),
                cell::plain(record.size),
                cell::plain(super::units::seconds(&record.updated_at)),
                cell::plain(users),
            ]);
        }
        table.text()
    }
}

/// `disco config get`.
pub(crate) struct ConfigView {
    pub(crate) record: ValueRecord,
    pub(crate) content: Vec<u8>,
}

impl ConfigView {
    /// Whether the value alone is printed.
    pub(crate) const fn is_for_people(format: Format) -> bool {
        matches!(format, Format::Table | Format::Wide)
    }
}

impl View for ConfigView {
    fn json(&self) -> Value {
        let text = std::str::from_utf8(&self.content).ok();
        let mut object = json!({
            "name": self.record.name,
            "version": self.record.version,
            "size": self.record.size,
            "updated_at": self.record.updated_at,
            "value": text,
        });
        if text.is_none() {
            object["value_hex"] = json!(hex::encode(&self.content));
        }
        object
    }

    fn rows(&self) -> Vec<Value> {
        vec![self.json()]
    }

    fn names(&self) -> Vec<String> {
        vec![self.record.name.clone()]
    }

    fn text(&self, _style: Style) -> String {
        String::from_utf8_lossy(&self.content).into_owned()
    }
}

/// `disco secret set` and `disco config set`.
#[derive(Debug)]
pub(crate) struct ValueSetView {
    pub(crate) kind: ValueKind,
    pub(crate) name: String,
    pub(crate) version: u64,
    /// `created`, `updated` or `unchanged`.
    pub(crate) change: String,
    /// Tasks that have confirmed it; absent if the command did not wait.
    pub(crate) applied: Option<usize>,
    pub(crate) services: Vec<WorkloadChange>,
}

impl View for ValueSetView {
    fn json(&self) -> Value {
        let services: Vec<Value> = self
            .services
            .iter()
            .map(|service| {
                json!({
                    "stack": service.stack,
                    "service": service.service,
                    "change": service.change,
                    "deployment": (service.deployment != 0).then_some(service.deployment),
                })
            })
            .collect();
        json!({
            "name": self.name,
            "version": self.version,
            "change": self.change,
            "applied": self.applied,
            "services": services,
        })
    }

    fn rows(&self) -> Vec<Value> {
        vec![self.json()]
    }

    fn names(&self) -> Vec<String> {
        vec![self.name.clone()]
    }

    fn text(&self, _style: Style) -> String {
        let Self { kind, name, version, .. } = self;
        let unchanged = if self.change == "unchanged" { " as before" } else { "" };
        let applied = match self.applied {
            None => "; the cluster applies it".to_owned(),
            Some(_) if self.services.is_empty() => "; no service uses it".to_owned(),
            Some(1) => "; applied to 1 task".to_owned(),
            Some(count) => format!("; applied to {count} tasks"),
        };
        format!("{kind} {name} has version {version}{unchanged}{applied}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_applied_when_tasks_have_confirmed_it() {
        let mut view = ValueSetView {
            kind: ValueKind::Secret,
            name: "db".to_owned(),
            version: 7,
            change: "updated".to_owned(),
            applied: None,
            services: vec![WorkloadChange { stack: "shop".to_owned(), deployment: 3, ..WorkloadChange::default() }],
        };
        let style = Style::default();
        assert_eq!(view.text(style), "secret db has version 7; the cluster applies it\n");
        view.applied = Some(2);
        assert_eq!(view.text(style), "secret db has version 7; applied to 2 tasks\n");
        assert_eq!(view.json()["services"][0]["deployment"], 3);
        view.services.clear();
        view.change = "unchanged".to_owned();
        assert_eq!(view.text(style), "secret db has version 7 as before; no service uses it\n");
    }
}
