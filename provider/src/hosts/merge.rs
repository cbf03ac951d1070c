//! Merges the hosts of two scripts.

use std::collections::BTreeSet;

use serde_json::Value;

use super::options::Host;

/// The options of `HostsProvider.init` of the first script, followed by the hosts that only the second one names. For a host in
/// both, even with another port, the first script counts.
#[must_use]
pub fn merge(first: &Value, second: &Value) -> Value {
    let entries = |options: &Value| options["hosts"].as_array().cloned().unwrap_or_default();
    let name = |entry: &Value| Host::read(entry).ok().map(|host| host.ssh.host.to_ascii_lowercase());
    let mut hosts = entries(first);
    let named: BTreeSet<_> = hosts.iter().filter_map(name).collect();
    hosts.extend(entries(second).into_iter().filter(|entry| name(entry).is_some_and(|name| !named.contains(&name))));
    let mut merged = first.clone();
    if let Some(options) = merged.as_object_mut() {
        options.insert("hosts".to_owned(), hosts.into());
    }
    merged
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn hosts_of_either_script_count_and_the_first_has_its_way() {
        let first = json!({ "name": "web", "hosts": ["a@one:22", { "ssh": "a@two", "advertise": "10.0.0.2" }] });
        let second = json!({ "name": "other", "hosts": ["a@ONE:2222", "a@two", "a@three"] });
        let merged = merge(&first, &second);
        let expected = json!(["a@one:22", { "ssh": "a@two", "advertise": "10.0.0.2" }, "a@three"]);
        assert_eq!((&merged["name"], &merged["hosts"]), (&json!("web"), &expected));
        assert_eq!(merge(&first, &json!(null)), first);
    }
}
