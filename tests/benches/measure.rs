//! Measures what the README says, on a cluster of three local nodes with a loaded `cluster.js`:
//!
//! ```text
//! cargo bench -p disco-tests --bench measure                                            # the release build
//! DISCO_TEST_BINARIES=DIR cargo bench -p disco-tests --bench measure -- --idle 60      # others
//! ```
//!
//! Prints a table and writes nothing. Figures of time hold for this machine at this moment: run it on one that is idle.

use std::fs;
use std::time::{Duration, Instant};

use disco_tests::{Api, Binaries, Project, Status, idle_time, memory};

/// Runs of what varies; the median is told, with the range.
const RUNS: usize = 5;
/// Time for a cluster to be whole again between two runs.
const WHOLE: Duration = Duration::from_secs(60);

fn main() {
    let idle = idle_time();
    let binaries = Binaries::get();
    for file in [&binaries.disco, &binaries.discod] {
        let size = fs::metadata(file).expect("the binary is there").len();
        row(
            &format!("size of {}", file.file_name().expect("a file").to_string_lossy()),
            &format!("{:.1} MB", size as f64 / 1e6),
        );
    }

    let mut times = Vec::new();
    for run in 0..RUNS {
        let project = Project::builder(&format!("measure-{run}")).nodes(3).build();
        let start = Instant::now();
        project.bootstrap();
        times.push(start.elapsed());
    }
    row("bootstrap of 3 nodes", &range(&mut times));

    let project = Project::builder("measure").nodes(3).build();
    project.bootstrap();
    let status = project.wait_until_healthy(WHOLE, 3);
    let before: Vec<u64> = status.nodes.iter().map(|node| ticks(node.pid)).collect();
    std::thread::sleep(idle);
    let status = project.status();
    for (node, before) in status.nodes.iter().zip(before) {
        let cpu = (ticks(node.pid) - before) as f64 / ticks_per_second() / idle.as_secs_f64() * 100.0;
        let [rss, anon, file] = memory(node.pid);
        row(
            &format!("idle {} s, {}", idle.as_secs(), node.role),
            &format!("{rss} kB resident ({anon} anonymous, {file} of files), {cpu:.2} % of a core"),
        );
    }

    let api = Api::operator(&project);
    row("leader's daemon killed, next write", &range(&mut failovers(&project, &api, &|status| status.leading().pid)));
    let mut times = Vec::new();
    for run in 0..RUNS {
        let status = project.wait_until_healthy(WHOLE, 3);
        let machine = project.machine(status.leading().instance.as_deref());
        times.extend(failover(&project, &api, &status, machine.pid, run));
        // Brings the machine back.
        project.disco(&["bootstrap", "-y"]).ok();
    }
    row("leader's machine killed, next write", &range(&mut times));
}

fn failovers(project: &Project, api: &Api, victim: &dyn Fn(&Status) -> u32) -> Vec<Duration> {
    let runs = (0..RUNS).filter_map(|run| {
        let status = project.wait_until_healthy(WHOLE, 3);
        failover(project, api, &status, victim(&status), run)
    });
    runs.collect()
}

/// From the kill to the first write that was taken by one of the others.
fn failover(project: &Project, api: &Api, status: &Status, victim: u32, run: usize) -> Option<Duration> {
    let others: Vec<String> = status.others().iter().map(|node| node.address.clone()).collect();
    // The connections are there, as those of a program that goes on working.
    api.put(&others, "measure", "before", WHOLE).expect("a healthy cluster takes writes");
    let start = Instant::now();
    project.kill(victim);
    match api.put(&others, "measure", &run.to_string(), WHOLE) {
        Ok(_) => Some(start.elapsed()),
        Err(error) => {
            row("no write after a kill", &error);
            None
        }
    }
}

fn range(times: &mut [Duration]) -> String {
    times.sort();
    let (Some(first), Some(last)) = (times.first(), times.last()) else { return "nothing measured".to_owned() };
    format!(
        "{:.2} s (median of {}, {:.2} to {:.2})",
        times[times.len() / 2].as_secs_f64(),
        times.len(),
        first.as_secs_f64(),
        last.as_secs_f64()
    )
}

fn row(what: &str, figure: &str) {
    println!("{what:<40} {figure}");
}

/// Processor time used so far, in clock ticks: fields 14 and 15 of `stat` (proc(5)).
fn ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the daemon runs");
    let (_, fields) = stat.rsplit_once(')').expect("the name is in brackets");
    fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().expect("a number")).sum()
}

fn ticks_per_second() -> f64 {
    // USER_HZ, which Linux tells programs whatever the kernel's own tick is (time(7)).
    100.0
}
