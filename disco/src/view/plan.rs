use disco_provider::{
    Usd,
    plan::{Action, Change},
};
use serde_json::{Value, json};

use crate::{
    founding::Planned,
    printer::{Style, Table, View, cell},
};

/// `disco plan`. Fields of the JSON are added, never renamed.
#[derive(Debug)]
pub(crate) struct PlanView {
    cluster: String,
    planned: Planned,
}

impl PlanView {
    pub(crate) fn new(cluster: &str, planned: Planned) -> Self {
        Self { cluster: cluster.to_owned(), planned }
    }

    pub(crate) fn has_changes(&self) -> bool {
        !self.planned.changes.is_empty()
    }

    fn changes(&self) -> &[Change] {
        self.planned.changes.as_slice()
    }

    fn summary(&self) -> String {
        let changes = &self.planned.changes;
        let count = |action| format!("{} to {action}", changes.count(action));
        let monthly = changes.monthly();
        let direction = if monthly < Usd::ZERO { "less" } else { "more" };
        let amount = if monthly < Usd::ZERO { -monthly } else { monthly };
        let unknown = match changes.unknown() {
            0 => String::new(),
            1 => ", one price is unknown".to_owned(),
            count => format!(", {count} prices are unknown"),
        };
        let run = match changes.count(Action::Run) {
            0 => String::new(),
            _ => format!(", {}", count(Action::Run)),
        };
        format!(
            "{}, {}, {}{run}; {:.2} USD a month {direction}{unknown}\n",
            count(Action::Create),
            count(Action::Change),
            count(Action::Delete),
            amount.dollars(),
        )
    }
}

/// Maximum width of a name in the table; JSON has the whole name.
const WIDTH: usize = 72;

/// Joins the lines of a name, which may be a command of several lines, and truncates the result.
fn one_line(name: &str) -> String {
    let words = name.split_whitespace().collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words,
    }
}

fn change_json(change: &Change) -> Value {
    json!({
        "action": change.action.as_str(),
        "kind": change.kind,
        "name": change.name,
        "details": change.details,
        "monthly_usd": change.monthly.map(Usd::dollars),
    })
}

impl View for PlanView {
    fn json(&self) -> Value {
        let changes = &self.planned.changes;
        json!({
            "cluster": self.cluster,
            "changes": self.rows(),
            "monthly_usd": (changes.unknown() == 0).then(|| changes.monthly().dollars()),
            "unknown_prices": changes.unknown(),
            "warnings": self.planned.warnings,
        })
    }

    fn rows(&self) -> Vec<Value> {
        self.changes().iter().map(change_json).collect()
    }

    fn names(&self) -> Vec<String> {
        self.changes().iter().map(|change| change.name.clone()).collect()
    }

    fn text(&self, style: Style) -> String {
        let mut text = String::new();
        if self.has_changes() {
            // Nothing costs anything where the machines are the operator's own.
            let free = self.changes().iter().all(|change| change.monthly == Some(Usd::ZERO));
            let headings = ["ACTION", "KIND", "NAME", "DETAILS", "USD/MONTH"];
            let mut table = Table::new(style, &headings[..headings.len() - usize::from(free)]);
            for change in self.changes() {
                let action = match change.action {
                    Action::Create => cell::good(change.action),
                    Action::Change | Action::Run => cell::warning(change.action),
                    Action::Delete => cell::bad(change.action),
                };
                let price = match change.monthly {
                    None => "unknown".to_owned(),
                    Some(Usd::ZERO) => "-".to_owned(),
                    Some(price) => format!("{:.2}", price.dollars()),
                };
                let name = cell::plain(one_line(&change.name));
                let [kind, details] = [&change.kind, &change.details].map(cell::plain);
                let price = (!free).then(|| cell::plain(price));
                table.row([action, kind, name, details].into_iter().chain(price).collect());
            }
            text.push_str(&table.text());
            text.push_str(&format!("\n{}", self.summary()));
        } else {
            text.push_str(&format!("{}: nothing to do\n", style.bold(&self.cluster)));
        }
        for warning in &self.planned.warnings {
            text.push_str(&format!("{} {warning}\n", style.warning("warning:")));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use disco_provider::plan::Changes;

    use super::*;

    fn view(changes: Vec<Change>) -> PlanView {
        let mut all = Changes::default();
        all.extend(changes);
        PlanView::new("web", Planned { changes: all, warnings: vec!["slowly".into()] })
    }

    #[test]
    fn an_unknown_price_makes_the_sum_unknown() {
        let known = Change::machine("web-1", "t4g.micro", Some(Usd::from_micros(8_400)));
        let json = view(vec![known.clone()]).json();
        assert_eq!(json["changes"][0]["action"], "create");
        assert_eq!(json["changes"][0]["monthly_usd"], 6.132);
        assert_eq!((&json["monthly_usd"], &json["unknown_prices"]), (&json!(6.132), &json!(0)));
        let both = view(vec![known, Change::machine("web-2", "x9.huge", None)]);
        let json = both.json();
        assert_eq!(json["changes"][1]["monthly_usd"], Value::Null);
        assert_eq!((&json["monthly_usd"], &json["unknown_prices"]), (&Value::Null, &json!(1)));
        let text = both.text(Style::default());
        assert!(text.contains("unknown") && text.contains("6.13 USD a month more, one price is unknown"), "{text}");
        assert!(text.contains("2 to create, 0 to change, 0 to delete"), "{text}");
        assert!(text.contains("warning: slowly"), "{text}");
    }

    #[test]
    fn what_would_run_is_counted_and_takes_one_line() {
        let long = format!("echo 1\necho {}", "x".repeat(200));
        let view = view(vec![Change::free(Action::Run, "command", long.as_str(), "on this machine")]);
        assert!(view.has_changes());
        assert_eq!(
            (&view.json()["changes"][0]["action"], &view.json()["changes"][0]["name"]),
            (&json!("run"), &json!(long))
        );
        let text = view.text(Style::default());
        assert!(text.contains("run     command  echo 1 echo xxx"), "{text}");
        assert!(text.contains("0 to delete, 1 to run; 0.00 USD"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() < 140), "{text}");
        assert!(!text.contains("USD/MONTH"), "{text}");
    }

    #[test]
    fn a_plan_without_changes_prints_nothing_to_do() {
        let view = view(Vec::new());
        assert!(!view.has_changes() && view.text(Style::default()).starts_with("web: nothing to do"));
        assert_eq!(view.json()["changes"], json!([]));
    }
}
