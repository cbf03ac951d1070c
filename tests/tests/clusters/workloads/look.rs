//! What a cluster shows of itself: metrics, usage, and why something is as it is.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use disco_tests::{SOON, free_ip, skipped, wait_for};
use serde_json::{Value, json};

use super::support::{Bed, STACK, Stack};

/// The value of a sample by its name and labels, as the text has them.
#[track_caller]
fn sample(text: &str, series: &str) -> f64 {
    let found = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    found.unwrap_or_else(|| panic!("no `{series}` in:\n{text}")).parse().expect("a number")
}

/// The answer to a request over a new connection.
fn http(mut stream: impl Read + Write, request: &str) -> String {
    stream.write_all(format!("{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// What `promtool` finds wrong with metrics; `None` where it is not installed.
fn promtool(text: &str) -> Option<String> {
    let command = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut checker = match command {
        Ok(checker) => checker,
        Err(error) => {
            skipped(format_args!("`promtool` of the package `prometheus` cannot be run: {error}"));
            return None;
        }
    };
    checker.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = checker.wait_with_output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Some(if output.status.success() && said.is_empty() { String::new() } else { format!("{}: {said}", output.status) })
}

#[test]
fn metrics_are_served_at_a_socket_at_an_address_and_through_the_cluster() {
    let mut bed = Bed::deployed();
    let address = format!("{}:9400", free_ip());
    let node = &mut bed.cluster.nodes[0];
    node.kill();
    node.env.push(("DISCOD_METRICS_LISTEN".to_owned(), address.clone().into()));
    node.start();
    bed.wait_for_web(SOON, 3, |_| true);
    let at_address = wait_for(SOON, "metrics at the address", || {
        TcpStream::connect(&address).map(|stream| http(stream, "GET /metrics")).map_err(|error| error.to_string())
    });
    assert!(at_address.starts_with("HTTP/1.1 200 OK"), "{at_address}");
    assert!(at_address.to_lowercase().contains("content-type: text/plain; version=0.0.4"), "{at_address}");
    assert!(http(TcpStream::connect(&address).unwrap(), "GET /").starts_with("HTTP/1.1 404"));
    assert!(http(TcpStream::connect(&address).unwrap(), "POST /metrics").starts_with("HTTP/1.1 405"));
    let head = http(TcpStream::connect(&address).unwrap(), "HEAD /metrics");
    assert!(head.starts_with("HTTP/1.1 200") && !head.contains("disco_raft_term"), "{head}");

    let leader = bed.leader();
    for (id, node) in (1..).zip(&bed.cluster.nodes) {
        let socket = node.data.join("metrics.sock");
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&socket).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
        let answer = http(UnixStream::connect(&socket).unwrap(), "GET /metrics");
        let text = answer.split_once("\r\n\r\n").expect("a body").1;
        if let Some(wrong) = promtool(text) {
            assert_eq!(wrong, "", "{text}");
        }
        assert_eq!(sample(text, "disco_raft_is_leader"), f64::from(u8::from(id == leader)));
        assert_eq!(sample(text, "disco_raft_members{role=\"voter\"}"), 3.0);
        assert!(sample(text, "disco_raft_committed_index") >= sample(text, "disco_raft_applied_index"));
        assert!(sample(text, "disco_raft_log_bytes") > 0.0 && sample(text, "process_resident_memory_bytes") > 1e6);
        assert_eq!(
            text.contains("disco_controller_last_pass_success{controller=\"workloads\"} 1"),
            id == leader,
            "{text}"
        );
        assert!(sample(text, "disco_tasks{state=\"running\"}") >= 1.0);
    }
    // Through the cluster, from each node to each node.
    for address in bed.cluster.addresses() {
        for task in bed.ps().iter().filter(|task| task["service"] == "web") {
            let node = task["node_name"].as_str().unwrap();
            let text = bed.project.disco(&["--address", &address, "metrics", node]).ok().stdout;
            let series =
                |name: &str| format!("{name}{{stack=\"{STACK}\",service=\"web\",index=\"{}\"}}", task["index"]);
            assert_eq!(sample(&text, &series("disco_task_healthy")), 1.0);
            assert_eq!(sample(&text, &series("disco_task_restarts_total")), 0.0);
            assert!(sample(&text, &series("disco_task_memory_bytes")) > 1e5, "{text}");
            assert!(sample(&text, "disco_probes_total{result=\"success\"}") >= 1.0);
        }
    }
    bed.project.disco(&["metrics", "nobody"]).expect(6);
}

#[test]
fn a_task_that_computes_is_at_the_top() {
    let bed = Bed::deployed();
    let mut burning = bed.project.start(&["exec", "-T", "store", "--", "sh", "-c", "echo go; while :; do :; done"]);
    burning.wait_for_stdout(SOON, "go");
    let top = wait_for(SOON, "a task that computes", || {
        let top = bed.project.disco(&["top", "--interval", "500ms", "-o", "json"]).ok().json();
        let used = |name: &str| {
            top["tasks"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|task| task["service"] == name)
                .all(|task| task["memory"].as_u64() > Some(0) && task["cpu_percent"].is_number())
        };
        if used("web") && used("store") { Ok(top) } else { Err(format!("{top:#}")) }
    });
    assert_eq!(
        (top["nodes"].as_array().map(Vec::len), top["tasks"].as_array().map(Vec::len)),
        (Some(3), Some(4)),
        "{top:#}"
    );
    for node in top["nodes"].as_array().unwrap() {
        assert!(node["error"].is_null() && node["memory_used"].as_u64() < node["memory"].as_u64(), "{node}");
        assert!(node["cpu_percent"].as_f64().is_some_and(|percent| percent > 1.0), "{node}");
    }
    // Once, and not without end, where standard output is no terminal.
    let text = bed.project.disco(&["top", "web", "--sort", "name"]).ok().stdout;
    assert!(text.contains("shop/web/1") && !text.contains("shop/store"), "{text}");
    assert_eq!(bed.project.disco(&["top", "-n", "2", "--interval", "100ms", "-o", "jsonl"]).ok().jsonl().len(), 2);
    burning.signal(rustix::process::Signal::TERM);
    burning.wait(SOON);
}

#[track_caller]
fn why(bed: &Bed, target: &str) -> Value {
    bed.project.disco(&["why", target, "-o", "json"]).ok().json()[0].clone()
}

#[track_caller]
fn has(answer: &Value, part: &str) {
    assert!(answer.to_string().contains(part), "no `{part}` in {answer:#}");
}

#[test]
fn every_question_ends_with_the_next_command() {
    let mut bed = Bed::deployed();
    let well = why(&bed, "web/1");
    assert_eq!(
        (&well["kind"], &well["ok"], &well["verdict"]),
        (&json!("task"), &json!(true), &json!("runs and is healthy")),
        "{well:#}"
    );
    assert_eq!(well["next"][0], "disco logs -f shop/web/1");
    assert_eq!((&why(&bed, "web")["ok"], &why(&bed, STACK)["ok"]), (&json!(true), &json!(true)));
    assert_eq!(why(&bed, "raw-2")["ok"], true);
    bed.project.disco(&["why", "gone"]).expect(6);

    // A version that is never healthy, while it is under way: the last probe, and the last lines.
    let bad = Stack { environment: "SAMPLE_UNHEALTHY: no database", ..Stack::new("v2") };
    bad.write(&bed.project);
    bed.project.disco(&["deploy", "--detach"]).ok();
    let ill = wait_for(SOON, "the last probe", || {
        let ill = why(&bed, "web");
        if ill.to_string().contains("503") { Ok(ill) } else { Err(format!("{ill:#}")) }
    });
    assert_eq!((&ill["kind"], &ill["ok"]), (&json!("service"), &json!(false)), "{ill:#}");
    has(&ill, "no database");
    let next = ill["next"][0].as_str().unwrap().to_owned();
    let task =
        bed.project.disco(&next.split(' ').skip(1).chain(["-o", "json"]).collect::<Vec<_>>()).ok().json()[0].clone();
    assert_eq!((&task["kind"], &task["ok"]), (&json!("task"), &json!(false)), "{task:#}");
    has(&task, "GET /healthy: 503");
    assert!(task["output"].as_array().is_some_and(|lines| !lines.is_empty()), "{task:#}");
    wait_for(Duration::from_secs(60), "the previous version", || {
        let service = why(&bed, "web");
        if service["ok"] == true { Ok(()) } else { Err(format!("{service:#}")) }
    });
    has(&why(&bed, "web"), "failed and was rolled back");

    // No node has a place: the reason of each.
    for node in ["raw-1", "raw-2", "raw-3"] {
        bed.project.disco(&["drain", node, "--detach"]).ok();
    }
    let unplaced = wait_for(SOON, "reasons of all nodes", || {
        let answer = why(&bed, "web");
        let nodes = answer["nodes"].as_array().unwrap();
        if nodes.len() >= 3 { Ok(answer) } else { Err(format!("{answer:#}")) }
    });
    for refusal in unplaced["nodes"].as_array().unwrap() {
        assert!(refusal["reason"].as_str().is_some_and(|reason| reason.contains("drained")), "{unplaced:#}");
    }
    assert_eq!(unplaced["next"][0], "disco undrain raw-1");
    let drained = why(&bed, "raw-1");
    assert_eq!((&drained["ok"], &drained["next"][0]), (&json!(false), &json!("disco undrain raw-1")), "{drained:#}");
    for node in ["raw-1", "raw-2", "raw-3"] {
        bed.project.disco(&["undrain", node]).ok();
    }

    // A dead node.
    let leader = usize::try_from(bed.leader()).unwrap();
    let dead = (0..3).find(|at| at + 1 != leader).unwrap();
    bed.cluster.nodes[dead].kill();
    let name = format!("raw-{}", dead + 1);
    let lost = wait_for(SOON, "a node that is not healthy", || {
        let answer = why(&bed, &name);
        if answer["ok"] == false { Ok(answer) } else { Err(format!("{answer:#}")) }
    });
    has(&lost, "no sign of life");
    assert_eq!(lost["next"][0], format!("disco logs {name}"));
    let text = bed.project.disco(&["why", &name]).ok().stdout;
    assert!(
        text.contains("is not healthy") && text.lines().last().is_some_and(|line| line.starts_with("next: `disco ")),
        "{text}"
    );
}
