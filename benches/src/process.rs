//! The kernel's counters of processes (proc(5)): memory, processor time, waits, bytes written to disks.

use std::fs;

use anyhow::{Context, Result};

/// Resources that a process has used since its start.
#[derive(Clone, Copy, Debug, Default)]
pub struct Used {
    /// Processor time in user space and in the kernel.
    pub processor_seconds: f64,
    /// Voluntary context switches of its threads.
    pub waits: f64,
    /// Bytes that the kernel wrote to disks for it.
    pub disk_bytes: f64,
}

/// The sum over these processes.
///
/// # Errors
/// One of them has ended.
pub fn used(pids: &[u32]) -> Result<Used> {
    let mut sum = Used::default();
    for pid in pids {
        sum.processor_seconds += processor_seconds(*pid)?;
        sum.waits += waits(*pid)?;
        sum.disk_bytes += disk_bytes(*pid)?;
    }
    Ok(sum)
}

/// Resident memory, in MiB.
///
/// # Errors
/// The process has ended.
pub fn resident_mb(pid: u32) -> Result<f64> {
    Ok(field(&format!("/proc/{pid}/status"), "VmRSS:")? / 1024.0)
}

/// The part of [`resident_mb`] that belongs to no file.
///
/// # Errors
/// The process has ended.
pub fn anonymous_mb(pid: u32) -> Result<f64> {
    Ok(field(&format!("/proc/{pid}/status"), "RssAnon:")? / 1024.0)
}

/// Bytes that the kernel wrote to disks for a process.
///
/// # Errors
/// The process has ended.
pub fn disk_bytes(pid: u32) -> Result<f64> {
    field(&format!("/proc/{pid}/io"), "write_bytes:")
}

/// Processor time in user space and in the kernel, in seconds.
///
/// Fields 14 and 15 of `stat`, in ticks of USER_HZ, which is 100 for programs (time(7)).
///
/// # Errors
/// The process has ended.
pub fn processor_seconds(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).context(path)?;
    let (_, fields) = stat.rsplit_once(')').context("the name in parentheses")?;
    let ticks: Result<Vec<f64>, _> = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>).collect();
    Ok(ticks?.iter().sum::<f64>() / 100.0)
}

/// Of the present threads; one that ends meanwhile does not count.
fn waits(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/task");
    let mut sum = 0.0;
    for thread in fs::read_dir(&path).context(path)? {
        let status = thread?.path().join("status");
        sum += field(&status.to_string_lossy(), "voluntary_ctxt_switches:").unwrap_or_default();
    }
    Ok(sum)
}

fn field(path: &str, name: &str) -> Result<f64> {
    let text = fs::read_to_string(path).with_context(|| path.to_owned())?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("{name} in {path}"))?;
    Ok(value.trim().trim_end_matches(" kB").parse()?)
}

/// The process that started another one.
///
/// # Errors
/// The process has ended.
pub fn parent(pid: u32) -> Result<u32> {
    Ok(field(&format!("/proc/{pid}/status"), "PPid:")? as u32)
}
