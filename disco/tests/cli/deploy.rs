//! `disco deploy` of stack files, as far as it goes without a cluster.

use std::{fs, os::unix::fs::PermissionsExt};

use serde_json::json;

use super::{support::Folder, unreachable::project};

const STACK: &str = "name: shop
services:
  web:
    expose: [80]
    x-disco:
      process: {path: ./web}
";

/// A project with a cluster that does not answer, a program and a stack file.
fn folder(stack: &str) -> Folder {
    let folder = project("127.0.0.1:1");
    folder.write("stack.yml", stack);
    folder.write("web", "#!/bin/sh\n");
    fs::set_permissions(folder.path("web"), fs::Permissions::from_mode(0o755)).expect("own file");
    folder
}

#[test]
fn a_stack_file_is_checked_before_the_cluster_is_asked() {
    let container = STACK.replace("x-disco:\n      process: {path: ./web}", "image: nginx");
    folder(&container).run(&["deploy"]).expect(2).stderr_contains(&[
        "the service `web` is a container",
        "--> stack.yml:5:5",
        "x-disco: { process",
    ]);
    let missing = STACK.replace("./web", "./gone");
    let error = folder(&missing).run(&["deploy", "-o", "json"]).expect(2).json_error();
    assert_eq!(error["place"], json!({ "file": "stack.yml", "line": 6, "column": 17 }), "{error}");
    let unset = STACK.replace("[80]", "[\"${PORT_OF_WEB}\"]");
    folder(&unset).run(&["deploy"]).expect(2).stderr_contains(&["`PORT_OF_WEB` is not set"]);
    // With the variable, the next thing to fail is the connection.
    folder(&unset).run(&["deploy", "--set", "PORT_OF_WEB=80"]).expect(4);
}

#[test]
fn a_published_port_is_deployed_with_a_warning() {
    let published = STACK.replace("expose: [80]", "ports: [\"8080:80\"]");
    let words = ["warning", "the port 8080 of the service `web` is published", "endpoints of `disco services`"];
    folder(&published).run(&["deploy"]).expect(4).stderr_contains(&words);
}

#[test]
fn a_private_key_in_a_programs_folder_is_refused() {
    let folder = folder(&STACK.replace("{path: ./web}", "{path: ./bin, args: [web]}"));
    fs::create_dir(folder.path("bin")).expect("own folder");
    folder.write("bin/web", "#!/bin/sh\n");
    fs::set_permissions(folder.path("bin/web"), fs::Permissions::from_mode(0o755)).expect("own file");
    folder.write("bin/id_ed25519", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n");
    folder.run(&["deploy"]).expect(2).stderr_contains(&["`id_ed25519` is a private key", ".discoignore"]);
    folder.write("bin/.discoignore", "id_*\n");
    folder.run(&["deploy"]).expect(4);
}

#[test]
fn without_services_the_hook_is_called_and_a_named_file_must_have_some() {
    let folder = folder("services: {}\n");
    // The connection fails, and nothing is known about services.
    let ran = folder.run(&["deploy"]).expect(4);
    assert!(!ran.stderr.contains("no services"), "{ran}");
    folder.run(&["deploy", "-f", "stack.yml"]).expect(2).stderr_contains(&["has no services", "disco rm"]);
    folder.run(&["deploy", "-f", "gone.yml"]).expect(2).stderr_contains(&["`gone.yml` does not exist"]);
}

#[test]
fn commands_about_tasks_need_the_cluster() {
    let folder = folder(STACK);
    let commands: [&[&str]; 8] = [
        &["ps"],
        &["services"],
        &["scale", "web=2"],
        &["restart", "web"],
        &["stop", "web"],
        &["rm", "shop", "-y"],
        &["rollback"],
        &["drain", "x-1"],
    ];
    // All at once: each waits for the cluster for some seconds.
    let started: Vec<_> = commands.iter().map(|command| (command, folder.start(command))).collect();
    for (command, child) in started {
        let output = child.wait_with_output().expect("a child can be waited for");
        assert_eq!(output.status.code(), Some(4), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
