use serde_json::{Value, json};

use crate::{
    cli::DoArgs,
    context::Context,
    error::{Failure, Outcome},
    exit::ExitStatus,
    founding::Purpose,
    host::Script,
    printer::{Style, View},
    view::would,
};

pub(super) async fn run(args: &DoArgs, context: &Context) -> Outcome<ExitStatus> {
    // Listing is a dry run, too: it runs `init` to find the functions, and `init` may run commands.
    let purpose = if args.dry_run || args.name.is_none() { Purpose::Plan } else { Purpose::Work };
    let script = Script::load(context, purpose, None).await?;
    let functions = script.functions();
    let Some(name) = &args.name else {
        context.printer.show(&Functions(functions))?;
        return Ok(ExitStatus::Done);
    };
    if !functions.contains(name) {
        let hint = match functions.as_slice() {
            [] => "add an `export async function` to `client.js`".to_owned(),
            some => format!("exported functions: {}", some.join(", ")),
        };
        return Err(Failure::new(ExitStatus::NotFound, format!("`client.js` exports no function `{name}`")).hint(hint));
    }
    script.founder()?;
    if args.dry_run {
        let words: Vec<String> = args.args.iter().map(|word| json!(word).to_string()).collect();
        let arguments = [vec!["cluster".to_owned()], words].concat().join(", ");
        return would(context, vec![format!("call `{name}({arguments})`")]);
    }
    let result = script.call(name, args.args.iter().map(|word| json!(word)).collect()).await?;
    context.printer.show(&Returned(result))?;
    Ok(ExitStatus::Done)
}

struct Functions(Vec<String>);

impl View for Functions {
    fn json(&self) -> Value {
        json!(self.0)
    }

    fn rows(&self) -> Vec<Value> {
        self.0.iter().map(|name| json!({ "name": name })).collect()
    }

    fn names(&self) -> Vec<String> {
        self.0.clone()
    }

    fn text(&self, _style: Style) -> String {
        self.0.iter().map(|name| format!("{name}\n")).collect()
    }
}

/// The function's result: a string as it is, anything else as JSON, nothing for `undefined`.
struct Returned(Option<Value>);

impl View for Returned {
    fn json(&self) -> Value {
        self.0.clone().unwrap_or(Value::Null)
    }

    fn names(&self) -> Vec<String> {
        match &self.0 {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(values)) => values.iter().map(plain).collect(),
            Some(value) => vec![plain(value)],
        }
    }

    fn text(&self, _style: Style) -> String {
        match &self.0 {
            None => String::new(),
            Some(Value::String(text)) => format!("{text}\n"),
            Some(other) => format!("{other:#}\n"),
        }
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
