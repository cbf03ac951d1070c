use std::collections::HashMap;

use disco_provider::ssh::SshConfig;

use crate::error::{Failure, Outcome};

/// Checks the hosts, and says what the operator's SSH configuration makes of those that it changes.
pub(super) fn checked(hosts: &[String]) -> Outcome<Vec<String>> {
    let config = SshConfig::of_user();
    let (mut notes, mut seen) = (Vec::new(), HashMap::new());
    for host in hosts {
        let route = config.route(host).map_err(|error| {
            let text = error.to_string();
            let (text, hint) =
                text.split_once("\nhint: ").unwrap_or((&text, "each host is as after `ssh`: `user@host:port`"));
            Failure::usage(format!("`--hosts`: {text}")).hint(hint)
        })?;
        let target = route.last.target;
        if let Some(other) = seen.insert(target.endpoint(), host) {
            return Err(Failure::usage(format!("`--hosts`: `{other}` and `{host}` are the same machine, {target}")));
        }
        for note in route.notes {
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
        let plain = target.to_string() == *host || target.to_string() == format!("{host}:22");
        let jumps: Vec<String> = route.jumps.iter().map(|hop| hop.target.to_string()).collect();
        if !plain || !jumps.is_empty() {
            let through = if jumps.is_empty() { String::new() } else { format!(" through {}", jumps.join(", ")) };
            notes.push(format!("`{host}` is {target}{through}"));
        }
    }
    Ok(notes)
}
