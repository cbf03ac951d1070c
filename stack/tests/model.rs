//! The stack as typed data, and hashes.

use std::{collections::BTreeMap, io, time::Duration};

use disco_stack::{
    Condition, Config, Copies, Dependency, Files, Options, Probe, Process, Published, Runs, Secret, Stack, Tls, load,
};

struct Text(String);

impl Files for Text {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        if path == "stack.yml" { Ok(self.0.clone().into_bytes()) } else { Err(io::ErrorKind::NotFound.into()) }
    }
}

fn stack_with(text: &str, environment: &[(&str, &str)]) -> Stack {
    let options = Options {
        files: vec!["stack.yml".to_owned()],
        folder_name: "x".to_owned(),
        environment: environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        ..Options::default()
    };
    load(&options, &Text(text.to_owned())).unwrap_or_else(|error| panic!("{error}")).stack
}

fn stack(text: &str) -> Stack {
    stack_with(text, &[])
}

fn refused(text: &str) -> String {
    let options = Options { files: vec!["stack.yml".to_owned()], folder_name: "x".to_owned(), ..Options::default() };
    load(&options, &Text(text.to_owned())).expect_err("it is wrong").to_string()
}

#[test]
fn a_process_is_typed() {
    let stack = stack(
        "services:
  shop:
    ports: [\"8080:80\", {target: 9, published: 90-99, mode: host, protocol: udp, host_ip: 127.0.0.1}]
    environment: {A: \"1\", B: }
    depends_on: {store: {condition: service_healthy, restart: true}}
    stop_grace_period: 1m
    x-disco:
      process: {path: bin/shop, args: --listen \"a b\", user: 1000}
      singleton: true
      health: {http: /healthy}
      ingress: {host: shop.example.test, tls: cert}
    healthcheck: {interval: 5s, retries: 2}
  store: {image: store, healthcheck: {test: ping, start_period: 3s}, deploy: {mode: global}}
",
    );
    let shop = &stack.services["shop"];
    let process = Process {
        path: "./bin/shop".to_owned(),
        args: vec!["--listen".to_owned(), "a b".to_owned()],
        user: Some("1000".to_owned()),
    };
    assert_eq!(shop.runs, Runs::Process(process));
    assert!(shop.singleton);
    assert_eq!(shop.copies, Copies::Number(1));
    assert_eq!(shop.environment, BTreeMap::from([("A".to_owned(), Some("1".to_owned())), ("B".to_owned(), None)]));
    assert_eq!(shop.ports[0].published, Some(Published { first: 8080, last: 8080 }));
    assert_eq!(shop.ports[1].published, Some(Published { first: 90, last: 99 }));
    assert!(shop.ports[1].host && shop.ports[1].protocol == "udp" && shop.ports[1].target == 9);
    let dependency = Dependency { condition: Condition::Healthy, restart: true, required: true };
    assert_eq!(shop.depends_on["store"], dependency);
    assert_eq!(shop.stop_grace_period, Duration::from_secs(60));
    let health = shop.health.as_ref().unwrap();
    assert_eq!(
        (&health.probe, health.interval, health.retries),
        (&Probe::Http("/healthy".to_owned()), Duration::from_secs(5), 2)
    );
    let ingress = shop.ingress.as_ref().unwrap();
    assert_eq!((ingress.path.as_str(), &ingress.tls), ("/", &Tls::Secret("cert".to_owned())));
    let store = &stack.services["store"];
    assert_eq!(store.copies, Copies::EveryNode);
    assert_eq!(store.stop_grace_period, Duration::from_secs(10));
    let health = store.health.as_ref().unwrap();
    assert_eq!(health.probe, Probe::Shell("ping".to_owned()));
    // Docker's own times.
    assert_eq!(
        (health.interval, health.timeout, health.retries),
        (Duration::from_secs(30), Duration::from_secs(30), 3)
    );
    assert_eq!((health.start_period, health.start_interval), (Duration::from_secs(3), Duration::from_secs(5)));
}

#[test]
fn a_probe_keeps_its_arguments() {
    let stack = stack(
        "services:
  a: {image: i, healthcheck: {test: [CMD, curl, \"a b\", \"\"]}}
  b: {image: i, healthcheck: {test: [NONE]}}
  c: {image: i, healthcheck: {disable: true}}
  d: {image: i, healthcheck: {interval: 5s}}
  e: {image: i, expose: [80], x-disco: {health: {tcp: 80}}}
",
    );
    let probe = |name: &str| stack.services[name].health.as_ref().map(|health| health.probe.clone());
    let words = ["curl", "a b", ""].map(str::to_owned).to_vec();
    assert_eq!(probe("a"), Some(Probe::Command(words)));
    assert_eq!(probe("b"), Some(Probe::Disabled));
    assert_eq!(probe("c"), Some(Probe::Disabled));
    assert_eq!(probe("d"), None);
    assert_eq!(probe("e"), Some(Probe::Tcp(80)));
}

#[test]
fn secrets_have_sources_and_show_no_values() {
    let text = "services: {a: {image: i, secrets: [v, f, e], configs: [c, n]}}
secrets: {v: {environment: PIN}, f: {file: ./pin}, e: {external: true, name: other}}
configs: {c: {environment: WHO}, n: {environment: NOBODY}}
";
    let stack = stack_with(text, &[("PIN", "correct-horse"), ("WHO", "me")]);
    let variable = Secret::Variable { name: "PIN".to_owned(), value: Some("correct-horse".to_owned()) };
    assert_eq!(stack.secrets["v"], variable);
    assert_eq!(stack.secrets["f"], Secret::File("./pin".to_owned()));
    assert_eq!(stack.secrets["e"], Secret::External("other".to_owned()));
    assert_eq!(stack.configs["c"], Config::Content("me".to_owned()));
    assert_eq!(stack.configs["n"], Config::Unset("NOBODY".to_owned()));
    assert!(!format!("{stack:?}").contains("correct-horse") && !stack.json.to_string().contains("correct-horse"));
}

fn hash(text: &str, environment: &[(&str, &str)]) -> String {
    stack_with(text, environment).services["a"].hash.clone()
}

#[test]
fn spelling_order_and_copies_change_no_hash() {
    let one = "services:
  a:
    image: i
    command: run \"it now\"
    environment: {A: \"1\", B: \"2\"}
    ports: [\"8080-8081:80-81\"]
    mem_limit: 1g
    stop_grace_period: 90s
";
    let other = "# another spelling
x-base: &base {mem_limit: 1073741824, ports: [{published: 8080, target: 80}, \"8081:81/tcp\"]}
services:
  z: {image: other}
  a:
    <<: *base
    stop_grace_period: 1m30s
    environment: [\"B=2\", \"A=${ONE}\"]
    command: [run, it now]
    image: i
    deploy: {replicas: 5, update_config: {parallelism: 2}}
    depends_on: [z]
";
    assert_eq!(hash(one, &[]), hash(other, &[("ONE", "1")]));
    assert!(hash(one, &[]).starts_with("sha256:"));
}

#[test]
fn every_value_that_a_task_sees_changes_the_hash() {
    let text = "services: {a: {image: \"i:${TAG}\", environment: [PASSED], secrets: [s], configs: [c]}}
secrets: {s: {environment: PIN}}
configs: {c: {content: \"${TEXT}\"}}
";
    let base = [("TAG", "1"), ("PASSED", "1"), ("PIN", "1"), ("TEXT", "1")];
    let first = hash(text, &base);
    assert_eq!(first, hash(text, &base));
    for index in 0..base.len() {
        let mut changed = base;
        changed[index].1 = "2";
        // The cluster adds the numbers of the versions of secrets and configs: a hash over a secret could be guessed.
        let is_value = ["PIN", "TEXT"].contains(&base[index].0);
        assert_eq!(is_value, first == hash(text, &changed), "{}", base[index].0);
    }
}

#[test]
fn secrets_of_a_process_have_places_and_a_signal() {
    let stack = stack_with(
        "services:
  a:
    secrets: [token, {source: key, target: tls/key.pem, uid: \"1000\", gid: \"1001\", mode: 0400}]
    configs: [app]
    x-disco:
      process: {path: ./a}
      secret_environment: {PASSWORD: pin}
      reload: hup
secrets: {token: {file: ./t}, key: {file: ./k}, pin: {environment: PIN}, unused: {file: ./u}}
configs: {app: {content: x}}
",
        &[("PIN", "1234")],
    );
    let service = &stack.services["a"];
    let [token, key] = service.secrets.as_slice() else { panic!("{:?}", service.secrets) };
    assert_eq!(
        (token.source.as_str(), token.target.as_deref(), token.mode),
        ("token", Some("/run/secrets/token"), None)
    );
    assert_eq!((key.target.as_deref(), key.mode), (Some("tls/key.pem"), Some(0o400)));
    assert_eq!((key.uid.as_deref(), key.gid.as_deref()), (Some("1000"), Some("1001")));
    assert_eq!((service.configs[0].source.as_str(), service.configs[0].target.as_deref()), ("app", None));
    assert_eq!(service.secret_environment["PASSWORD"], "pin");
    assert_eq!(service.reload.as_deref(), Some("SIGHUP"));
    assert_eq!(stack.secrets.keys().collect::<Vec<_>>(), ["key", "pin", "token"]);
}

#[test]
fn what_is_wrong_with_the_secrets_of_a_process_has_its_place() {
    for (keys, more, words) in [
        ("secret_environment: {A: gone}", "", "uses the secret `gone`, which is not declared"),
        ("secret_environment: {A: s}", "    environment: {A: x}\n", "sets the variable `A` twice"),
        ("reload: KILL", "", "expected one of SIGHUP"),
    ] {
        let text = format!(
            "services:\n  a:\n    x-disco: {{process: {{path: ./a}}, {keys}}}\n{more}secrets: {{s: {{file: ./s}}}}\n"
        );
        let refused = refused(&text);
        assert!(refused.contains(words), "{refused}");
    }
}
