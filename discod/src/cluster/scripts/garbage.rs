//! Scripts, deployments and blobs that are no longer needed. Decisions only; the leader's controller executes them.

use std::collections::BTreeSet;

use super::records::{DeploymentRecord, DeploymentState, ScriptRecord};
use crate::records::GroupRecord;

/// Number of script versions to retain.
const KEEP_VERSIONS: usize = 5;
/// Number of deployments to retain.
const KEEP_DEPLOYMENTS: usize = 20;

/// Numbers of the deployments to delete: all but the latest. A running deployment is retained.
#[must_use]
pub fn old_deployments(deployments: &[DeploymentRecord]) -> Vec<u64> {
    let mut numbers: Vec<u64> = deployments.iter().map(|deployment| deployment.id).collect();
    numbers.sort_unstable_by(|a, b| b.cmp(a));
    let kept: BTreeSet<u64> = numbers.into_iter().take(KEEP_DEPLOYMENTS).collect();
    let old = deployments.iter().filter(|one| !kept.contains(&one.id) && one.state != DeploymentState::Running);
    old.map(|deployment| deployment.id).collect()
}

/// Hashes of the script versions to delete: all but the latest, the one in use and those of running deployments.
#[must_use]
pub fn old_versions(versions: &[ScriptRecord], current: Option<&str>, deployments: &[DeploymentRecord]) -> Vec<String> {
    let mut newest: Vec<&ScriptRecord> = versions.iter().collect();
    newest.sort_unstable_by_key(|version| std::cmp::Reverse(version.version));
    let running = deployments.iter().filter(|deployment| deployment.state == DeploymentState::Running);
    let kept: BTreeSet<&str> = newest
        .iter()
        .take(KEEP_VERSIONS)
        .map(|version| version.hash.as_str())
        .chain(current)
        .chain(running.map(|deployment| deployment.script.as_str()))
        .collect();
    let old = versions.iter().filter(|version| !kept.contains(version.hash.as_str()));
    old.map(|version| version.hash.clone()).collect()
}

/// The blobs that records refer to. `groups` are the versions of services.
#[must_use]
pub fn needed(versions: &[ScriptRecord], deployments: &[DeploymentRecord], groups: &[GroupRecord]) -> BTreeSet<String> {
    let scripts = versions.iter().flat_map(|version| &version.files);
    let deployed = deployments.iter().flat_map(|deployment| &deployment.files);
    let programs = groups.iter().filter_map(|group| group.spec.process.as_ref()).flat_map(|process| &process.files);
    scripts.chain(deployed).chain(programs).map(|file| file.sha256.clone()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::cluster::scripts::records::FileRecord;

    fn version(number: u64) -> ScriptRecord {
        let file = FileRecord { path: "cluster.js".into(), sha256: format!("blob{number}"), size: 1, mode: 0o644 };
        ScriptRecord {
            hash: format!("sha256:{number}"),
            version: number,
            time: String::new(),
            files: vec![file],
            exports: Vec::new(),
        }
    }

    fn deployment(number: u64, state: DeploymentState, script: u64) -> DeploymentRecord {
        DeploymentRecord {
            id: number,
            stack: None,
            state,
            script: format!("sha256:{script}"),
            files: Vec::new(),
            variables: BTreeMap::new(),
            started_at: String::new(),
            finished_at: None,
            leader: 1,
            term: 1,
            unplaced: None,
            error: None,
            result: None,
        }
    }

    #[test]
    fn the_last_versions_and_those_in_use_stay() {
        let versions: Vec<ScriptRecord> = (1..=9).map(version).collect();
        let deployments = [deployment(1, DeploymentState::Running, 2), deployment(2, DeploymentState::Failed, 1)];
        let old = old_versions(&versions, Some("sha256:3"), &deployments);
        assert_eq!(old, ["sha256:1", "sha256:4"]);
        assert_eq!(old_versions(&versions[..5], None, &[]), Vec::<String>::new());
    }

    #[test]
    fn the_last_deployments_and_a_running_one_stay() {
        let mut deployments: Vec<DeploymentRecord> =
            (1..=23).map(|number| deployment(number, DeploymentState::Succeeded, 1)).collect();
        deployments[1].state = DeploymentState::Running;
        assert_eq!(old_deployments(&deployments), [1, 3]);
        assert_eq!(old_deployments(&deployments[..20]), Vec::<u64>::new());
    }

    #[test]
    fn the_programs_of_services_are_needed() {
        let group = serde_json::json!({
            "id": 1, "stack": "shop", "service": "web", "deployment": 1, "hash": "sha256:1",
            "spec": {
                "driver": "process", "stop_signal": "SIGTERM", "stop_grace_ms": 1,
                "process": { "program": "app", "files": [{ "path": "app", "sha256": "program", "size": 1, "mode": 493 }] },
            },
        });
        let group: GroupRecord = serde_json::from_value(group).unwrap();
        assert_eq!(needed(&[version(1)], &[], &[group]), ["blob1".to_owned(), "program".to_owned()].into());
    }
}
