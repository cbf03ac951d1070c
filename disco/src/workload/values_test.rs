use std::io;

use disco_stack::{Files, Loaded, Options, load};

use super::*;

struct Text(String);

impl Files for Text {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        if path == "stack.yml" { Ok(self.0.clone().into_bytes()) } else { Err(io::ErrorKind::NotFound.into()) }
    }
}

fn loaded(text: &str) -> Loaded {
    let options = Options {
        files: vec!["stack.yml".to_owned()],
        folder_name: "shop".to_owned(),
        environment: [("PIN".to_owned(), "1234".to_owned())].into(),
        ..Options::default()
    };
    load(&options, &Text(text.to_owned())).unwrap_or_else(|error| panic!("{error}"))
}

/// A stack with these keys in its service, and with secrets and configs of all kinds.
fn stack(keys: &str) -> Loaded {
    loaded(&format!(
        "services:
  web:
    x-disco: {{process: {{path: ./web}}, secret_environment: {{PIN: pin}}}}
{keys}
secrets:
  pin: {{environment: PIN}}
  token: {{file: ./token}}
  shared: {{external: true, name: other}}
  unset: {{environment: NOT_SET}}
configs:
  app: {{content: \"level: 3\"}}
  of_all: {{external: true}}
"
    ))
}

fn uses_of(keys: &str) -> (Vec<ValueUse>, Vec<String>) {
    let loaded = stack(keys);
    let mut errors = Vec::new();
    let uses = uses("web", &loaded.stack.services["web"], &loaded.stack, &mut errors);
    (uses, errors.iter().map(|problem| problem.render(&loaded.sources)).collect())
}

fn file(target: &str) -> ValuePlace {
    ValuePlace::File { target: target.to_owned(), uid: None, gid: None, mode: 0o444 }
}

#[test]
fn the_uses_of_a_service_name_the_clusters_and_its_own() {
    let (uses, errors) = uses_of(
        "    secrets: [token, {source: shared, target: tls/key, uid: \"1000\", mode: 0400}]
    configs: [app, {source: of_all, target: /b.conf}]",
    );
    assert!(errors.is_empty(), "{errors:?}");
    let found: Vec<(&str, &ValuePlace)> = uses.iter().map(|used| (used.name.as_str(), &used.place)).collect();
    let own = ValuePlace::File { target: "tls/key".to_owned(), uid: Some(1000), gid: None, mode: 0o400 };
    let expected = [
        ("shop/token", &file("token")),
        ("other", &own),
        ("shop/app", &file("app")),
        ("of_all", &file("b.conf")),
        ("shop/pin", &ValuePlace::Variable("PIN".to_owned())),
    ];
    assert_eq!(found, expected);
    assert!(uses.iter().all(|used| used.version == 0));
}

#[test]
fn a_place_outside_of_the_tasks_folder_is_refused() {
    for (keys, words) in [
        ("    secrets: [{source: token, target: /etc/token}]", "`target` is `/etc/token`"),
        ("    secrets: [{source: token, target: ../token}]", "`target` is `../token`"),
        ("    configs: [{source: app, target: /etc/app.conf}]", "DISCO_CONFIGS"),
        ("    secrets: [{source: token, uid: web}]", "`uid` is `web`: expected a number"),
    ] {
        let (_, errors) = uses_of(keys);
        assert!(errors.len() == 1 && errors[0].contains(words) && errors[0].starts_with("stack.yml:4:"), "{errors:?}");
    }
}

#[test]
fn values_of_the_stack_are_read_and_those_of_the_cluster_are_not() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), "hunter2").unwrap();
    let mut errors = Vec::new();
    let loaded = stack("    secrets: [token, shared]\n    configs: [app, of_all]");
    let values = read(&loaded.stack, folder.path(), &mut errors);
    assert!(errors.is_empty(), "{errors:?}");
    let found: Vec<(&str, &str, &[u8])> =
        values.iter().map(|value| (value.kind.as_str(), value.name.as_str(), &value.value[..])).collect();
    let expected: [(&str, &str, &[u8]); 3] =
        [("secret", "pin", b"1234"), ("secret", "token", b"hunter2"), ("config", "app", b"level: 3")];
    assert_eq!(found, expected);
    let text = serde_json::to_string(&loaded.stack.json).unwrap();
    assert!(!text.contains("1234") && !text.contains("hunter2"), "{text}");
}

#[test]
fn a_value_that_is_missing_or_too_large_is_named_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let large = vec![b'x'; VALUE_BYTES + 1];
    std::fs::write(folder.path().join("token"), large).unwrap();
    let mut errors = Vec::new();
    let loaded = stack("    secrets: [token, unset]");
    read(&loaded.stack, folder.path(), &mut errors);
    let texts: Vec<String> = errors.iter().map(|problem| problem.render(&loaded.sources)).collect();
    assert!(texts.iter().any(|text| text.contains("larger than 256 KiB")), "{texts:?}");
    assert!(texts.iter().any(|text| text.contains("the variable `NOT_SET` is not set")), "{texts:?}");
    std::fs::remove_file(folder.path().join("token")).unwrap();
    let mut errors = Vec::new();
    read(&loaded.stack, folder.path(), &mut errors);
    assert!(errors.iter().any(|problem| problem.message.contains("cannot read `./token`")), "{errors:?}");
}

#[test]
fn a_name_of_a_secret_of_the_stack_has_no_effect() {
    let loaded = loaded(
        "services: {web: {image: i, secrets: [a, b]}}\nsecrets: {a: {file: ./a, name: special}, b: {file: ./b}}\n",
    );
    let warnings = named_in_vain(&loaded.stack);
    assert!(warnings.len() == 1 && warnings[0].message == "`secrets.a.name` has no effect", "{warnings:?}");
}
