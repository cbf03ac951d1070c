use std::fs;

use disco_identity::{Credentials, unix_now};

use super::support::Folder;

fn own(folder: &Folder) -> Credentials {
    let file = |name: &str| folder.path(&format!(".disco/{name}"));
    Credentials::load(&file("ca.pem"), &file("operator.pem"), &file("operator.key")).unwrap()
}

#[test]
fn without_a_cluster_there_is_nothing_to_show() {
    Folder::with_client("").run(&["cert", "status"]).expect(6).stderr_contains(&["disco bootstrap"]);
}

#[test]
fn an_expired_operators_certificate_is_shown_and_signed_anew_without_a_cluster() {
    let folder = Folder::expired("");
    let shown = folder.run(&["cert", "status", "-o", "jsonl"]).expect(1).stdout;
    let operator = shown.lines().find(|line| line.contains("\"role\":\"operator\"")).unwrap_or_default();
    assert!(operator.contains("\"state\":\"expired\"") && operator.contains("1970-01-24T03:33:20Z"), "{shown}");
    let doctor = folder.run(&["doctor"]).expect(1).stdout;
    assert!(doctor.contains("has expired") && doctor.contains("disco cert rotate --operator"), "{doctor}");

    let key = fs::read(folder.path(".disco/operator.key")).unwrap();
    folder.run(&["cert", "rotate", "--operator", "--dry-run"]).expect(0).stderr_contains(&["would renew"]);
    assert_eq!(own(&folder).own().not_after, 2_000_000);
    folder.run(&["cert", "rotate", "--operator"]).expect(0);
    own(&folder).verify().unwrap();
    assert!(own(&folder).own().not_after > unix_now());
    assert_eq!(fs::read(folder.path(".disco/operator.key")).unwrap(), key);
}

#[test]
fn commands_that_need_the_roots_key_are_refused_without_it() {
    let folder = Folder::expired("");
    fs::remove_file(folder.path(".disco/ca.key")).unwrap();
    folder.write("node.json", "{}");
    for command in
        [&["cert", "rotate", "--operator"][..], &["cert", "rotate", "--signing-key"], &["cert", "sign", "node.json"]]
    {
        folder.run(command).expect(3).stderr_contains(&["ca.key", "the project that the cluster was created from"]);
    }
    folder.run(&["cert", "rotate", "--expired"]).expect(6).stderr_contains(&["disco bootstrap"]);
    folder.run(&["cert", "rotate", "--expired", "--operator"]).expect(2).stderr_contains(&["--expired"]);
}

#[test]
fn an_invalid_node_identity_is_not_signed() {
    let folder = Folder::expired("");
    folder.write("node.json", "{}");
    folder.run(&["cert", "sign", "node.json"]).expect(2).stderr_contains(&["discod identity show"]);
    folder.run(&["cert", "sign", "nothing.json"]).expect(1).stderr_contains(&["nothing.json"]);
}
