//! Names of stacks and services are names in DNS.

use crate::{
    place::Place,
    problem::{Findings, Problem},
};

/// The longest label of DNS.
const LONGEST: usize = 63;

pub(super) fn check_service(name: &str, place: Place, findings: &mut Findings) {
    if let Err(why) = check(name) {
        findings.error(Problem::at(place, format!("invalid service name `{name}`: {why}")));
    } else if name.contains('_') {
        let message = format!("the service name `{name}` has a `_`, which some programs refuse in a host's name");
        findings.warn(Problem::at(place, message).hint(format!("call it `{}`", name.replace('_', "-"))));
    }
}

/// Whether a name can be that of a stack.
pub(crate) fn check_stack(name: &str) -> Result<(), String> {
    check(name)?;
    if name.contains('.') || name.chars().any(|c| c.is_ascii_uppercase()) {
        return Err("expected lower-case letters, digits, `-` and `_`".to_owned());
    }
    Ok(())
}

fn check(name: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() {
        Err("it is empty".to_owned())
    } else if let Some(c) = name.chars().find(|c| !allowed(*c)) {
        Err(format!("`{c}`: expected letters, digits, `-`, `_` and `.`"))
    } else if name.starts_with(['-', '.', '_']) || name.ends_with(['-', '.']) {
        Err("it must begin and end with a letter or a digit".to_owned())
    } else if name.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        Err("a number would be read as an address, or as the number of a copy".to_owned())
    } else if name.split('.').any(|label| label.len() > LONGEST) {
        Err(format!("it has more than {LONGEST} characters"))
    } else {
        Ok(())
    }
}

/// A stack's name from that of its folder: lower case, without what a name cannot have.
pub(crate) fn stack_name(folder: &str) -> String {
    let lower = folder.to_lowercase();
    let kept: String = lower.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).collect();
    kept.trim_start_matches(['-', '_']).trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_names_in_dns() {
        for name in ["web", "web-1", "a.b", "1a", "Web", "a_b"] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
        for name in ["", "1", "10.0", "-web", "web-", "web/api", "a b", ".a", "é", "_x", &"a".repeat(64)] {
            assert!(check(name).is_err(), "{name}");
        }
        assert!(check_stack("Web").is_err());
        assert_eq!(stack_name("My Shop (2)"), "myshop2");
        assert_eq!(stack_name("-_x-"), "x");
    }
}
