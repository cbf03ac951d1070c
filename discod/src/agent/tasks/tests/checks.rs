//! Probes of real tasks.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use disco_store::typed::{HealthSpec, ProbeSpec};

use super::*;

fn health(probe: ProbeSpec) -> HealthSpec {
    HealthSpec { probe, interval_ms: 60, timeout_ms: 5_000, retries: 2, start_period_ms: 60_000, start_interval_ms: 60 }
}

/// A task with this probe that is not healthy yet.
fn with(script: &str, probe: ProbeSpec) -> Test {
    let mut test = Test::new(script);
    test.order.task.ports = vec![free_port()];
    test.spec(|spec| spec.health = Some(health(probe)));
    test
}

const WAITS: &str = "echo ready; exec sleep 3600";

/// Reads a request and answers it.
fn answer(mut stream: TcpStream, status: &str, body: &str) -> String {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() > 0 {
        request.push(byte[0]);
    }
    write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
    String::from_utf8(request).unwrap()
}

#[tokio::test]
async fn an_answer_to_http_makes_a_task_healthy_and_others_are_shown() {
    let mut test = with(WAITS, ProbeSpec::Http("/healthy?a=b".to_owned()));
    test.begin();
    let state = test.until(|state| state.reason.contains("refused")).await;
    assert_eq!((state.reason.as_str(), state.healthy), ("GET /healthy: refused", false));
    let listener = TcpListener::bind((address(), test.order.task.ports[0].number)).unwrap();
    let serve = tokio::task::spawn_blocking(move || {
        let request = answer(listener.accept().unwrap().0, "204 No Content", "");
        // Two failures end it again.
        for _ in 0..2 {
            answer(listener.accept().unwrap().0, "503 Service Unavailable", "the store\nis away");
        }
        (request, listener)
    });
    let state = test.until(|state| state.healthy).await;
    assert!(state.state == TaskState::Running && state.healthy_since.is_some() && state.reason.is_empty(), "{state:?}");
    let state = test.until(|state| !state.healthy).await;
    assert_eq!(state.reason, "GET /healthy: 503 Service Unavailable: the store is away");
    assert_eq!((state.state, state.healthy_since), (TaskState::Running, None));
    let (request, _listener) = serve.await.unwrap();
    assert!(request.starts_with("GET /healthy?a=b HTTP/1.1\r\n") && request.contains("host: 127.0.0.1:"), "{request}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_times_out() {
    let mut test = with(WAITS, ProbeSpec::Http("/".to_owned()));
    test.spec(|spec| spec.health.as_mut().unwrap().timeout_ms = 50);
    test.printed_after_start().await;
    let _listener = TcpListener::bind((address(), test.order.task.ports[0].number)).unwrap();
    // The reason alone is recorded at most once a minute, so the health changes first.
    test.crash().await;
    test.begin();
    test.until(|state| state.reason == "GET /: timed out after 50ms").await;
}

#[tokio::test]
async fn a_connection_makes_a_task_healthy() {
    let mut test = with(WAITS, ProbeSpec::Tcp(80));
    test.begin();
    let state = test.until(|state| state.reason.contains("refused")).await;
    assert_eq!(state.reason, "connection to port 80: refused");
    let _listener = TcpListener::bind((address(), test.order.task.ports[0].number)).unwrap();
    test.until(|state| state.healthy).await;
}

#[tokio::test]
async fn a_command_runs_in_the_tasks_environment() {
    let line = "echo \"$DISCO_TASK is not ready\"; [ -e ready ] && [ \"$MODE\" = on ]";
    let mut test = with(WAITS, ProbeSpec::Shell(line.to_owned()));
    test.spec(|spec| drop(spec.environment.insert("MODE".to_owned(), "on".to_owned())));
    test.begin();
    let state = test.until(|state| state.reason.contains("not ready")).await;
    assert_eq!(state.reason, "the shell command: exit code 1: 7 is not ready");
    fs_err::write(test.files().join("ready"), "").unwrap();
    test.until(|state| state.healthy).await;

    let words = ["test", "-e", "ready"].map(str::to_owned).to_vec();
    let mut test = with(WAITS, ProbeSpec::Command(words));
    test.begin();
    let state = test.until(|state| !state.reason.is_empty()).await;
    assert_eq!(state.reason, "`test`: exit code 1");
    fs_err::write(test.files().join("ready"), "").unwrap();
    test.until(|state| state.healthy).await;

    let mut test = with(WAITS, ProbeSpec::Command(vec!["no-such-program".to_owned()]));
    test.begin();
    test.until(|state| state.reason == "`no-such-program` is not in its PATH").await;
}

#[tokio::test]
async fn a_command_that_takes_too_long_is_killed_with_all_that_it_started() {
    let line = "setsid sleep 3600 & echo $! >>started; setsid sh -c 'sleep 3600 & echo $! >>started' & sleep 3600";
    let mut test = with(WAITS, ProbeSpec::Shell(line.to_owned()));
    test.spec(|spec| spec.health.as_mut().unwrap().timeout_ms = 3_000);
    test.begin();
    // Long enough for a slow machine to start both.
    test.until(|state| state.reason.contains("timed out after 3s")).await;
    let text = fs_err::read_to_string(test.files().join("started")).unwrap();
    let first: Vec<u32> = text.lines().take(2).map(|line| line.parse().unwrap()).collect();
    assert_eq!(first.len(), 2);
    assert!(first.iter().all(|pid| !runs(*pid)), "{text}");
    // The task itself is not touched.
    assert!(runs(test.running().await.pid));
}

impl Test {
    async fn printed_after_start(&mut self) {
        self.begin();
        self.printed(0, "ready").await;
        self.running().await;
    }
}
