//! Memory and disk use with many keys, and bytes written per put.

use std::path::Path;
use std::{fs, io};

use anyhow::{Context, Result};
use bytes::Bytes;
use disco_proto::etcdserverpb::PutRequest;
use disco_proto::etcdserverpb::kv_client::KvClient;
use disco_tests::block;
use futures_util::future::try_join_all;
use tonic::transport::Channel;

use super::Figure;
use crate::peers::Cluster;
use disco_benches::process::{disk_bytes, resident_mb};

/// Bytes of each value.
const VALUE: usize = 256;
/// Concurrent writers.
const WRITERS: usize = 64;

/// Measures one cluster; figures are the mean over the nodes.
pub(crate) fn memory(cluster: &Cluster, keys: usize) -> Result<Vec<Figure>> {
    let pids = cluster.pids();
    let mean = |read: &dyn Fn(u32) -> Result<f64>| -> Result<f64> {
        let all = pids.iter().map(|pid| read(*pid)).collect::<Result<Vec<_>>>()?;
        Ok(all.iter().sum::<f64>() / all.len() as f64)
    };
    let mut figures = Vec::new();
    let written = mean(&disk_bytes)?;
    block(fill(cluster.clients(16)?, keys)).context("writing the keys")?;
    let written = mean(&disk_bytes)? - written;
    figures.push(Figure::new("bytes written to disk per put", "bytes", written / keys as f64));
    figures.push(Figure::new(format!("resident memory with {keys} keys"), "MB", mean(&resident_mb)?));
    let folders = cluster.folders().iter().map(|folder| size(folder)).collect::<io::Result<Vec<_>>>()?;
    let disk = folders.iter().sum::<u64>() as f64 / folders.len() as f64;
    figures.push(Figure::new(format!("disk with {keys} keys"), "MB", disk / 1e6));
    Ok(figures)
}

async fn fill(connections: Vec<KvClient<Channel>>, keys: usize) -> Result<()> {
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

/// Disk use of the files below a folder, in bytes of allocated blocks.
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
