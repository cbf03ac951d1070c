//! The side of Disco: one node.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use disco_benches::process::{anonymous_mb, parent, processor_seconds, resident_mb};
use disco_store::typed::keys;
use disco_tests::{Binaries, Project, RawCluster};
use serde_json::Value;

/// A cluster of one node, and a project with a stack.
pub(crate) struct Cluster {
    raw: RawCluster,
    project: Project,
}

/// A task that was started.
pub(crate) struct Started {
    /// When its record was written, in microseconds since 1970 (of whole milliseconds).
    pub(crate) ordered_us: i64,
    /// When its program was executed.
    pub(crate) executed_us: i64,
}

// === impl Cluster ===

impl Cluster {
    /// With a service `web` of no copies.
    pub(crate) fn start() -> Result<Self> {
        let raw = RawCluster::found();
        let project = raw.project();
        std::fs::create_dir_all(project.path("bin"))?;
        std::fs::copy(Binaries::get().sample(), project.path("bin/sample"))?;
        let cluster = Self { raw, project };
        cluster.deploy("web", "deploy: {replicas: 0}, expose: [80]", "web")?;
        Ok(cluster)
    }

    fn deploy(&self, service: &str, keys: &str, args: &str) -> Result<()> {
        let process = format!("{{process: {{path: ./bin/sample, args: [{args}]}}}}");
        self.project.write(
            "stack.yml",
            &format!("name: bench\nservices:\n  {service}: {{{keys}, stop_grace_period: 1s, x-disco: {process}}}\n"),
        );
        self.run(&["deploy"])?;
        Ok(())
    }

    fn run(&self, args: &[&str]) -> Result<Value> {
        let all: Vec<&str> = args.iter().copied().chain(["-o", "json"]).collect();
        let output = self.project.disco(&all);
        ensure!(output.code == 0, "{output}");
        Ok(serde_json::from_str(&output.stdout)?)
    }

    fn tasks(&self) -> Result<Vec<Value>> {
        let found = self.run(&["ps"])?;
        Ok(found.as_array().context("a list of tasks")?.clone())
    }

    /// Starts the copy of this number.
    pub(crate) fn scale(&self, count: u64) -> Result<Started> {
        self.run(&["scale", &format!("web={count}")])?;
        let tasks = self.tasks()?;
        let task = tasks.iter().find(|task| task["index"] == count).context("its task")?;
        let id = task["id"].as_u64().context("the task's id")?;
        let record = self.project.get(&keys::task(id)).context("the task's record")?;
        let record: Value = serde_json::from_str(&record)?;
        let since: jiff::Timestamp = record["since"].as_str().context("the time of the order")?.parse()?;
        let executed_us = super::executed_us(task["address"].as_str().context("its address")?)?;
        Ok(Started { ordered_us: since.as_microsecond(), executed_us })
    }

    /// Prints the memory of the daemon, and of the shims.
    pub(crate) fn memory(&self, count: u64) -> Result<()> {
        let daemon = self.raw.nodes[0].pid();
        println!(
            "daemon with {count} tasks: {:.1} MB resident, {:.1} MB anonymous",
            resident_mb(daemon)?,
            anonymous_mb(daemon)?
        );
        let mut shims = Vec::new();
        for task in self.tasks()? {
            let pid = u32::try_from(task["pid"].as_u64().context("a process")?)?;
            let shim = parent(pid)?;
            shims.push((anonymous_mb(shim)?, resident_mb(shim)?));
        }
        shims.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (anonymous, resident) = shims[shims.len() - 1];
        println!("largest shim: {anonymous:.2} MB anonymous, {resident:.2} MB resident");
        Ok(())
    }

    /// Prints the processor time of a task that writes, and of its shim.
    pub(crate) fn output(&self, rate: u32, time: Duration) -> Result<()> {
        self.deploy("flood", "deploy: {replicas: 1}", &format!("flood, \"{rate}\""))?;
        let tasks = self.tasks()?;
        let task = tasks.iter().find(|task| task["service"] == "flood").context("its task")?;
        let task = u32::try_from(task["pid"].as_u64().context("its process")?)?;
        let shim = parent(task)?;
        let read = || -> Result<_> { Ok((processor_seconds(task)?, processor_seconds(shim)?, read_bytes(shim)?)) };
        let (before, start) = (read()?, Instant::now());
        std::thread::sleep(time);
        let (after, seconds) = (read()?, start.elapsed().as_secs_f64());
        let (own, shims) = (after.0 - before.0, after.1 - before.1);
        println!(
            "output of {:.0} MB/s for {seconds:.0} s: {:.1} % of a core for the task, {:.1} % for its shim, {:.2} times as much",
            (after.2 - before.2) / 1e6 / seconds,
            own / seconds * 100.0,
            shims / seconds * 100.0,
            shims / own
        );
        Ok(())
    }
}

/// Bytes that a process has read, from pipes too.
fn read_bytes(pid: u32) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/io"))?;
    let value = text.lines().find_map(|line| line.strip_prefix("rchar: ")).context("rchar")?;
    Ok(value.parse()?)
}
