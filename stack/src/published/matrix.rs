//! `docs/stack.md`.

use super::long_form;
use crate::schema::{Key, Kind, Support, TOP};

/// The content of `docs/stack.md`.
pub fn matrix() -> String {
    let mut text = include_str!("intro.md").to_owned();
    let mut tables = Vec::new();
    table("The top level", "", TOP, &mut tables);
    text.push_str(&tables.concat());
    text
}

/// A table of the keys, then one for each key whose value has keys of its own.
fn table(title: &str, path: &str, keys: &'static [Key], tables: &mut Vec<String>) {
    let mut text = format!("\n### {title}\n\n| key | value | Disco | remark |\n|---|---|---|---|\n");
    for key in keys {
        let (support, remark) = match key.support {
            Support::Yes(note) => ("yes", note.to_owned()),
            Support::Limited(note) => ("limited", note.to_owned()),
            Support::NoEffect(why) => ("limited", format!("no effect, with a warning: {why}")),
            Support::No(instead) => ("**no**", instead.to_owned()),
        };
        let value = if matches!(key.support, Support::No(_)) { "" } else { label(&key.kind) };
        text.push_str(&format!("| `{}` | {value} | {support} | {} |\n", key.name, remark.replace('|', "\\|")));
    }
    tables.push(text);
    for key in keys.iter().filter(|key| !matches!(key.support, Support::No(_))) {
        if let Some(inner) = long_form(&key.kind) {
            let named = matches!(key.kind, Kind::Map(_) | Kind::NamesOrMap(_) | Kind::DependsOn | Kind::Ulimits);
            let own = if named { format!("{path}{}.NAME", key.name) } else { format!("{path}{}", key.name) };
            table(&format!("`{own}`"), &format!("{own}."), inner, tables);
        }
    }
}

fn label(kind: &Kind) -> &'static str {
    match kind {
        Kind::Text => "text",
        Kind::Scalar => "text or number",
        Kind::Bool => "`true`, `false`",
        Kind::Int => "whole number",
        Kind::Number => "number",
        Kind::Duration => "duration",
        Kind::Size => "size",
        Kind::SizeOrUnlimited => "size or -1",
        Kind::Mode => "octal permissions",
        Kind::OneOf(_) | Kind::Restart | Kind::PullPolicy => "a name",
        Kind::TextList | Kind::ScalarList | Kind::Expose => "list",
        Kind::TextOrList | Kind::Tmpfs | Kind::EnvFiles => "text or list",
        Kind::Pairs(_) | Kind::ExtraHosts => "mapping or list",
        Kind::List(_) | Kind::Ports | Kind::Volumes | Kind::Mounts(_) | Kind::Devices => "list",
        Kind::Map(_) | Kind::Object(_) | Kind::ObjectOrNull(_) | Kind::Ulimits => "mapping",
        Kind::TextOrObject(..) => "text or mapping",
        Kind::NamesOrMap(_) | Kind::DependsOn => "list or mapping",
        Kind::External => "`true`, `false`",
        Kind::Command | Kind::HealthTest => "text or list",
        Kind::Gpus => "`all` or list",
        Kind::DeviceCount => "number or `all`",
        Kind::Free => "see the specification",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys that every reader of the specification asks about.
    #[test]
    fn the_matrix_answers_for_the_newest_keys() {
        let text = matrix();
        for row in [
            "| `pre_start` |  | **no** |",
            "| `post_start` | list | limited |",
            "| `pre_stop` | list | limited |",
            "| `mode` | a name | limited | `replicated`, or `global`",
            "| `restart` | `true`, `false` | yes |",
            "| `required` | `true`, `false` | yes |",
            "| `start_interval` | duration | yes |",
            "| `content` | text | yes |",
            "| `develop` | see the specification | limited |",
            "| `models` |  | **no** |",
            "| `provider` |  | **no** |",
            "| `gpus` | `all` or list | limited |",
        ] {
            assert!(text.contains(row), "{row}");
        }
    }
}
