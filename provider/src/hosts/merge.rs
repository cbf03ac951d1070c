//! Merges the hosts of two scripts.

use std::collections::BTreeSet;

use serde_json::Value;

use super::options::Host;

/// The options of `HostsProvider.init` of the first script, followed by the hosts that only the second one names. For a host in
/// both, even with another port, the first script counts, except for the names that the second one has resolved: those of an operator's
/// SSH configuration mean nothing to the first.
#[must_use]
pub fn merge(first: &Value, second: &Value) -> Value {
    let entries = |options: &Value| options["hosts"].as_array().cloned().unwrap_or_default();
    let second = entries(second);
    let mut hosts: Vec<Value> = entries(first).into_iter().map(|entry| resolved(entry, &second)).collect();
    let name = |entry: &Value| Host::read(entry).ok().map(|host| host.ssh.host.to_ascii_lowercase());
    let named: BTreeSet<_> = hosts.iter().filter_map(name).collect();
    hosts.extend(second.into_iter().filter(|entry| name(entry).is_some_and(|name| !named.contains(&name))));
    let mut merged = first.clone();
    if let Some(options) = merged.as_object_mut() {
        options.insert("hosts".to_owned(), hosts.into());
    }
    merged
}

/// The entry as the second script has resolved it, with its own other addresses.
fn resolved(entry: Value, second: &[Value]) -> Value {
    let text = entry.as_str().or_else(|| entry["ssh"].as_str());
    let same = |other: &&Value| {
        let also_first = other["first"] == true && other["ssh"].as_str() == text;
        text.is_some() && (other["alias"].as_str() == text || also_first)
    };
    let Some(found) = second.iter().find(same) else { return entry };
    let mut found = found.clone();
    for place in ["advertise", "listen"] {
        if let Some(own) = entry.get(place) {
            found[place] = own.clone();
        }
    }
    found
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

    #[test]
    fn names_of_the_operators_configuration_are_taken_as_resolved() {
        let first = json!({ "hosts": ["web1", { "ssh": "web2", "listen": "0.0.0.0" }, "web3", "root@10.0.0.4"] });
        let second = json!({ "hosts": [
            { "ssh": "admin@10.0.0.1:22", "alias": "web1" },
            { "ssh": "admin@10.0.0.2:22", "alias": "web2", "advertise": "1.2.3.4", "listen": "::" },
            { "ssh": "root@10.0.0.4", "first": true },
        ] });
        let expected = json!([
            { "ssh": "admin@10.0.0.1:22", "alias": "web1" },
            { "ssh": "admin@10.0.0.2:22", "alias": "web2", "advertise": "1.2.3.4", "listen": "0.0.0.0" },
            "web3",
            { "ssh": "root@10.0.0.4", "first": true },
        ]);
        assert_eq!(merge(&first, &second)["hosts"], expected);
    }
}
