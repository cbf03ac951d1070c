//! Compares Disco with etcd: the same client and the same load, against the same number of nodes of each, on this machine, one after the other.
//!
//! ```text
//! cargo run --release -p disco-benches -- --help
//! cargo run --release -p disco-benches -- --seconds 5 --rounds 3 --json figures.json --plots docs/benchmarks
//! DISCO_TEST_BINARIES=DIR cargo run --release -p disco-benches      # binaries other than the release build's
//! ```
//!
//! Both store their data below one folder of one disk with fsync enabled, and both use mutual TLS with certificates of the same
//! kind, with clients and between nodes. Rounds alternate; the report has medians, their range over the rounds, and the ratio of
//! the medians. etcd runs with its defaults, `discod` with the given pace.

mod measures;
mod peers;
mod report;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};

use crate::measures::{Kind, Sample};
use crate::peers::{Cluster, System};

/// A measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Measure {
    /// Durable puts and linearizable gets.
    Load,
    /// Many watchers of one key.
    Watch,
    /// Time to the next write after the leader's process is killed.
    Failover,
    /// Memory and processor time of idle nodes.
    Idle,
    /// Memory and disk use with many keys.
    Memory,
    /// Memory under a light load that lasts (half an hour, so only if it is named).
    Steady,
}

#[derive(Debug, Parser)]
#[command(about = "Compares Disco with etcd on this machine")]
struct Args {
    /// Measure to run (default: all except `steady`); may be repeated.
    #[arg(long, value_enum)]
    only: Vec<Measure>,

    /// System to measure (default: both); may be repeated.
    #[arg(long, value_enum)]
    system: Vec<System>,

    /// Nodes of each cluster.
    #[arg(long, default_value_t = 3)]
    nodes: usize,

    /// Rounds of all measures; each begins with new clusters.
    #[arg(long, default_value_t = 3)]
    rounds: u32,

    /// Seconds for each number of clients and each kind of request.
    #[arg(long, default_value_t = 5)]
    seconds: u64,

    /// Kind of request under load (default: all); may be repeated.
    #[arg(long, value_enum)]
    requests: Vec<Kind>,

    /// Numbers of concurrent clients.
    #[arg(long, value_delimiter = ',', default_value = "1,16,64,256")]
    clients: Vec<usize>,

    /// Watchers of one key.
    #[arg(long, default_value_t = 1000)]
    watchers: usize,

    /// Kills of the leader in each round.
    #[arg(long, default_value_t = 20)]
    kills: u32,

    /// Keys to write for the measure `memory`.
    #[arg(long, default_value_t = 100_000)]
    keys: usize,

    /// Idle seconds before memory and processor time of idle nodes are measured.
    #[arg(long, default_value_t = 60)]
    idle: u64,

    /// Seconds of the measure `steady`.
    #[arg(long, default_value_t = 1800)]
    steady: u64,

    /// Puts, and gets, per second of the measure `steady`.
    #[arg(long, default_value_t = 1)]
    rate: u32,

    /// `--raft-pace` of `discod`: `default` is for machines in a cloud.
    #[arg(long, default_value = "fast", value_parser = ["fast", "default", "slow"])]
    pace: String,

    /// File for all figures.
    #[arg(long)]
    json: Option<PathBuf>,

    /// Folder for plots.
    #[arg(long)]
    plots: Option<PathBuf>,
}

impl Args {
    fn wants(&self, measure: Measure) -> bool {
        self.only.contains(&measure) || (self.only.is_empty() && measure != Measure::Steady)
    }

    fn requests(&self) -> Vec<Kind> {
        if self.requests.is_empty() { Kind::value_variants().to_vec() } else { self.requests.clone() }
    }

    fn systems(&self) -> Vec<System> {
        if self.system.is_empty() { System::value_variants().to_vec() } else { self.system.clone() }
    }
}

fn main() -> Result<()> {
    let args = Args::parse();
    let systems = args.systems();
    for system in &systems {
        system.check()?;
    }
    let mut samples = Vec::new();
    for round in 0..args.rounds {
        // The first system of one round is the last of the next.
        let mut order = systems.clone();
        order.rotate_left(round as usize % systems.len());
        for system in order {
            eprintln!("round {} of {}: {system}", round + 1, args.rounds);
            measure(&args, system, round, &mut samples).with_context(|| format!("measuring {system}"))?;
        }
    }
    println!("{}", report::table(&samples));
    if let Some(path) = &args.json {
        report::write_json(path, &samples)?;
    }
    if let Some(folder) = &args.plots {
        report::plot(folder, &samples)?;
    }
    Ok(())
}

fn measure(args: &Args, system: System, round: u32, samples: &mut Vec<Sample>) -> Result<()> {
    let mut take = |found: Vec<measures::Figure>| {
        samples.extend(found.into_iter().map(|figure| Sample { system, round, figure }));
    };
    if args.wants(Measure::Idle) {
        let cluster = Cluster::start(system, &args.pace, args.nodes)?;
        take(measures::idle(&cluster, Duration::from_secs(args.idle))?);
    }
    if args.wants(Measure::Steady) {
        let cluster = Cluster::start(system, &args.pace, args.nodes)?;
        take(measures::steady(&cluster, Duration::from_secs(args.steady), args.rate)?);
    }
    if args.wants(Measure::Memory) {
        let cluster = Cluster::start(system, &args.pace, args.nodes)?;
        take(measures::memory(&cluster, args.keys)?);
    }
    if args.wants(Measure::Load) {
        let cluster = Cluster::start(system, &args.pace, args.nodes)?;
        take(measures::load(&cluster, &args.requests(), &args.clients, Duration::from_secs(args.seconds))?);
    }
    if args.wants(Measure::Watch) {
        let cluster = Cluster::start(system, &args.pace, args.nodes)?;
        take(measures::watch(&cluster, args.watchers)?);
    }
    if args.wants(Measure::Failover) {
        let mut cluster = Cluster::start(system, &args.pace, args.nodes)?;
        take(measures::failover(&mut cluster, args.kills)?);
    }
    Ok(())
}
