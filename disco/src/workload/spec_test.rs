use std::io;

use disco_stack::{Files, Loaded, Options, load};

use super::*;

struct Text(&'static str);

impl Files for Text {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        if path == "stack.yml" { Ok(self.0.as_bytes().to_vec()) } else { Err(io::ErrorKind::NotFound.into()) }
    }
}

fn loaded(text: &'static str) -> Loaded {
    let options = Options { files: vec!["stack.yml".to_owned()], folder_name: "shop".to_owned(), ..Options::default() };
    load(&options, &Text(text)).unwrap_or_else(|error| panic!("{error}"))
}

fn process() -> ProcessSpec {
    ProcessSpec { program: "web".to_owned(), files: Vec::new(), args: Vec::new(), user: None, working_folder: None }
}

fn converted(text: &'static str) -> ServiceSpec {
    let services = loaded(text).stack.services;
    spec(&services["web"], process(), &services, Vec::new())
}

fn findings(text: &'static str) -> (Vec<String>, Vec<String>) {
    let loaded = loaded(text);
    let mut findings = Findings::default();
    for (name, service) in &loaded.stack.services {
        check(name, service, &mut findings);
    }
    let render = |problems: Vec<Problem>| problems.iter().map(|problem| problem.render(&loaded.sources)).collect();
    (render(findings.errors), render(findings.warnings))
}

#[test]
fn a_service_is_converted_with_all_that_it_says() {
    let spec = converted(
        "services:
  web:
    ports: [\"8080:80\", {target: 53, protocol: udp, published: 5353, mode: host}]
    expose: [80, \"9000-9001\"]
    environment: {A: \"1\", UNSET: }
    depends_on: {store: {condition: service_healthy}}
    labels: {a: one, b: two}
    stop_signal: SIGINT
    stop_grace_period: 1500ms
    ulimits: {nofile: {soft: 100, hard: 200}}
    x-disco:
      process: {path: ./web}
      health: {http: /healthy}
      rollout: {limit: 20s, max_unavailable: 1}
    healthcheck: {interval: 2s}
    deploy:
      replicas: 4
      labels: {b: three}
      placement: {constraints: [node.labels.disk==ssd], preferences: [{spread: node.labels.zone}]}
      update_config: {parallelism: 2, delay: 1s, monitor: 3s, order: start-first, max_failure_ratio: 0.5}
      restart_policy: {condition: on-failure, delay: 2s, max_attempts: 3}
      resources: {limits: {cpus: \"0.5\", memory: 64m, pids: 9}, reservations: {cpus: 0.25, memory: 32m}}
  store: {x-disco: {process: {path: ./store}, health: {tcp: 80}}, expose: [80]}
",
    );
    let ports: Vec<_> = spec.ports.iter().map(|port| (port.target, port.published, port.host)).collect();
    let expected =
        [(80, Some((8080, 8080)), false), (53, Some((5353, 5353)), true), (9000, None, false), (9001, None, false)];
    assert_eq!(ports, expected);
    assert_eq!(spec.environment, BTreeMap::from([("A".to_owned(), "1".to_owned())]));
    assert_eq!(spec.depends_on["store"], DependencySpec::Healthy);
    assert_eq!((spec.labels["a"].as_str(), spec.labels["b"].as_str()), ("one", "three"));
    assert_eq!((spec.stop_signal.as_str(), spec.stop_grace_ms, spec.open_files), ("SIGINT", 1500, 100));
    assert_eq!(spec.needs, ResourceSpec { cpu_millis: 250, memory: 32 << 20 });
    assert_eq!(spec.limits, ResourceSpec { cpu_millis: 500, memory: 64 << 20 });
    assert_eq!(spec.pids, 9);
    assert_eq!(spec.constraints, ["node.labels.disk==ssd"]);
    assert_eq!(spec.spread, ["node.labels.zone"]);
    let health = spec.health.expect("a probe");
    assert_eq!(health.probe, ProbeSpec::Http("/healthy".to_owned()));
    assert_eq!((health.interval_ms, health.timeout_ms, health.retries), (2000, 5000, 3));
    let restart = RestartSpec { condition: RestartCondition::OnFailure, delay_ms: 2000, attempts: 3 };
    assert_eq!(spec.restart, restart);
    let update = UpdateSpec {
        batch: 2,
        delay_ms: 3000,
        stop_first: false,
        max_unavailable: 1,
        limit_ms: 20_000,
        max_failures: 2,
        keep_failed: false,
    };
    assert_eq!(spec.update, update);
}

#[test]
fn what_is_not_given_has_the_clusters_defaults() {
    let spec = converted("services: {web: {x-disco: {process: {path: ./web}}}}\n");
    assert_eq!(spec.update, UpdateSpec::default());
    assert_eq!(spec.restart, RestartSpec::default());
    assert_eq!((spec.stop_signal.as_str(), spec.stop_grace_ms), ("SIGTERM", 10_000));
    assert!(spec.health.is_none() && !spec.singleton && spec.ports.is_empty());
}

#[test]
fn restart_and_failure_actions_are_those_of_compose() {
    let of = |restart: &'static str| {
        let text = format!("services: {{web: {{restart: \"{restart}\", x-disco: {{process: {{path: ./web}}}}}}}}\n");
        converted(text.leak()).restart
    };
    assert_eq!(of("no").condition, RestartCondition::Never);
    assert_eq!(of("unless-stopped").condition, RestartCondition::Any);
    assert_eq!((of("on-failure:4").condition, of("on-failure:4").attempts), (RestartCondition::OnFailure, 4));
    let update = |config: &'static str| {
        let text = format!(
            "services: {{web: {{deploy: {{update_config: {{{config}}}}}, x-disco: {{process: {{path: ./web}}}}}}}}\n"
        );
        converted(text.leak()).update
    };
    assert_eq!(update("parallelism: 0").batch, u32::MAX);
    assert!(update("failure_action: pause").keep_failed && !update("failure_action: rollback").keep_failed);
    assert_eq!(update("failure_action: continue").max_failures, u32::MAX);
    assert_eq!((update("order: stop-first").stop_first, update("order: stop-first").max_unavailable), (true, 1));
}

#[test]
fn what_exists_once_stops_first() {
    let singleton = converted("services: {web: {x-disco: {process: {path: ./web}, singleton: true}}}\n");
    assert!(singleton.singleton && singleton.update.stop_first && singleton.update.max_unavailable == 1);
    let host =
        "services: {web: {ports: [{target: 80, published: 80, mode: host}], x-disco: {process: {path: ./web}}}}\n";
    assert!(converted(host).update.stop_first);
}

#[test]
fn what_cannot_be_deployed_yet_is_refused_with_its_place() {
    let (errors, _) = findings(
        "services:
  a: {image: a}
  b:
    x-disco: {process: {path: ./b}}
    deploy: {placement: {max_replicas_per_node: 1}}
",
    );
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(errors[0].starts_with("stack.yml:2:7: the service `a` is a container (`image`)"), "{}", errors[0]);
    assert!(errors[0].contains("hint: run a program of the project with `x-disco"), "{}", errors[0]);
    assert!(errors[1].contains("the service `b` has `deploy.placement.max_replicas_per_node`"), "{}", errors[1]);
}

#[test]
fn what_has_no_effect_is_a_warning() {
    let (errors, warnings) = findings(
        "services:
  web:
    x-disco: {process: {path: ./web}, ingress: {host: a.example.test}}
    ports: [\"8080:80\"]
    cpuset: \"0\"
",
    );
    assert!(errors.is_empty(), "{errors:?}");
    let all = warnings.join("\n");
    for words in
        ["stack.yml:5:5: `cpuset`", "`x-disco.ingress`", "the port 8080", "hint: tasks are reached at the endpoints"]
    {
        assert!(all.contains(words), "`{words}` is missing: {all}");
    }
}

#[test]
fn a_job_has_no_copies_and_is_never_restarted_on_its_node() {
    let text = "services:
  web:
    x-disco:
      process: {path: ./web}
      job: {schedule: \"0 3 * * *\", time_zone: Europe/Berlin, overlap: replace, catch_up: none, timeout: 90s, retries: 2, keep: 5}
";
    let services = loaded(text).stack.services;
    assert_eq!(copies(&services["web"]), CopiesRecord::Number(0));
    let spec = spec(&services["web"], process(), &services, Vec::new());
    assert_eq!(spec.restart.condition, RestartCondition::Never);
    let job = JobSpec {
        schedule: Some("0 3 * * *".to_owned()),
        time_zone: Some("Europe/Berlin".to_owned()),
        overlap: OverlapSpec::Replace,
        no_catch_up: true,
        timeout_ms: Some(90_000),
        retries: 2,
        keep: 5,
    };
    assert_eq!(spec.job, Some(job));
    let plain = converted("services:\n  web:\n    x-disco: {process: {path: ./web}, job: {}}\n");
    assert_eq!(plain.job, Some(JobSpec { keep: 10, ..JobSpec::default() }));
}
