//! Runs many seeds, each in its own process: state that a run leaves in a process would make the next run differ from its repetition.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context, Result};
use clap::ValueEnum;
use parking_lot::Mutex;

use crate::args::Args;
use crate::output;
use crate::run::Report;

/// All results.
#[derive(Default)]
struct Sum {
    passed: u64,
    failed: Vec<Report>,
    hosts: BTreeMap<usize, u64>,
    seconds: f64,
    counts: BTreeMap<String, u64>,
}

/// Runs the seeds. True if all passed.
pub fn run(args: &Args) -> Result<bool> {
    let jobs = args.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)).max(1);
    let (next, stop) = (AtomicU64::new(args.from), AtomicBool::new(false));
    let sum = Mutex::new(Sum::default());
    let started = Instant::now();
    let worker = || -> Result<()> {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= args.from + args.seeds || stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            let report = child(args, seed).inspect_err(|_| stop.store(true, Ordering::Relaxed))?;
            if let Some(failure) = describe(args, &report) {
                output::line(&failure);
                stop.fetch_or(args.stop, Ordering::Relaxed);
            }
            sum.lock().add(report);
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().try_for_each(|worker| {
            worker.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a worker of the driver panicked")))
        })
    })?;
    let sum = sum.into_inner();
    output::line(&sum.describe(started.elapsed().as_secs_f64()));
    Ok(sum.failed.is_empty())
}

/// Runs one seed in its own process.
fn child(args: &Args, seed: u64) -> Result<Report> {
    let program = std::env::current_exe().context("finding this program")?;
    let output = Command::new(&program)
        .args(["--seed", &seed.to_string(), "--json", "--limit", &args.limit.as_secs_f64().to_string()])
        .args(common(args))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("starting {}", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(text.trim())
        .with_context(|| format!("seed {seed} ended with {} and printed `{text}`", output.status))
}

/// The arguments that, with the seed, determine a run.
fn common(args: &Args) -> Vec<String> {
    let mut common = vec!["--nodes".to_owned(), format!("{}..{}", args.nodes.start(), args.nodes.end())];
    if let Some(bug) = args.bug.and_then(|bug| bug.to_possible_value()) {
        common.extend(["--bug".to_owned(), bug.get_name().to_owned()]);
    }
    if args.rivals {
        common.push("--rivals".to_owned());
    }
    common
}

/// The failure and the command that repeats it.
pub fn describe(args: &Args, report: &Report) -> Option<String> {
    let (invariant, at, seen) = report.violation.as_ref()?;
    Some(format!(
        "seed {} failed: {invariant} does not hold at {at:.3}s with {} nodes\n  {seen}\n  repeat: cargo run -p disco-simulation -- --seed {} {} --trace",
        report.seed,
        report.hosts,
        report.seed,
        common(args).join(" "),
    ))
}

// === impl Sum ===

impl Sum {
    fn add(&mut self, report: Report) {
        *self.hosts.entry(report.hosts).or_default() += 1;
        self.seconds += report.seconds;
        for (kind, count) in &report.counts {
            *self.counts.entry(kind.clone()).or_default() += count;
        }
        match report.violation {
            Some(_) => self.failed.push(report),
            None => self.passed += 1,
        }
    }

    fn describe(&self, took: f64) -> String {
        let counts: Vec<String> = self.counts.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        let hosts: Vec<String> = self.hosts.iter().map(|(hosts, seeds)| format!("{hosts}: {seeds}")).collect();
        let mut seeds: Vec<u64> = self.failed.iter().map(|report| report.seed).collect();
        seeds.sort_unstable();
        format!(
            "{} seeds passed, {} failed {seeds:?}, in {took:.0} s\nsimulated {:.0} s; seeds by number of nodes: {}\n{}",
            self.passed,
            self.failed.len(),
            self.seconds,
            hosts.join(", "),
            counts.join(", "),
        )
    }
}
