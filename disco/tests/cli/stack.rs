use std::fs;

use serde_json::json;

use super::support::Folder;

fn folder(stack: &str) -> Folder {
    let folder = Folder::new();
    folder.write("compose.yaml", stack);
    folder
}

#[test]
fn a_stack_is_printed_in_each_format() {
    let folder = folder(
        "name: shop\nservices:\n  web: {image: \"web:${TAG}\", ports: [\"8080:80\", 53/udp], depends_on: [db], scale: 2}\n  db: {build: .}\n",
    );
    let run = |more: &[&str]| folder.run(&[&["stack", "--set", "TAG=v2"][..], more].concat()).expect(0);
    let json = run(&["-o", "json"]).json();
    assert_eq!(json["services"]["web"]["image"], "web:v2");
    assert_eq!(json["services"]["web"]["ports"][0]["published"], "8080");
    assert_eq!(json["services"]["db"]["build"], json!({ "context": ".", "dockerfile": "Dockerfile" }));
    assert_eq!(json["networks"]["default"]["name"], "shop_default");
    assert_eq!(run(&["-o", "name"]).stdout, "db\nweb\n");
    let table = run(&[]).stdout;
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["stack", "shop"]);
    assert_eq!(rows[3], ["web", "web:v2", "2", "8080:80", "53/udp", "db"], "{table}");
    assert_eq!(run(&["--name", "other", "-o", "json"]).json()["name"], "other");
}

#[test]
fn an_error_has_its_place_and_what_to_do() {
    let folder = folder("services:\n  web:\n    image: web\n    enviroment: {A: 1}\n");
    let failed = folder.run(&["stack"]).expect(2).stderr_contains(&[
        "unknown key `enviroment`",
        "compose.yaml:4:5",
        "    enviroment: {A: 1}",
        "did you mean `environment`?",
    ]);
    assert_eq!(failed.stdout, "");
    let error = folder.run(&["stack", "-o", "json"]).expect(2).json_error();
    assert_eq!(error["place"], json!({ "file": "compose.yaml", "line": 4, "column": 5 }));
}

#[test]
fn all_errors_of_a_step_are_reported_at_once() {
    let folder = folder("services:\n  web: {image: web, prts: [80]}\n  db: {image: db, cpu_count: 1}\n");
    let words = ["2 errors", "compose.yaml:2:21", "did you mean `ports`?", "compose.yaml:3:19", "use `cpus`"];
    folder.run(&["stack"]).expect(2).stderr_contains(&words);
}

#[test]
fn variables_come_from_flags_the_environment_and_the_file() {
    let folder = folder("name: x\nservices: {a: {image: \"$A:$B:$C\"}}\n");
    folder.write(".env", "A=dot\nB=dot\nC=dot\n");
    let mut command = folder.command(&["stack", "--set", "A=flag", "-o", "json"]);
    let ran = command.env("A", "outside").env("B", "outside").output().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(json["services"]["a"]["image"], "flag:outside:dot");
    fs::remove_file(folder.path(".env")).unwrap();
    folder.run(&["stack"]).expect(2).stderr_contains(&["the variable `A` is not set", "--set A=VALUE"]);
    folder.run(&["stack", "--allow-unset"]).expect(0).stderr_contains(&["warning", "`A` is not set"]);
}

#[test]
fn files_are_found_named_and_merged() {
    let folder = folder("name: x\nservices: {a: {image: one}}\n");
    folder.write("fig.yml", "a: {image: fig}\n");
    folder.write("compose.override.yaml", "services: {a: {image: two}}\n");
    let found = folder.run(&["stack", "-o", "json"]).expect(0);
    assert_eq!(found.json()["services"]["a"]["image"], "one");
    found.stderr_contains(&["`compose.override.yaml` is not read", "not `fig.yml`"]);
    let merged = folder.run(&["stack", "-f", "compose.yaml", "-f", "compose.override.yaml", "-o", "json"]).expect(0);
    assert_eq!(merged.json()["services"]["a"]["image"], "two");
    let fig = folder.run(&["stack", "-f", "fig.yml", "--name", "y"]).expect(0);
    fig.stderr_contains(&["the form of fig"]);
    Folder::new().run(&["stack"]).expect(6).stderr_contains(&["no stack file", "stack.yml, compose.yaml"]);
    folder.run(&["stack", "-f", "gone.yml"]).expect(2).stderr_contains(&["`gone.yml` does not exist"]);
}

#[test]
fn a_secret_is_printed_nowhere() {
    let folder = folder(
        "name: x\nservices: {a: {image: i, secrets: [pin], environment: {URL: \"db://${PIN}@h\"}}}\nsecrets: {pin: {environment: PIN}}\n",
    );
    let ran = folder.command(&["stack", "-o", "json"]).env("PIN", "correct-horse").output().unwrap();
    let text = String::from_utf8_lossy(&ran.stdout);
    assert!(text.contains("db://<redacted>@h") && !text.contains("correct-horse"), "{text}");
}

#[test]
fn the_stack_file_of_a_new_project_is_valid() {
    let folder = Folder::new();
    folder.run(&["init", "."]).expect(0);
    folder.run(&["stack", "-o", "json"]).expect(0).stderr_contains(&["the stack has no services"]);
    assert!(folder.read("stack.yml").starts_with("# yaml-language-server: $schema=disco.stack.json\n"));
    let schema: serde_json::Value = serde_json::from_str(&folder.read("disco.stack.json")).unwrap();
    assert_eq!(schema["title"], "Stack file of Disco");
}
