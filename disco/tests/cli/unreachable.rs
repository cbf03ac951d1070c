use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt, time::Instant};

use disco_identity::{Authority, ClusterId, OPERATOR_LIFETIME, PrivateKey, Validity};
use serde_json::json;

use super::support::Folder;

/// A project with a cluster whose only node has this address, and does not answer.
pub(crate) fn project(address: &str) -> Folder {
    let folder = Folder::with_client("");
    fs::create_dir(folder.path(".disco")).unwrap();
    let root = Authority::new_root(&ClusterId::random(), "x").unwrap();
    let key = PrivateKey::generate().unwrap();
    let request = key.signing_request().unwrap();
    let chain = root.issue_operator(&request, "me", Validity::lasting(OPERATOR_LIFETIME)).unwrap();
    folder.write(".disco/ca.pem", root.certificate_pem());
    folder.write(".disco/operator.pem", &chain);
    key.store(&folder.path(".disco/operator.key")).unwrap();
    let nodes = format!(r#"{{ "nodes": [ {{ "id": 1, "name": "x-1", "address": "{address}" }} ] }}"#);
    folder.write(".disco/addresses.json", &nodes);
    folder
}

#[test]
fn status_exits_with_4_quickly_when_a_node_is_down() {
    // Nothing listens on a port that was just released.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let folder = project(&address);
    let started = Instant::now();
    let ran = folder.run(&["status", "-o", "json"]).expect(4).stderr_contains(&[&address, "refused", "disco doctor"]);
    let error = &ran.json_error();
    assert_eq!((&error["exit"], &error["code"]), (&json!(4), &json!("UNAVAILABLE")), "{ran}");
    assert!(error["hint"].as_str().is_some_and(|hint| hint.contains("disco doctor")), "{ran}");
    assert!(started.elapsed().as_secs() < 8, "{:?}", started.elapsed());
    assert_eq!(ran.stdout, "");
    assert_eq!(error.to_string().matches("refused").count(), 1, "the cause is repeated: {ran}");
}

#[test]
fn a_listener_that_never_answers_is_not_a_node() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    project(&address).run(&["status"]).expect(4).stderr_contains(&[&address]);
}

#[test]
fn keys_under_disco_cannot_be_written() {
    let folder = project("127.0.0.1:1");
    for args in [
        vec!["kv", "put", "/disco/x", "y"],
        vec!["kv", "del", "/disco/x"],
        vec!["kv", "del", "/disco/", "--prefix", "-y"],
        vec!["kv", "del", "/", "--prefix", "-y"],
    ] {
        folder.run(&args).expect(3).stderr_contains(&["/disco/"]);
    }
    folder.run(&["kv", "put", "", "y"]).expect(2);
}

#[test]
fn an_operators_key_that_others_can_read_is_not_used() {
    let folder = project("127.0.0.1:1");
    fs::set_permissions(folder.path(".disco/operator.key"), fs::Permissions::from_mode(0o644)).unwrap();
    folder.run(&["status"]).expect(2).stderr_contains(&["operator.key", "chmod 600"]);
}

#[test]
fn env_prints_endpoints_and_certificates_for_other_clients() {
    let folder = project("127.9.9.9:5080");
    let text = folder.run(&["env"]).expect(0).stdout;
    assert!(text.contains("export ETCDCTL_ENDPOINTS=https://127.9.9.9:5080\n"), "{text}");
    for (name, file) in [("CACERT", "ca.pem"), ("CERT", "operator.pem"), ("KEY", "operator.key")] {
        let path = folder.path(&format!(".disco/{file}"));
        assert!(text.contains(&format!("export ETCDCTL_{name}={}\n", path.display())), "{text}");
        assert!(path.is_file());
    }
    assert_eq!(folder.run(&["env", "-o", "json"]).expect(0).json()["ETCDCTL_API"], "3");
}
