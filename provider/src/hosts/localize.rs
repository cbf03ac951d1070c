//! The operator's SSH configuration, applied to the hosts of a script.
//!
//! The nodes of a cluster do not have that configuration, so the operator sends them what it says about address, port and user. What
//! only concerns the operator (keys, agent, jump hosts, known hosts) is looked up again by the script's own text at each connection.

use serde_json::{Value, json};

use super::options::{Host, WHAT};
use crate::ssh::{Route, SshConfig};
use crate::{ProviderError, SshTarget};

/// The options of `HostsProvider.init` with each host as the configuration `config` resolves it, and the parts of the configuration that
/// were not evaluated. A host that it does not change stays as it is.
///
/// # Errors
/// The configuration cannot be used for a host. Other errors of the options are left to the provider.
pub fn localize(options: &Value, config: &SshConfig) -> Result<(Value, Vec<String>), ProviderError> {
    let (mut localized, mut notes) = (options.clone(), Vec::new());
    let entries = localized.get_mut("hosts").and_then(Value::as_array_mut);
    for entry in entries.into_iter().flatten() {
        // Invalid ones are refused by the provider, and those of the record are resolved already.
        let Some(host) = Host::read(entry).ok().filter(|host| host.alias.is_none()) else { continue };
        let Some(name) = entry.as_str().or_else(|| entry["ssh"].as_str()).map(str::to_owned) else { continue };
        let Route { last, notes: more, .. } =
            config.route(&name).map_err(|error| ProviderError::Options { what: WHAT, reason: error.to_string() })?;
        for note in more {
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
        if last.target == host.ssh {
            continue;
        }
        let mut resolved = if entry.is_object() { entry.clone() } else { json!({}) };
        resolved["ssh"] = json!(last.target.to_string());
        resolved["alias"] = json!(name);
        *entry = resolved;
    }
    Ok((localized, notes))
}

/// The options with the host at `target` used before the others when the cluster takes the next one.
#[must_use]
pub fn first(options: &Value, target: &SshTarget) -> Value {
    let mut changed = options.clone();
    let entries = changed.get_mut("hosts").and_then(Value::as_array_mut);
    for entry in entries.into_iter().flatten() {
        if Host::read(entry).is_ok_and(|host| host.ssh == *target) {
            let mut detailed = if entry.is_object() { entry.clone() } else { json!({ "ssh": entry.clone() }) };
            detailed["first"] = json!(true);
            *entry = detailed;
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn hosts_that_the_configuration_changes_keep_their_name_beside_the_address() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config");
        std::fs::write(
            &file,
            "Host web1\n  HostName 10.0.0.7\n  User admin\n  ProxyJump gate\nMatch exec x\n  Port 1\n",
        )
        .unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        let config = SshConfig::of_files(dir.path(), "me", vec![file]);
        let options = json!({ "name": "n", "hosts": ["web1", "root@10.0.0.8", { "ssh": "web1:2222", "advertise": "1.2.3.4" }, 7] });
        let (localized, notes) = localize(&options, &config).unwrap();
        let expected = json!({ "name": "n", "hosts": [
            { "ssh": "admin@10.0.0.7:22", "alias": "web1" },
            "root@10.0.0.8",
            { "ssh": "admin@10.0.0.7:2222", "alias": "web1:2222", "advertise": "1.2.3.4" },
            7,
        ] });
        assert_eq!(localized, expected);
        assert_eq!(notes.len(), 1, "{notes:?}");
        // Once is enough.
        assert_eq!(localize(&localized, &config).unwrap().0, expected);
        let first_at = |target: &str| first(&localized, &target.parse().unwrap());
        let web1 = first_at("admin@10.0.0.7");
        assert_eq!((&web1["hosts"][0]["first"], &web1["hosts"][2]["first"]), (&json!(true), &Value::Null));
        // However it is written.
        for target in ["root@10.0.0.8", "10.0.0.8", "10.0.0.8:22"] {
            assert_eq!(first_at(target)["hosts"][1], json!({ "ssh": "root@10.0.0.8", "first": true }), "{target}");
        }
        assert_eq!(first_at("none"), localized);
        assert_eq!(localize(&json!({}), &config).unwrap().0, json!({}));
    }
}
