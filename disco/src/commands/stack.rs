//! `disco stack`: what the stack files of a folder say.

use disco_stack::{Copies, Runs, Service, Stack};
use serde_json::Value;

use crate::{
    cli::StackArgs,
    context::Context,
    error::Outcome,
    exit::ExitStatus,
    printer::{Style, Table, View, cell},
    workload::{find, load, missing, warn},
};

pub(super) fn run(args: &StackArgs, context: &Context) -> Outcome<ExitStatus> {
    let source = find(&args.files, context).ok_or_else(|| missing(context))?;
    let loaded = load(&source, &args.files, context)?;
    warn(&loaded.warnings, &loaded.sources, context);
    context.printer.show(&StackView(loaded.stack))?;
    Ok(ExitStatus::Done)
}

struct StackView(Stack);

impl View for StackView {
    fn json(&self) -> Value {
        self.0.json.clone()
    }

    fn names(&self) -> Vec<String> {
        self.0.services.keys().cloned().collect()
    }

    fn text(&self, style: Style) -> String {
        let mut table = Table::new(style, &["SERVICE", "RUNS", "COPIES", "PORTS", "AFTER"]).spare(&["AFTER", "PORTS"]);
        for (name, service) in &self.0.services {
            let after: Vec<&str> = service.depends_on.keys().map(String::as_str).collect();
            table.row(vec![
                cell::plain(name),
                cell::plain(runs(service)),
                cell::plain(copies(service)),
                cell::plain(ports(service)),
                cell::plain(after.join(" ")),
            ]);
        }
        format!("stack {}\n{}", self.0.name, table.text())
    }
}

fn runs(service: &Service) -> String {
    match &service.runs {
        Runs::Process(process) => process.path.clone(),
        Runs::Container { image: Some(image), .. } => image.clone(),
        Runs::Container { image: None, .. } => {
            format!("build {}", service.json["build"]["context"].as_str().unwrap_or("."))
        }
    }
}

fn copies(service: &Service) -> String {
    match service.copies {
        _ if service.singleton => "1, singleton".to_owned(),
        Copies::Number(count) => count.to_string(),
        Copies::EveryNode => "every node".to_owned(),
    }
}

fn ports(service: &Service) -> String {
    let ports = service.ports.iter().map(|port| {
        let protocol = if port.protocol == "tcp" { String::new() } else { format!("/{}", port.protocol) };
        match port.published {
            Some(published) if published.first == published.last => {
                format!("{}:{}{protocol}", published.first, port.target)
            }
            Some(published) => format!("{}-{}:{}{protocol}", published.first, published.last, port.target),
            None => format!("{}{protocol}", port.target),
        }
    });
    ports.collect::<Vec<_>>().join(" ")
}
