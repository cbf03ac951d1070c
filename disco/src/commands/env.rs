use serde_json::{Map, Value, json};

use crate::{
    client::{CA_CERTIFICATE, Client, OPERATOR_CERTIFICATE, OPERATOR_KEY},
    context::Context,
    error::{Failure, Outcome},
    exit::ExitStatus,
    printer::{Style, View},
    project::Addresses,
};

/// Uses only the project's state, so it also works while the cluster does not answer. Prints variables for other clients only:
/// a `DISCO_*` variable would direct every later `disco` command of the same shell to this project, whatever its folder.
pub(super) fn run(context: &Context) -> Outcome<ExitStatus> {
    Client::open(context)?;
    let state = context.project()?.state();
    let endpoints: Vec<String> =
        Addresses::load(&state)?.nodes.iter().map(|node| format!("https://{}", node.outer())).collect();
    if endpoints.is_empty() {
        return Err(
            Failure::new(ExitStatus::NotFound, "no node address is known").hint("`disco bootstrap` finds the nodes")
        );
    }
    let file = |name: &str| state.file(name).display().to_string();
    context.printer.show(&Environment(vec![
        ("ETCDCTL_API", "3".to_owned()),
        ("ETCDCTL_ENDPOINTS", endpoints.join(",")),
        ("ETCDCTL_CACERT", file(CA_CERTIFICATE)),
        ("ETCDCTL_CERT", file(OPERATOR_CERTIFICATE)),
        ("ETCDCTL_KEY", file(OPERATOR_KEY)),
    ]))?;
    Ok(ExitStatus::Done)
}

struct Environment(Vec<(&'static str, String)>);

impl View for Environment {
    fn json(&self) -> Value {
        Value::Object(self.0.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect::<Map<_, _>>())
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|(name, _)| (*name).to_owned()).collect()
    }

    fn text(&self, _style: Style) -> String {
        self.0.iter().map(|(name, value)| format!("export {name}={}\n", quoted(value))).collect()
    }
}

/// Quotes a value for any POSIX shell.
fn quoted(text: &str) -> String {
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-:,@%+=".contains(c));
    if plain && !text.is_empty() { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_survive_the_shell() {
        assert_eq!(quoted("/a/b.pem"), "/a/b.pem");
        assert_eq!(quoted("/it's here"), r"'/it'\''s here'");
    }
}
