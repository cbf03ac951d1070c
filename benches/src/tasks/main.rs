//! What tasks cost: the time until one runs, beside `docker run -d`; the memory of a daemon and of the shims; and the processor time
//! of a shim whose task writes much.
//!
//! ```text
//! cargo run --release -p disco-benches --bin disco-task-benches
//! DISCO_TEST_BINARIES=DIR cargo run --release -p disco-benches --bin disco-task-benches      # other binaries
//! ```
//!
//! Docker is measured if its daemon answers: the same program in an image that holds nothing but it and its libraries, with the
//! host's network. Starts of the two alternate.

mod disco;
mod docker;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use clap::Parser;

use disco::Cluster;
use docker::Docker;

/// How long a program may take to answer.
const STARTS_WITHIN: Duration = Duration::from_secs(30);
/// The program's output in the last measure, MB per second.
const RATE: u32 = 100;

#[derive(Debug, Parser)]
#[command(about = "Measures what tasks cost on this machine")]
struct Args {
    /// Tasks to start, one after the other.
    #[arg(long, default_value_t = 20)]
    tasks: u64,

    /// Idle seconds before memory is measured.
    #[arg(long, default_value_t = 60)]
    idle: u64,

    /// Seconds for which a task writes.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let cluster = Cluster::start()?;
    let docker = Docker::find()?;
    if docker.is_none() {
        println!("docker: not measured, as no engine answers");
    }
    let (mut orders, mut commands, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for count in 1..=args.tasks {
        let start = now_us()?;
        let started = cluster.scale(count)?;
        orders.push(started.executed_us - started.ordered_us);
        commands.push(started.executed_us - start);
        if let Some(docker) = &docker {
            let start = now_us()?;
            others.push(docker.run(count)? - start);
        }
    }
    print("order recorded until the program runs", &orders);
    print("`disco scale` begun until the program runs", &commands);
    if let Some(docker) = docker {
        print("`docker run -d` begun until the program runs", &others);
        println!("order beside `docker run -d`: {:.3} times its time", median(&orders) / median(&others));
        docker.remove()?;
    }
    std::thread::sleep(Duration::from_secs(args.idle));
    cluster.memory(args.tasks)?;
    cluster.output(RATE, Duration::from_secs(args.seconds))
}

/// Microseconds since 1970.
fn now_us() -> Result<i64> {
    Ok(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros())?)
}

fn median(values: &[i64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2] as f64
}

fn print(what: &str, times_us: &[i64]) {
    let longest = times_us.iter().max().copied().unwrap_or_default() as f64;
    println!("{what}: median {:.1} ms, longest {:.1} ms of {}", median(times_us) / 1e3, longest / 1e3, times_us.len());
}

/// When the sample program at this address was executed, in microseconds since 1970.
fn executed_us(address: &str) -> Result<i64> {
    let deadline = Instant::now() + STARTS_WITHIN;
    loop {
        match answer(address) {
            Ok(text) => {
                let time = text.lines().last().unwrap_or_default();
                return time.trim().parse().with_context(|| format!("{address} answered `{text}`"));
            }
            Err(error) if Instant::now() > deadline => bail!("{address} does not answer: {error}"),
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

fn answer(address: &str) -> std::io::Result<String> {
    let mut connection = TcpStream::connect(address)?;
    connection.set_read_timeout(Some(STARTS_WITHIN))?;
    connection.write_all(b"GET /started HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    connection.read_to_string(&mut text)?;
    Ok(text)
}
