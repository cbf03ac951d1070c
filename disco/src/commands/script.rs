use disco_store::typed::keys::SCRIPTS;
use serde_json::{Value, json};

use crate::{
    cli::ScriptPushArgs,
    client::Client,
    context::Context,
    error::{Failure, Outcome},
    exit::ExitStatus,
    founding::push_script,
    printer::{Style, Table, View, cell},
    view::short_hash,
};

pub(super) async fn push(args: &ScriptPushArgs, context: &Context) -> Outcome<ExitStatus> {
    let client = Client::open(context)?;
    let project = context.project()?;
    if project.cluster_script().is_none() {
        return Err(Failure::new(ExitStatus::NotFound, format!("no `cluster.js` in `{}`", project.root().display()))
            .hint("a cluster runs without one; `disco init` writes an example"));
    }
    let pushed = push_script(&client, &project, &context.printer, args.dry_run).await?;
    context.printer.show(&Pushed { script: pushed.script, changed: pushed.changed, nodes: pushed.nodes })?;
    Ok(ExitStatus::Done)
}

pub(super) async fn ls(context: &Context) -> Outcome<ExitStatus> {
    let client = Client::open(context)?;
    let status = client.status(false).await?;
    let listing = client.under(SCRIPTS).await?;
    let versions = listing
        .kvs
        .iter()
        .map(|kv| {
            let hash = String::from_utf8_lossy(&kv.key[SCRIPTS.len()..]).into_owned();
            let script = if hash.contains(':') { hash } else { format!("sha256:{hash}") };
            // A version without valid JSON is listed without details.
            let details = serde_json::from_slice(&kv.value).unwrap_or(Value::Null);
            Version { current: script == status.script, script, revision: kv.create_revision, details }
        })
        .collect();
    context.printer.show(&Versions(versions))?;
    Ok(ExitStatus::Done)
}

struct Pushed {
    script: String,
    changed: bool,
    nodes: Vec<u64>,
}

impl View for Pushed {
    fn json(&self) -> Value {
        json!({ "script": self.script, "changed": self.changed, "nodes": self.nodes })
    }

    fn names(&self) -> Vec<String> {
        vec![self.script.clone()]
    }

    fn text(&self, _style: Style) -> String {
        let how = if self.changed { "new" } else { "unchanged" };
        format!("{} ({how}, on {} nodes)\n", self.script, self.nodes.len())
    }
}

struct Version {
    script: String,
    current: bool,
    revision: i64,
    details: Value,
}

struct Versions(Vec<Version>);

impl View for Versions {
    fn json(&self) -> Value {
        self.0
            .iter()
            .map(|version| {
                json!({
                    "script": version.script,
                    "current": version.current,
                    "revision": version.revision,
                    "time": version.details["time"],
                    "files": version.details["files"],
                })
            })
            .collect()
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|version| version.script.clone()).collect()
    }

    fn text(&self, style: Style) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        let mut table = Table::new(style, &["SCRIPT", "CURRENT", "REVISION"]);
        for version in &self.0 {
            let current = if version.current { cell::good("yes") } else { cell::plain("") };
            // The same digits as in `disco status`; `-o wide` and pipes get all.
            let script = if style.width.is_some() { short_hash(&version.script) } else { version.script.clone() };
            table.row(vec![cell::plain(script), current, cell::plain(version.revision)]);
        }
        table.text()
    }
}
