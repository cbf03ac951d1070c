//! A cluster of daemons, a project with a stack, and clients of its endpoints.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use disco_tests::{Api, Binaries, Output, Project, RawCluster, SOON, wait_for};
use serde_json::Value;

/// The name of the stack.
pub(crate) const STACK: &str = "shop";

/// A stack file with a web service and a store.
#[derive(Clone, Debug)]
pub(crate) struct Stack {
    pub(crate) version: &'static str,
    pub(crate) copies: u32,
    pub(crate) path: &'static str,
    /// Further variables of `web`.
    pub(crate) environment: &'static str,
    /// Further keys of `web`.
    pub(crate) keys: &'static str,
    /// Keys in `deploy` of `web`.
    pub(crate) deploy: &'static str,
    /// The time within which new tasks must become healthy: long, as a machine may be slow, unless they are not meant to.
    pub(crate) limit: &'static str,
}

impl Stack {
    pub(crate) fn new(version: &'static str) -> Self {
        let (path, keys) = ("./bin/sample", "expose: [80]");
        Self { version, copies: 3, path, environment: "", keys, deploy: "", limit: "60s" }
    }

    /// A version that fails, which is seen soon.
    pub(crate) fn bad(version: &'static str) -> Self {
        Self { limit: "8s", ..Self::new(version) }
    }

    pub(crate) fn write(&self, project: &Project) {
        project.write("stack.yml", &self.to_string());
    }
}

impl fmt::Display for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, copies, path, environment, keys, deploy, limit } = self;
        write!(
            f,
            "name: {STACK}
services:
  web:
    {keys}
    environment: {{VERSION: {version}, {environment}}}
    stop_grace_period: 2s
    x-disco:
      process: {{path: {path}, args: [web]}}
      health: {{http: /healthy}}
      rollout: {{limit: {limit}}}
    healthcheck: {{interval: 500ms, timeout: 2s, start_interval: 100ms, start_period: 20s}}
    deploy: {{replicas: {copies}, {deploy}}}
  store:
    expose: [6379]
    stop_grace_period: 2s
    x-disco:
      process: {{path: ./bin/sample, args: [store]}}
      health: {{tcp: 6379}}
    healthcheck: {{interval: 500ms, timeout: 2s, start_interval: 100ms}}
"
        )
    }
}

/// Puts the sample program into a project, without symbols: it is sent to every node.
pub(crate) fn add_program(project: &Project) {
    let folder = project.path("bin");
    fs::create_dir_all(&folder).unwrap();
    let program = Binaries::get().sample();
    let stripped = std::process::Command::new("strip").arg("-o").arg(folder.join("sample")).arg(&program).status();
    if !stripped.is_ok_and(|status| status.success()) {
        fs::copy(&program, folder.join("sample")).unwrap();
    }
}

/// A cluster of daemons without machines, and a project with the sample's stack.
pub(crate) struct Bed {
    pub(crate) project: Project,
    pub(crate) cluster: RawCluster,
    pub(crate) api: Api,
}

impl Bed {
    /// Nothing is deployed yet.
    pub(crate) fn new() -> Self {
        let cluster = RawCluster::with_nodes(3);
        let project = cluster.project();
        add_program(&project);
        let api = cluster.operator();
        wait_for_capacities(&api, &cluster.addresses()[0]);
        Self { project, cluster, api }
    }

    /// With the first version, and all its tasks healthy.
    pub(crate) fn deployed() -> Self {
        let bed = Self::new();
        bed.deploy(&Stack::new("v1")).ok();
        bed
    }

    #[track_caller]
    pub(crate) fn deploy(&self, stack: &Stack) -> Output {
        stack.write(&self.project);
        self.project.disco(&["deploy", "-o", "json"])
    }

    #[track_caller]
    pub(crate) fn ps(&self) -> Vec<Value> {
        array(&self.project.disco(&["ps", "-o", "json"]).ok())
    }

    /// The tasks of `web` that run, by id, with their process ids.
    #[track_caller]
    pub(crate) fn web(&self) -> BTreeMap<u64, u64> {
        running(&self.ps(), "web")
    }

    #[track_caller]
    pub(crate) fn service(&self, name: &str) -> Value {
        let services = array(&self.project.disco(&["services", "-o", "json"]).ok());
        services.into_iter().find(|service| service["name"] == name).unwrap_or_else(|| panic!("no service `{name}`"))
    }

    /// Waits until all endpoints of `web` answer with this version.
    #[track_caller]
    pub(crate) fn wait_for_version(&self, expected: &str) {
        wait_for(SOON, &format!("the version {expected} alone"), || {
            let service = self.service("web");
            let endpoints = service["endpoints"].as_array().expect("a list").iter();
            let usable = endpoints.filter(|endpoint| endpoint["healthy"] == true && endpoint["draining"] == false);
            let answers = usable.map(|endpoint| get(&address(endpoint), "/").map(|answer| version(&answer)));
            let versions = answers.collect::<Result<BTreeSet<String>, String>>()?;
            if versions.iter().eq([expected]) { Ok(()) } else { Err(format!("{versions:?}")) }
        });
    }

    /// Waits until these tasks of `web` run as these processes, and no others.
    #[track_caller]
    pub(crate) fn wait_for_same_web(&self, before: &BTreeMap<u64, u64>) {
        wait_for(SOON, "the same tasks", || {
            let now = self.web();
            if now == *before { Ok(()) } else { Err(format!("{before:?} became {now:?}")) }
        });
    }

    /// Waits until what is shown of all tasks is as before.
    #[track_caller]
    pub(crate) fn wait_for_same_ps(&self, before: &[Value]) {
        wait_for(SOON, "the same tasks", || {
            let now = self.ps();
            if now == *before { Ok(()) } else { Err(format!("{before:#?} became {now:#?}")) }
        });
    }

    /// Waits until a count in what is shown of a service has this value.
    #[track_caller]
    pub(crate) fn wait_for_count(&self, service: &str, count: &str, value: u64) {
        wait_for(SOON, &format!("{value} {count} of {service}"), || {
            let shown = self.service(service);
            if shown[count] == value { Ok(()) } else { Err(format!("{shown:#}")) }
        });
    }

    /// Waits until this many tasks of `web` are healthy on these nodes.
    #[track_caller]
    pub(crate) fn wait_for_web(&self, limit: Duration, count: usize, on: impl Fn(u64) -> bool) {
        wait_for(limit, &format!("{count} healthy tasks"), || {
            let tasks = self.ps();
            let healthy = tasks.iter().filter(|task| {
                task["service"] == "web"
                    && task["healthy"] == true
                    && task["state"] == "running"
                    && task["node"].as_u64().is_some_and(&on)
            });
            if healthy.count() == count { Ok(()) } else { Err(format!("{tasks:#?}")) }
        });
    }

    /// The id of the leader.
    #[track_caller]
    pub(crate) fn leader(&self) -> u64 {
        wait_for(SOON, "a leader", || {
            let statuses = self.cluster.addresses().into_iter().filter_map(|address| self.api.status(&address).ok());
            let known = statuses.filter(|status| !status.stale).find(|status| status.leader != 0);
            known.map(|status| status.leader).ok_or("no leader is known")
        })
    }

    /// Processes of tasks: the sample's program and their shims.
    pub(crate) fn task_processes(&self) -> Vec<String> {
        task_processes(self.cluster.processes())
    }
}

/// Waits until it is known what each of three nodes has for tasks.
#[track_caller]
pub(crate) fn wait_for_capacities(api: &Api, node: &str) {
    wait_for(SOON, "what each node has for tasks", || {
        let known = api.list(node, "/disco/capacities/", false).map_err(|status| status.to_string())?;
        if known.len() == 3 { Ok(()) } else { Err(format!("{known:?}")) }
    });
}

/// Processes of tasks among all of a cluster.
pub(crate) fn task_processes(all: Vec<disco_tests::Process>) -> Vec<String> {
    let of_tasks = all.into_iter().filter(|process| {
        let words: Vec<&str> = process.command.split(' ').collect();
        process.command.contains("sample") || words.get(1) == Some(&"shim")
    });
    of_tasks.map(|process| format!("{} {}", process.pid, process.command)).collect()
}

/// Tasks of a service that run, by id, with their process ids.
pub(crate) fn running(tasks: &[Value], service: &str) -> BTreeMap<u64, u64> {
    let own = tasks.iter().filter(|task| task["service"] == service && task["state"] == "running");
    own.map(|task| (task["id"].as_u64().expect("an id"), task["pid"].as_u64().expect("a process id"))).collect()
}

#[track_caller]
pub(crate) fn array(output: &Output) -> Vec<Value> {
    output.json().as_array().unwrap_or_else(|| panic!("not a list: {output}")).clone()
}

/// `IP:PORT` of an endpoint.
pub(crate) fn address(endpoint: &Value) -> String {
    format!("{}:{}", endpoint["address"].as_str().expect("an address"), endpoint["port"])
}

fn version(answer: &str) -> String {
    answer.split([' ', ',']).nth(1).unwrap_or_default().to_owned()
}

/// The body of an answer with status 200 over a new connection.
pub(crate) fn get(address: &str, path: &str) -> Result<String, String> {
    exchange(address, &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
}

pub(crate) fn post(address: &str, path: &str, body: &str) -> Result<String, String> {
    let length = body.len();
    let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    exchange(address, &format!("{head}{body}"))
}

fn exchange(address: &str, request: &str) -> Result<String, String> {
    // A slow answer is not a lost one.
    const LIMIT: Duration = Duration::from_secs(15);
    let failed = |what: &str| {
        let what = what.to_owned();
        move |error: std::io::Error| format!("{what}: {error}")
    };
    let to: SocketAddr = address.parse().map_err(|_| format!("`{address}` is no address"))?;
    let mut connection = TcpStream::connect_timeout(&to, LIMIT).map_err(failed("connect"))?;
    connection.set_read_timeout(Some(LIMIT)).map_err(failed("limit"))?;
    connection.write_all(request.as_bytes()).map_err(failed("write"))?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).map_err(failed("read"))?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| format!("half an answer: {answer:?}"))?;
    if head.starts_with("HTTP/1.1 2") { Ok(body.to_owned()) } else { Err(head.to_owned()) }
}

/// A client of 200 requests per second at the endpoints of `web`, which it reads again ten times a second.
pub(crate) struct Client {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    endpoints: Mutex<Vec<String>>,
    stop: Mutex<bool>,
    stopped: Condvar,
    sent: AtomicUsize,
    failed: Mutex<Vec<String>>,
    began: Instant,
}

/// Threads that send; each sends one request in twenty milliseconds.
const SENDERS: usize = 4;
const EACH: Duration = Duration::from_millis(20);
const READ: Duration = Duration::from_millis(100);

impl Client {
    /// Starts it, and waits until requests succeed.
    #[track_caller]
    pub(crate) fn start(api: &Api, nodes: Vec<String>) -> Self {
        let shared = Arc::new(Shared {
            endpoints: Mutex::default(),
            stop: Mutex::new(false),
            stopped: Condvar::new(),
            sent: AtomicUsize::new(0),
            failed: Mutex::default(),
            began: Instant::now(),
        });
        let mut threads = Vec::new();
        let (api, own) = (api.clone(), Arc::clone(&shared));
        threads.push(std::thread::spawn(move || own.read(&api, &nodes)));
        for sender in 0..SENDERS {
            let own = Arc::clone(&shared);
            threads.push(std::thread::spawn(move || own.send(sender)));
        }
        let client = Self { shared, threads };
        client.wait_for_more(20);
        client
    }

    /// Waits until it has sent more requests.
    #[track_caller]
    pub(crate) fn wait_for_more(&self, more: usize) {
        let sent = || self.shared.sent.load(Ordering::Relaxed);
        let target = sent() + more;
        wait_for(SOON, "more requests", || {
            if sent() >= target { Ok(()) } else { Err(format!("{} of {target}: {:?}", sent(), self.shared.endpoints)) }
        });
    }

    /// Ends it. No request may have failed.
    #[track_caller]
    pub(crate) fn end(self, during: &str) {
        let (sent, failed) = self.finish();
        println!("{during}: {sent} requests, {} failed", failed.len());
        assert!(
            failed.is_empty(),
            "{} of {sent} requests failed during {during}:\n{}",
            failed.len(),
            failed.join("\n")
        );
    }

    /// How many requests were sent, and the failed ones.
    pub(crate) fn finish(mut self) -> (usize, Vec<String>) {
        self.shared.stop();
        for thread in self.threads.drain(..) {
            thread.join().expect("a client does not panic");
        }
        let failed = std::mem::take(&mut *self.shared.failed.lock().unwrap_or_else(PoisonError::into_inner));
        (self.shared.sent.load(Ordering::Relaxed), failed)
    }

    /// Notes the failures so far, and forgets them.
    pub(crate) fn forget_failures(&self) -> usize {
        std::mem::take(&mut *self.shared.failed.lock().unwrap_or_else(PoisonError::into_inner)).len()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

impl Shared {
    fn stop(&self) {
        *self.stop.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stopped.notify_all();
    }

    /// Lets a time pass, as a client that sends at a rate does. Returns whether the client goes on.
    fn goes_on_after(&self, time: Duration) -> bool {
        let stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.stopped.wait_timeout_while(stop, time, |stop| !*stop);
        !*waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Reads the endpoints until the end. As long as no node answers, the last ones are in use.
    fn read(&self, api: &Api, nodes: &[String]) {
        while self.goes_on_after(READ) {
            // The newest state there is: a daemon that has just started may know an old one.
            let found = nodes
                .iter()
                .find_map(|node| endpoints(api, node, false))
                .or_else(|| nodes.iter().find_map(|node| endpoints(api, node, true)));
            if let Some(found) = found.filter(|found| !found.is_empty()) {
                *self.endpoints.lock().unwrap_or_else(PoisonError::into_inner) = found;
            }
        }
    }

    fn send(&self, sender: usize) {
        let mut next = Instant::now() + EACH / 4 * u32::try_from(sender).unwrap_or(0);
        for number in sender.. {
            if !self.goes_on_after(next.saturating_duration_since(Instant::now())) {
                return;
            }
            next += EACH;
            let chosen = {
                let endpoints = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
                endpoints.get(number % endpoints.len().max(1)).cloned()
            };
            let Some(address) = chosen else { continue };
            let result = get(&address, "/");
            self.sent.fetch_add(1, Ordering::Relaxed);
            if let Err(error) = result {
                let text = format!("{:.2} s: {address}: {error}", self.began.elapsed().as_secs_f64());
                self.failed.lock().unwrap_or_else(PoisonError::into_inner).push(text);
            }
        }
    }
}

/// `IP:PORT` of the healthy tasks of `web` that are not about to end.
fn endpoints(api: &Api, node: &str, stale: bool) -> Option<Vec<String>> {
    let records = |prefix: &str| -> Option<Vec<Value>> {
        let kvs = api.list(node, prefix, stale).ok()?;
        Some(kvs.iter().filter_map(|kv| serde_json::from_slice(&kv.value).ok()).collect())
    };
    // States first: a task that is decided to end meanwhile is seen to.
    let states = records("/disco/task_states/")?;
    let tasks = records("/disco/tasks/")?;
    let healthy = tasks.iter().filter(|task| task["service"] == "web" && task["goal"] == "run").filter_map(|task| {
        let state = states.iter().find(|state| state["id"] == task["id"])?;
        let is_healthy = state["healthy"] == true && state["state"] == "running";
        let port = task["ports"].get(0)?.get("number")?;
        is_healthy.then(|| format!("{}:{port}", state["address"].as_str().unwrap_or_default()))
    });
    Some(healthy.collect())
}
