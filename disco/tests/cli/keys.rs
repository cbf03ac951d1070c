use std::{fs, os::unix::fs::PermissionsExt};

use disco_provider::ssh::KeyPair;

use super::support::Folder;

/// A bootstrap that only sets a key pair.
fn naming_keys() -> Folder {
    Folder::with_client(
        "export async function init() {
  return new Cluster({ name: 'x', provider: await LocalProvider.init({ name: 'x' }) });
}
export async function bootstrap(cluster) {
  await cluster.set_key_pair({ private: './id', public: './id.pub' });
}
",
    )
}

fn put(folder: &Folder, private: &str, public: &str, mode: u32) {
    folder.write("id", private);
    folder.write("id.pub", public);
    fs::set_permissions(folder.path("id"), fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_missing_key_comes_with_the_command_that_makes_it() {
    let folder = naming_keys();
    let words = ["key", "client.js:5:", "hint: ", "ssh-keygen -t ed25519"];
    folder.run(&["bootstrap", "-y"]).expect(2).stderr_contains(&words);
}

#[test]
fn keys_are_checked_before_anything_is_made() {
    let folder = naming_keys();
    let (one, other) = (KeyPair::generate("one").unwrap(), KeyPair::generate("other").unwrap());
    put(&folder, &one.private_openssh(), &one.public_openssh(), 0o644);
    folder.run(&["bootstrap", "-y"]).expect(2).stderr_contains(&["id", "chmod 600"]);
    put(&folder, &one.private_openssh(), &other.public_openssh(), 0o600);
    folder.run(&["bootstrap", "-y"]).expect(2).stderr_contains(&["id.pub"]);
    put(&folder, "nonsense", &one.public_openssh(), 0o600);
    folder.run(&["bootstrap", "-y"]).expect(2).stderr_contains(&["id"]);
    put(&folder, &one.private_openssh(), &one.public_openssh(), 0o600);
    folder.run(&["bootstrap", "-y"]).expect(0);
    assert!(!folder.path(".disco/local").exists(), "no machine was made");
}

#[test]
fn the_doctor_finds_secrets_that_are_open_to_others() {
    let folder = naming_keys();
    fs::create_dir(folder.path(".disco")).unwrap();
    folder.write(".disco/ca.key", "secret");
    fs::set_permissions(folder.path(".disco/ca.key"), fs::Permissions::from_mode(0o640)).unwrap();
    let doctor = folder.run(&["doctor", "-o", "json"]).expect(1);
    let checks = doctor.json();
    let keys = checks.as_array().unwrap().iter().find(|check| check["name"] == "keys").unwrap();
    assert_eq!(keys["state"], "fail", "{doctor}");
    assert!(keys["next"].as_str().unwrap().starts_with("chmod 600 "), "{doctor}");
}
