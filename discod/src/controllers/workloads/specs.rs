//! Versions of services for tests.

use std::collections::BTreeMap;

use crate::records::{DependencySpec, ResourceSpec, ServiceSpec};

/// As a number of copies: one on each node.
pub(in crate::controllers) const EVERY_NODE: u32 = u32::MAX;

pub(in crate::controllers) fn behaviour(spec: &ServiceSpec) -> &str {
    spec.labels.get("behaviour").map_or("good", String::as_str)
}

/// A version with one port whose tasks behave as named.
pub(in crate::controllers) fn spec(version: &str, behaviour: &str) -> ServiceSpec {
    let text = serde_json::json!({
        "driver": "process",
        "process": { "program": "app", "files": [] },
        "ports": [{ "target": 80, "protocol": "tcp" }],
        "needs": { "cpu_millis": 100, "memory": 10 },
        "stop_signal": "SIGTERM",
        "stop_grace_ms": 1000,
        "update": { "batch": 1, "delay_ms": 0, "stop_first": false, "max_unavailable": 0, "limit_ms": 60000, "max_failures": 2 },
        "labels": { "version": version, "behaviour": behaviour },
    });
    serde_json::from_value(text).unwrap()
}

pub(in crate::controllers) fn good(version: &str) -> ServiceSpec {
    spec(version, "good")
}

/// A good version that waits for another service.
pub(in crate::controllers) fn depending(version: &str, on: &str, condition: DependencySpec) -> ServiceSpec {
    ServiceSpec { depends_on: BTreeMap::from([(on.to_owned(), condition)]), ..good(version) }
}

/// A version that takes so much memory of its node, which has 1,000.
pub(in crate::controllers) fn large(version: &str, memory: u64) -> ServiceSpec {
    ServiceSpec { needs: ResourceSpec { cpu_millis: 0, memory }, ..good(version) }
}
