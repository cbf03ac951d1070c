use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// A machine of the local provider, or one behind an instance of EC2 (`tests/aws/machines.py`).
#[derive(Clone, Debug)]
pub struct Machine {
    /// Its id, the `instance` of a status.
    pub id: String,
    /// Its folder.
    pub folder: PathBuf,
    /// The machine's process.
    pub pid: u32,
    /// The address of its SSH server.
    pub ssh: SocketAddr,
    /// The address of its `discod`.
    pub control: SocketAddr,
}

#[derive(Deserialize)]
struct Record {
    id: String,
    address: std::net::IpAddr,
    ssh_port: u16,
    control_port: u16,
}

#[derive(Deserialize)]
struct ProcessRecord {
    pid: u32,
}

impl Machine {
    /// All machines in a provider's folder, by id.
    #[must_use]
    pub fn all(local: &Path) -> Vec<Self> {
        let Ok(entries) = std::fs::read_dir(local) else { return Vec::new() };
        let mut machines: Vec<Self> = entries.flatten().filter_map(|entry| Self::read(&entry.path())).collect();
        machines.sort_by(|a, b| a.id.cmp(&b.id));
        machines
    }

    fn read(folder: &Path) -> Option<Self> {
        let json = |name| std::fs::read(folder.join(name)).ok();
        let record: Record = serde_json::from_slice(&json("machine.json")?).ok()?;
        // A machine that is being removed has a folder of another name.
        if folder.file_name()?.to_str()? != record.id {
            return None;
        }
        let pid = json("process.json")
            .and_then(|text| serde_json::from_slice::<ProcessRecord>(&text).ok())
            .map_or(0, |process| process.pid);
        Some(Self {
            pid,
            ssh: SocketAddr::new(record.address, record.ssh_port),
            control: SocketAddr::new(record.address, record.control_port),
            id: record.id,
            folder: folder.to_owned(),
        })
    }

    /// The installation folder: `data`, `service`, and `bin` unless that is elsewhere.
    #[must_use]
    pub fn prefix(&self) -> PathBuf {
        prefix(&self.folder)
    }

    /// The data folder of its `discod`.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.prefix().join("data")
    }

    /// The log of its `discod`, if it exists.
    #[must_use]
    pub fn log(&self) -> String {
        logs_beneath(&self.prefix().join("service"))
    }
}

/// Where Disco is installed on the machine of this folder.
pub(crate) fn prefix(folder: &Path) -> PathBuf {
    let system = folder.join("var-lib");
    if system.is_dir() { system.join("disco") } else { folder.join("home/disco") }
}

/// The content of the files named `log…` or `….log` in a folder.
pub(crate) fn logs_beneath(folder: &Path) -> String {
    let Ok(entries) = std::fs::read_dir(folder) else { return String::new() };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
        .iter()
        .map(|path| match path.file_name().and_then(|name| name.to_str()) {
            Some(_) if path.is_dir() => logs_beneath(path),
            Some(name) if name.contains("log") || name == "current" => {
                String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
            }
            _ => String::new(),
        })
        .collect()
}
