//! Any bytes and any YAML are read or refused, never a panic, and limits hold.

#![expect(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

use std::{collections::BTreeMap, io};

use disco_stack::{Files, Options, Refused, load};
use proptest::prelude::*;

struct Texts(BTreeMap<&'static str, Vec<u8>>);

impl Files for Texts {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        self.0.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn read(stack: impl Into<Vec<u8>>, env: impl Into<Vec<u8>>) -> Result<(), Box<Refused>> {
    let files = Texts(BTreeMap::from([("stack.yml", stack.into()), ("v.env", env.into())]));
    let options = Options { files: vec!["stack.yml".to_owned()], folder_name: "x".to_owned(), ..Options::default() };
    // What is refused can be shown.
    load(&options, &files).map(drop).inspect_err(|refused| assert!(!refused.to_string().is_empty()))
}

/// One that uses most of what the reader knows.
const WHOLE: &str = r#"x-base: &base {image: base, environment: {A: 1.0}}
include: []
services:
  web:
    <<: [*base, {user: me}]
    command: sh -c "a b"
    ports: ["127.0.0.1:8080-8081:80-81/udp", {target: 1, published: "5-6"}]
    environment: {A: "${B:-c}", D: }
    env_file: [{path: v.env, required: false}]
    depends_on: {db: {condition: service_healthy}}
    healthcheck: {test: [CMD, x], interval: 1m30s}
    volumes: ["data:/data:ro", ./x:/y]
    deploy: {replicas: 2, resources: {limits: {memory: 50m, cpus: 0.5}}}
    x-disco: {singleton: false, ingress: {host: a.test}}
  db: {image: db, extends: {service: base}, expose: [1], x-disco: {health: {http: /a}}, labels: !reset [], mem_limit: !override 1g}
  base: {build: .}
volumes: {data: }
"#;

/// Pieces of which YAML and stack files consist.
fn piece() -> impl Strategy<Value = String> {
    let fixed = prop::sample::select(vec![
        "services",
        "web",
        "image",
        "ports",
        "environment",
        "env_file",
        "v.env",
        "command",
        "extends",
        "include",
        "x-a",
        "<<",
        ": ",
        ":",
        "\n",
        "\n  ",
        "\n    ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        ",",
        "\"",
        "'",
        "&a ",
        "*a",
        "!reset ",
        "!override ",
        "!!str ",
        "|\n",
        ">\n",
        "#",
        "$",
        "${",
        "}",
        ":-",
        ":?",
        "80:80",
        "8000-8002:80-82",
        "1e9",
        "50m",
        "1m30s",
        "null",
        "~",
        "true",
        "0755",
        "?",
        "---\n",
        "...\n",
        "%YAML 1.2\n",
        "\t",
        "\r\n",
        "é",
        "\u{feff}",
        "-1",
        "=",
        "x-disco",
        "process",
        "depends_on",
        "volumes",
        "./a:/b:ro",
    ]);
    fixed.prop_map(str::to_owned)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_or_refused(stack in prop::collection::vec(any::<u8>(), 0..300), env in prop::collection::vec(any::<u8>(), 0..100)) {
        drop(read(stack, env));
    }

    #[test]
    fn any_pieces_of_yaml_are_read_or_refused(pieces in prop::collection::vec(piece(), 0..60), env in "[A-Za-z_=$'\"{}#\\\\ \n]{0,60}") {
        drop(read(pieces.concat(), env));
    }

    #[test]
    fn a_valid_stack_with_a_few_changes_is_read_or_refused(
        changes in prop::collection::vec((0..WHOLE.len(), piece(), 0..4_usize), 1..5),
    ) {
        let mut text = WHOLE.to_owned();
        for (at, piece, removed) in changes {
            let at = at.min(text.len());
            let end = (at + removed).min(text.len());
            if text.is_char_boundary(at) && text.is_char_boundary(end) {
                text.replace_range(at..end, &piece);
            }
        }
        drop(read(text, "A=1\n"));
    }
}

#[test]
fn the_stack_that_is_changed_above_is_valid() {
    read(WHOLE, "A=$$1\n").unwrap();
}

fn message(stack: &str) -> String {
    read(stack, "").unwrap_err().to_string()
}

#[test]
fn aliases_count_as_copies() {
    let mut bomb = "x-0: &a0 [a, a, a, a, a, a, a, a, a, a]\n".to_owned();
    for level in 1..9 {
        let before = format!("*a{}, ", level - 1).repeat(10);
        bomb += &format!("x-{level}: &a{level} [{before}]\n");
    }
    assert!(message(&bomb).contains("more than 200000 values"), "{}", message(&bomb));
}

#[test]
fn an_alias_in_its_own_anchor_is_refused() {
    assert!(message("x-a: &a [*a]\n").contains("inside its own anchor"));
    assert!(message("x-a: &a\n  <<: *a\n").contains("inside its own anchor"));
}

#[test]
fn depth_and_size_are_bounded() {
    let deep = format!("x-a: {}{}", "[".repeat(100), "]".repeat(100));
    assert!(message(&deep).contains("levels of nesting"), "{}", message(&deep));
    let half = format!("x-a: &a {}1{}\n", "[".repeat(40), "]".repeat(40));
    let twice = format!("{half}x-b: {}*a{}\n", "[".repeat(40), "]".repeat(40));
    assert!(message(&twice).contains("levels of nesting"), "{}", message(&twice));
    let large = format!("x-a: {}\n", "a".repeat(5 << 20));
    assert!(message(&large).contains("more than 4 MiB"));
    let many = format!("x-a: [{}]\n", "a,".repeat(250_000));
    assert!(message(&many).contains("more than 200000 values"));
}

#[test]
fn a_long_chain_of_services_is_no_deep_recursion() {
    let mut text = "services:\n".to_owned();
    for index in 0..2_000 {
        text += &format!("  s{index}: {{image: i, depends_on: [s{}]}}\n", index + 1);
    }
    text += "  s2000: {image: i}\n";
    read(text.clone(), "").unwrap();
    text = text.replace("s2000: {image: i}", "s2000: {image: i, depends_on: [s0]}");
    assert!(message(&text).contains("cycle"));
}

#[test]
fn bases_includes_and_ranges_of_ports_count() {
    let mut bases = format!("services:\n  base: {{image: i, cap_add: [{}]}}\n", "a,".repeat(100_000));
    for index in 0..50 {
        bases += &format!("  s{index}: {{extends: base}}\n");
    }
    assert!(message(&bases).contains("more than 1000000 values"), "{}", message(&bases));
    let ports = "services: {a: {image: i, ports: [1-40000, 1-40000/udp, 1]}}\n";
    assert!(message(ports).contains("more than 65536 ports"), "{}", message(ports));
    // Each file includes the next one twice.
    struct Doubling;
    impl Files for Doubling {
        fn read(&self, path: &str) -> io::Result<Vec<u8>> {
            let level: usize = path.trim_end_matches(".yml").parse().map_err(|_| io::ErrorKind::NotFound)?;
            let next = level + 1;
            Ok(format!("include: [{next}.yml, {next}.yml]\nservices: {{}}\n").into_bytes())
        }
    }
    let options = Options { files: vec!["0.yml".to_owned()], folder_name: "x".to_owned(), ..Options::default() };
    let error = load(&options, &Doubling).unwrap_err().to_string();
    assert!(error.contains("more than 32 levels"), "{error}");
}
