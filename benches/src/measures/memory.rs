//! Resident memory and processor time of idle nodes, memory with many keys, and what a put costs of the disk.

use std::path::Path;
use std::time::Duration;
use std::{fs, io};

use anyhow::{Context, Result};
use bytes::Bytes;
use disco_proto::etcdserverpb::PutRequest;
use disco_tests::block;
use futures_util::future::try_join_all;

use super::Figure;
use crate::peers::Cluster;

/// Bytes of each value.
const VALUE: usize = 256;
/// Writers at once.
const WRITERS: usize = 64;

/// Figures are the mean over the nodes.
pub(crate) fn memory(cluster: &Cluster, keys: usize, idle: Duration) -> Result<Vec<Figure>> {
    let pids = cluster.pids();
    let mean = |read: &dyn Fn(u32) -> Result<f64>| -> Result<f64> {
        let all = pids.iter().map(|pid| read(*pid)).collect::<Result<Vec<_>>>()?;
        Ok(all.iter().sum::<f64>() / all.len() as f64)
    };
    let mut figures = Vec::new();
    let before = mean(&processor_seconds)?;
    std::thread::sleep(idle);
    figures.push(Figure::new("resident memory, idle", "MB", mean(&resident_mb)?));
    let used = (mean(&processor_seconds)? - before) / idle.as_secs_f64();
    figures.push(Figure::new("processor time, idle", "% of a core", used * 100.0));

    let written = mean(&written_bytes)?;
    block(fill(cluster, keys)).context("writing the keys")?;
    let written = mean(&written_bytes)? - written;
    figures.push(Figure::new("bytes written to disk for each put", "bytes", written / keys as f64));
    figures.push(Figure::new(format!("resident memory with {keys} keys"), "MB", mean(&resident_mb)?));
    let folders = cluster.folders().iter().map(|folder| size(folder)).collect::<io::Result<Vec<_>>>()?;
    let disk = folders.iter().sum::<u64>() as f64 / folders.len() as f64;
    figures.push(Figure::new(format!("disk with {keys} keys"), "MB", disk / 1e6));
    Ok(figures)
}

async fn fill(cluster: &Cluster, keys: usize) -> Result<()> {
    let connections = cluster.clients(16);
    let tasks = (0..WRITERS).map(|writer| {
        let mut kv = connections[writer % connections.len()].clone();
        tokio::spawn(async move {
            for key in (writer..keys).step_by(WRITERS) {
                let (key, value) = (Bytes::from(format!("many/{key:08}")), Bytes::from_static(&[b'v'; VALUE]));
                kv.put(PutRequest { key, value, ..PutRequest::default() }).await?;
            }
            Ok::<_, tonic::Status>(())
        })
    });
    for done in try_join_all(tasks).await? {
        done?;
    }
    Ok(())
}

fn resident_mb(pid: u32) -> Result<f64> {
    Ok(field(&format!("/proc/{pid}/status"), "VmRSS:")? / 1024.0)
}

/// What the process had the kernel write to disks (proc(5), `io`).
fn written_bytes(pid: u32) -> Result<f64> {
    field(&format!("/proc/{pid}/io"), "write_bytes:")
}

/// Fields 14 and 15 of `stat` (proc(5)), in ticks of USER_HZ, which is 100 for programs (time(7)).
fn processor_seconds(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).context(path)?;
    let (_, fields) = stat.rsplit_once(')').context("the name is in brackets")?;
    let ticks: Result<Vec<f64>, _> = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>).collect();
    Ok(ticks?.iter().sum::<f64>() / 100.0)
}

fn field(path: &str, name: &str) -> Result<f64> {
    let text = fs::read_to_string(path).with_context(|| path.to_owned())?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("{name} in {path}"))?;
    Ok(value.trim().trim_end_matches(" kB").parse()?)
}

/// Blocks that the files beneath a folder take.
fn size(folder: &Path) -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut sum = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        sum += if metadata.is_dir() { size(&entry.path())? } else { metadata.blocks() * 512 };
    }
    Ok(sum)
}
