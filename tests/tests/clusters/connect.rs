//! A lost laptop: an operator controls the cluster from another computer, with a copy of its keys.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use disco_tests::{Output, Project, client_script};

/// Another project of the same cluster, without its state.
fn elsewhere(project: &Project, folder: &str) -> PathBuf {
    let other = project.outside(folder);
    fs::create_dir_all(&other).expect("a folder can be made");
    fs::write(other.join("client.js"), client_script(project.name(), 1)).expect("a file can be written");
    other
}

/// A folder with copies of these files of the operator.
fn kept(project: &Project, folder: &str, names: &[&str]) -> PathBuf {
    let kept = project.outside(folder);
    fs::create_dir_all(&kept).expect("a folder can be made");
    for name in names {
        // With their permissions.
        fs::copy(project.path(".disco").join(name), kept.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    kept
}

fn disco(project: &Project, there: &Path, args: &[&str]) -> Output {
    let there = there.to_str().expect("a path is text");
    project.disco(&[&["-C", there], args].concat())
}

#[test]
fn a_cluster_is_controlled_from_elsewhere_with_only_its_roots_key() {
    let project = Project::builder("taken-up").nodes(1).build();
    let status = project.bootstrap();
    let address = status.nodes[0].address.clone();
    let there = elsewhere(&project, "laptop");
    let keys = kept(&project, "kept", &["ca.pem", "ca.key"]);
    let keys = keys.to_str().expect("a path is text");
    refusals(&project, &there, &address, keys);

    let dry = disco(&project, &there, &["connect", &address, "--keys", keys, "--dry-run"]).ok();
    assert!(dry.stderr.contains("would write ca.key"), "{dry}");
    assert!(!there.join(".disco").exists());

    let connected = disco(&project, &there, &["connect", &address, "--keys", keys, "-o", "json"]).ok();
    assert_eq!((&connected.json()["cluster"], &connected.json()["healthy"]), (&"taken-up".into(), &true.into()));
    let shown = disco(&project, &there, &["status", "-o", "json"]).ok().json();
    assert_eq!(shown["nodes"][0]["address"], address.as_str());
    for name in ["ca.key", "operator.key", "operator.pem", "cluster.json", "addresses.json"] {
        let mode = fs::metadata(there.join(".disco").join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(mode.permissions().mode() & 0o777, 0o600, "{name}");
    }
    // Both operators work, and each reads the other's writes.
    disco(&project, &there, &["kv", "put", "color", "blue"]).ok();
    assert_eq!(project.get("color").as_deref(), Some("blue"));
    // A second run changes nothing, also with the files that exist by now.
    disco(&project, &there, &["connect", &address, "--keys", keys]).ok();
    disco(&project, &there, &["connect", &address]).ok();
    disco(&project, &there, &["status"]).ok();
}

fn refusals(project: &Project, there: &Path, address: &str, keys: &str) {
    disco(project, there, &["connect", address]).expect(6).says(&["no `ca.pem`", "hint:", "--keys DIR"]);
    let no_key = kept(project, "no-key", &["ca.pem"]);
    let no_key = no_key.to_str().expect("a path is text");
    disco(project, there, &["connect", address, "--keys", no_key]).expect(6).says(&["no `ca.key`"]);
    // The provider does not find the machines of another computer.
    disco(project, there, &["connect", "--keys", keys])
        .expect(6)
        .says(&["lists no running machine", "disco connect ADDRESS"]);
    let other = Project::builder("another").nodes(1).no_cluster_script().build();
    let stranger = other.bootstrap().nodes[0].address.clone();
    disco(project, there, &["connect", &stranger, "--keys", keys, "--timeout", "20s"])
        .expect(3)
        .says(&["do not belong to the cluster"]);
    assert!(!there.join(".disco").exists(), "a refused connection has left something");
    let open = kept(project, "open", &["ca.pem", "ca.key"]);
    fs::set_permissions(open.join("ca.key"), fs::Permissions::from_mode(0o644)).expect("it is ours");
    let open = open.to_str().expect("a path is text");
    disco(project, there, &["connect", address, "--keys", open]).expect(2).says(&["open to others", "chmod 600"]);
}

#[test]
fn connect_accepts_an_operators_certificate_and_an_address_without_a_script() {
    let project = Project::builder("own-key").nodes(1).build();
    let address = project.bootstrap().nodes[0].address.clone();
    let there = project.outside("laptop");
    fs::create_dir_all(&there).expect("a folder can be made");
    fs::copy(project.path("cluster.js"), there.join("cluster.js")).expect("it can be copied");
    let keys = kept(&project, "kept", &["ca.pem", "operator.pem", "operator.key", "id_ed25519"]);
    let keys = keys.to_str().expect("a path is text");
    disco(&project, &there, &["connect", "--keys", keys]).expect(2).says(&["client.js"]);
    let ip = address.trim_end_matches(":5080");
    disco(&project, &there, &["connect", ip, "--keys", keys]).ok();
    let shown = disco(&project, &there, &["status", "-o", "json"]).ok().json();
    assert_eq!(shown["cluster"], "own-key");
    assert!(!there.join(".disco/ca.key").exists());
    let record = fs::read_to_string(there.join(".disco/cluster.json")).expect("it was written");
    assert!(record.contains("kept/id_ed25519"), "the SSH key beside what was kept is used: {record}");
}
