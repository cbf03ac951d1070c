//! The order of the steps: parse → include → extends → interpolate → merge → normalise → validate. Each test would fail if the two
//! steps that it names were exchanged.

#![expect(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

use std::{collections::BTreeMap, io};

use disco_stack::{Files, Loaded, Options, Refused, load};
use serde_json::{Value, json};

struct Texts(BTreeMap<&'static str, &'static str>);

impl Files for Texts {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        self.0.get(path).map(|text| text.as_bytes().to_vec()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// Loads the files whose names begin with `stack`, with `SET=value` in the environment.
fn read<const N: usize>(texts: [(&'static str, &'static str); N]) -> Result<Loaded, Box<Refused>> {
    let mut files: Vec<String> =
        texts.iter().map(|(name, _)| (*name).to_owned()).filter(|name| name.starts_with("stack")).collect();
    files.sort();
    let options = Options {
        files,
        folder_name: "x".to_owned(),
        environment: BTreeMap::from([("SET".to_owned(), "value".to_owned())]),
        ..Options::default()
    };
    load(&options, &Texts(BTreeMap::from(texts)))
}

fn services<const N: usize>(texts: [(&'static str, &'static str); N]) -> Value {
    read(texts).unwrap_or_else(|error| panic!("{error}")).stack.json["services"].take()
}

fn refused<const N: usize>(texts: [(&'static str, &'static str); N]) -> String {
    read(texts).unwrap_err().to_string()
}

#[test]
fn parse_comes_first_and_its_errors_alone_are_reported() {
    let error = refused([("stack.yml", "services:\n  a: {image: i, unknown: 1}\n  a: {image: \"${NO}\"}\n")]);
    assert!(
        error.contains("appears twice") && !error.contains("unknown key") && !error.contains("is not set"),
        "{error}"
    );
}

#[test]
fn services_of_a_later_file_may_replace_or_remove_all_of_the_earlier() {
    let base = "services:\n  a: {image: i}\n";
    let replaced = services([("stack.yml", base), ("stack2.yml", "services: !override\n  b: {image: j}\n")]);
    assert_eq!(replaced.as_object().unwrap().keys().collect::<Vec<_>>(), ["b"]);
    let removed = read([("stack.yml", base), ("stack2.yml", "services: !reset\n")]);
    assert!(removed.is_err() || removed.unwrap().stack.services.is_empty());
}

#[test]
fn a_later_value_counts_where_the_earlier_file_has_a_key_without_one() {
    let first = "services:\n  a: {image: i, environment: , volumes: [\"data:/d\"]}\nvolumes: {data: }\n";
    let second = "services:\n  a: {environment: {X: \"1\"}}\nvolumes: {data: {external: true}}\n";
    let json =
        read([("stack.yml", first), ("stack2.yml", second)]).unwrap_or_else(|error| panic!("{error}")).stack.json;
    assert_eq!(json["services"]["a"]["environment"]["X"], "1");
    assert_eq!(json["volumes"]["data"]["external"], true);
}

#[test]
fn merge_keys_are_a_part_of_parsing_so_a_service_may_extend_by_them() {
    let found = services([(
        "stack.yml",
        "x-more: &more {extends: base}\nservices:\n  base: {image: i, user: me}\n  a: {<<: *more}\n",
    )]);
    assert_eq!(found["a"]["user"], "me");
}

#[test]
fn included_stacks_are_complete_before_those_that_include_them() {
    // With the include after `extends` and `merge`, the included service would lack what its base and its second file give it.
    let found = services([
        ("stack.yml", "include: [{path: [part/a.yml, part/b.yml]}]\nservices: {own: {image: i}}\n"),
        ("part/a.yml", "services:\n  base: {image: i, user: \"${PART}\"}\n  part: {extends: base}\n"),
        ("part/b.yml", "services:\n  part: {hostname: h, labels: {a: \"${PART}\"}}\n"),
        ("part/.env", "PART=inner\n"),
    ]);
    assert_eq!(found["part"]["user"], "inner");
    assert_eq!(found["part"]["labels"], json!({ "a": "inner" }));
    assert_eq!(found["part"]["hostname"], "h");
}

#[test]
fn bases_are_found_before_variables_are_replaced() {
    // Of the base's file, only what is used is interpolated.
    let found = services([
        ("stack.yml", "services: {a: {extends: {file: base.yml, service: \"b-${SET}\"}}}\n"),
        ("base.yml", "services:\n  b-value: {image: \"i:${SET}\"}\n  other: {image: \"${NOT_SET:?}\"}\n"),
    ]);
    assert_eq!(found["a"]["image"], "i:value");
}

#[test]
fn variables_are_replaced_before_files_are_merged() {
    // The list's key is known only then.
    let found = services([
        ("stack.yml", "services: {a: {image: i, environment: {value: \"1\", B: \"2\"}}}\n"),
        ("stack2.yml", "services: {a: {environment: [\"$SET=3\"]}}\n"),
    ]);
    assert_eq!(found["a"]["environment"], json!({ "value": "3", "B": "2" }));
    // A template is an error although a later file replaces it.
    let error = refused([
        ("stack.yml", "services: {a: {image: \"${NOT_SET}\"}}\n"),
        ("stack2.yml", "services: {a: {image: other}}\n"),
    ]);
    assert!(error.contains("stack.yml:1:24") && error.contains("`NOT_SET` is not set"), "{error}");
}

#[test]
fn what_a_variable_gives_is_text_and_no_yaml() {
    let found =
        services([("stack.yml", "services: {a: {image: i, environment: {A: \"${N:-null}\", B: \"${M:-[x]}\"}}}\n")]);
    assert_eq!(found["a"]["environment"], json!({ "A": "null", "B": "[x]" }));
}

#[test]
fn values_have_one_form_before_files_are_merged() {
    let found = services([
        ("stack.yml", "services: {a: {image: i, ports: [\"8080:80\"], labels: [a=1], dns: 192.0.2.1, build: here}}\n"),
        (
            "stack2.yml",
            "services: {a: {ports: [{target: 80, published: 8080}], labels: {a: 2}, dns: [192.0.2.2], build: {target: t}}}\n",
        ),
    ]);
    assert_eq!(found["a"]["ports"].as_array().unwrap().len(), 1);
    assert_eq!(found["a"]["labels"], json!({ "a": "2" }));
    assert_eq!(found["a"]["dns"], json!(["192.0.2.1", "192.0.2.2"]));
    assert_eq!(found["a"]["build"]["context"], "./here");
}

#[test]
fn files_are_merged_before_the_stack_is_normalised() {
    // The file of variables that a later file replaces is not read, and its profile counts.
    let found = services([
        ("stack.yml", "services:\n  a: {image: i, env_file: gone.env}\n  b: {image: i}\n"),
        ("stack2.yml", "services:\n  a: {env_file: !override [there.env]}\n  b: {profiles: [no]}\n"),
        ("there.env", "A=1\n"),
    ]);
    assert_eq!(found["a"]["environment"], json!({ "A": "1" }));
    assert_eq!(found.get("b"), None);
}

#[test]
fn the_stack_is_normalised_before_it_is_validated() {
    // A service of another profile is not checked; a link is a dependency.
    let found = services([("stack.yml", "services:\n  a: {image: i}\n  b: {profiles: [no], networks: [nowhere]}\n")]);
    assert_eq!(found.as_object().unwrap().len(), 1);
    let error = refused([("stack.yml", "services:\n  a: {image: i, links: [b]}\n  b: {image: i, depends_on: [a]}\n")]);
    assert!(error.contains("has a cycle: a -> b -> a"), "{error}");
}
