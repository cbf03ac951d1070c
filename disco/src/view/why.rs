use disco_store::typed::EventRecord;
use serde_json::{Value, json};

use super::units::seconds;
use crate::{
    printer::{Style, View, wrap},
    workload::Explanation,
};

/// `disco why`: each answer with the last lines of output that belong to it.
#[derive(Debug)]
pub(crate) struct WhyView(pub(crate) Vec<(Explanation, Vec<String>)>);

/// Columns of a fact's name.
const NAME: usize = 16;

fn json_of(explanation: &Explanation, output: &[String]) -> Value {
    let facts = explanation.facts.iter().map(|(name, text)| json!({ "name": name, "text": text }));
    let nodes = explanation
        .nodes
        .iter()
        .map(|refusal| json!({ "copies": refusal.copies, "node": refusal.node, "reason": refusal.reason }));
    json!({
        "kind": explanation.kind,
        "name": explanation.name,
        "ok": explanation.ok,
        "verdict": explanation.verdict,
        "facts": facts.collect::<Vec<_>>(),
        "nodes": nodes.collect::<Vec<_>>(),
        "output": output,
        "events": explanation.events,
        "next": explanation.next,
    })
}

fn text_of(explanation: &Explanation, output: &[String], style: Style) -> String {
    let verdict = if explanation.ok { style.good(&explanation.verdict) } else { style.bad(&explanation.verdict) };
    let mut text = format!("{} `{}`: {verdict}\n", explanation.kind, style.bold(&explanation.name));
    let mut line = |name: &str, value: &str| {
        let width = NAME.max(name.chars().count());
        let value = wrap(value, style.width, width + 3);
        text.push_str(&format!("  {} {value}\n", style.dim(&format!("{name:<width$}"))));
    };
    for (name, value) in &explanation.facts {
        line(name, value);
    }
    for refusal in &explanation.nodes {
        let name = if refusal.node.is_empty() { "no node" } else { &refusal.node };
        let copies = if refusal.copies.is_empty() { String::new() } else { format!(" (copy {})", refusal.copies) };
        line(name, &format!("{}{copies}", refusal.reason));
    }
    if !output.is_empty() {
        text.push_str("last lines of its output:\n");
        for printed in output {
            // A task may write control characters, which would reach the terminal.
            let plain: String = printed.chars().filter(|c| !c.is_control() || *c == '\t').collect();
            text.push_str(&format!("  {plain}\n"));
        }
    }
    if !explanation.events.is_empty() {
        text.push_str("last events:\n");
        for EventRecord { time, kind, message, .. } in &explanation.events {
            let head = format!("  {} {kind} ", seconds(time));
            let indent = head.chars().count();
            text.push_str(&format!("{head}{}\n", wrap(message, style.width, indent)));
        }
    }
    if let Some((first, others)) = explanation.next.split_first() {
        let others: String = others.iter().map(|other| format!(", `{other}`")).collect();
        text.push_str(&format!("next: `{}`{others}\n", style.accent(first)));
    }
    text
}

impl View for WhyView {
    fn json(&self) -> Value {
        self.0.iter().map(|(explanation, output)| json_of(explanation, output)).collect()
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|(explanation, _)| explanation.name.clone()).collect()
    }

    fn text(&self, style: Style) -> String {
        let texts: Vec<String> =
            self.0.iter().map(|(explanation, output)| text_of(explanation, output, style)).collect();
        texts.join("\n")
    }
}
