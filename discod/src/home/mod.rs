//! The node's data folder: its identity, keys and certificates.
//!
//! ```text
//! node.json                     this node's identity, once it has one
//! join-id                       16 random bytes that make a repeated join yield the same node
//! identity/node.key             0600, made here, never leaves the node
//! identity/node.pem             certificate chain
//! identity/ca.pem               the cluster's root certificate
//! identity/intermediate.pem     on voters only, with its key: signs nodes' certificates
//! identity/intermediate.key     0600
//! identity/ssh_key              0600, on voters only: the cluster's key pair for new machines
//! identity/secrets.keys         0600, on voters only: the keys that encrypt secrets
//! hooks.json                    running hooks of `cluster.js`, and those that ended the daemon, see `local::hook_guard`
//! incarnation                   how often the folder was started; reveals a copy that is started too
//! members.json                  the members' addresses, to which `report-end` reports
//! format                        the format of the rest, if it is not 1
//! tasks/, artifacts/            tasks of this node and the files that they use, see `cluster::tasks::folders`
//! metrics.sock                  0600, see `agent::metrics`
//! raft.redb, raft.journal, log.mark, snapshots/   see `raft`
//! ```
//!
//! `node.json` is written last: a node whose set-up was interrupted has no identity yet, and starts again.

mod commands;
mod secrets_keys;
mod voter_secrets;

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use anyhow::{Context, Result, bail};
use disco_identity::{ClusterId, Credentials, PrivateKey};
use disco_planner::twins::{Life, Start};
use serde::{Deserialize, Serialize};

pub use commands::run as run_identity_command;
pub use secrets_keys::SecretsKeys;
pub use voter_secrets::VoterSecrets;

const MAX_RECORD_BYTES: u64 = 256 * 1024;
const STARTS: &str = "incarnation";
const MEMBERS: &str = "members.json";
/// Number of retained accepted starts: the cluster remembers the last of them, or an earlier one if it could not record
/// that yet.
const STARTS_KEPT: usize = 8;

/// A node's data folder.
#[derive(Clone, Debug)]
pub struct Home {
    path: PathBuf,
    written: Arc<Written>,
}

/// What the folder is known to record already, so that each report reads no file.
#[derive(Debug, Default)]
struct Written {
    /// [`Life::run`] of the start that is recorded as accepted; 0 for none.
    taken: AtomicU64,
    /// A format that is recorded, or 0.
    format: AtomicU32,
}

/// The node's identity. Fields are added, never renamed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeFile {
    /// The cluster's random id.
    pub cluster_id: String,
    /// The cluster's name.
    pub cluster_name: String,
    /// This node's id.
    pub node_id: u64,
    /// This node's name.
    pub name: String,
    /// The first node of the cluster, which alone may initialise Raft, and only while its log is pristine.
    #[serde(default)]
    pub founder: bool,
    /// `IP:PORT` of members known when the file was written: a node that is not a member yet reports to these.
    #[serde(default)]
    pub members: Vec<String>,
}

/// Identifies a version of the certificate chain's file, which is replaced as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainStamp {
    inode: u64,
    modified: (i64, i64),
}

// === impl Home ===

impl Home {
    /// Opens or creates the folder.
    ///
    /// # Errors
    /// It cannot be created or written.
    pub fn open(path: &Path) -> Result<Self> {
        disco_identity::create_private_dir(path)?;
        disco_identity::create_private_dir(&path.join("identity"))?;
        Ok(Self { path: path.to_owned(), written: Arc::default() })
    }

    /// Opens an existing folder read-only.
    #[must_use]
    pub fn existing(path: &Path) -> Self {
        Self { path: path.to_owned(), written: Arc::default() }
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join("identity").join(name)
    }

    /// Checks that this program can read the data.
    ///
    /// # Errors
    /// A newer program wrote the data.
    pub fn check_format(&self) -> Result<()> {
        let (format, own) = (self.format()?, disco_proto::format::own());
        if format > own {
            bail!(
                "the data in `{}` has format {format}; this `discod` reads formats up to {own}\nhint: run the version that wrote it, \
                 or a newer one",
                self.path.display()
            );
        }
        Ok(())
    }

    /// Records the format of the cluster's data. It never decreases.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn note_format(&self, format: u32) -> Result<()> {
        if self.written.format.load(Ordering::Relaxed) >= format {
            return Ok(());
        }
        if self.format()? < format {
            disco_identity::write_public(&self.path.join("format"), format!("{format}\n").as_bytes())?;
        }
        self.written.format.store(format, Ordering::Relaxed);
        Ok(())
    }

    fn format(&self) -> Result<u32> {
        let path = self.path.join("format");
        match disco_identity::read_limited(&path, 64) {
            Ok(text) => text.trim().parse().with_context(|| format!("`{}` is damaged", path.display())),
            Err(error) if error.is_not_found() => Ok(1),
            Err(error) => Err(error.into()),
        }
    }

    /// Counts this start of the folder, durably, before the process sends anything in the node's name.
    ///
    /// Written in place: that needs no free space, so a full disk does not prevent a start.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn begin_life(&self) -> Result<Start> {
        let (last, earlier) = self.starts()?;
        let number = last + 1;
        if last == 0 {
            self.write_starts(number, &earlier)?;
        } else {
            let mut file = fs_err::File::options().write(true).open(self.path.join(STARTS))?;
            file.write_all(format!("{number:020}").as_bytes())?;
            file.sync_all()?;
        }
        Ok(Start { life: Life { number, run: rand::random_range(1..=u64::MAX) }, earlier })
    }

    /// Whether the folder records that the cluster accepted this start.
    #[must_use]
    pub fn is_noted(&self, life: Life) -> bool {
        (life.run != 0 && self.written.taken.load(Ordering::Relaxed) == life.run)
            || self.starts().is_ok_and(|(_, taken)| taken.contains(&life.run))
    }

    /// Records that the leader accepted this start: from now on the cluster may remember it, and then accepts only its
    /// successors.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn note_taken(&self, life: Life) -> Result<()> {
        if life.run != 0 && self.written.taken.load(Ordering::Relaxed) == life.run {
            return Ok(());
        }
        let (number, mut taken) = self.starts()?;
        if !taken.contains(&life.run) {
            taken.push(life.run);
            let forgotten = taken.len().saturating_sub(STARTS_KEPT);
            self.write_starts(number, &taken[forgotten..])?;
        }
        self.written.taken.store(life.run, Ordering::Relaxed);
        Ok(())
    }

    /// Number of starts of the folder, and which of them were accepted.
    fn starts(&self) -> Result<(u64, Vec<u64>)> {
        let path = self.path.join(STARTS);
        let text = match disco_identity::read_limited(&path, MAX_RECORD_BYTES) {
            Ok(text) => text,
            Err(error) if error.is_not_found() => return Ok((0, Vec::new())),
            Err(error) => return Err(error.into()),
        };
        let mut lines = text.lines();
        let number = lines.next().and_then(|line| line.parse().ok());
        let taken = lines.map(|line| u64::from_str_radix(line, 16).ok()).collect::<Option<Vec<_>>>();
        number.zip(taken).with_context(|| format!("`{}` is damaged", path.display()))
    }

    fn write_starts(&self, number: u64, taken: &[u64]) -> Result<()> {
        let taken: String = taken.iter().map(|run| format!("{run:016x}\n")).collect();
        Ok(disco_identity::write_public(&self.path.join(STARTS), format!("{number:020}\n{taken}").as_bytes())?)
    }

    /// The node's identity; `None` until it has one.
    ///
    /// # Errors
    /// The file is there but cannot be read.
    pub fn node(&self) -> Result<Option<NodeFile>> {
        let path = self.path.join("node.json");
        match disco_identity::read_limited(&path, MAX_RECORD_BYTES) {
            Ok(text) => {
                let node = serde_json::from_str(&text).with_context(|| format!("`{}` is damaged", path.display()))?;
                Ok(Some(node))
            }
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Stores the node's identity: the last step of becoming a member.
    ///
    /// # Errors
    /// The files cannot be written.
    pub fn set_node(&self, node: &NodeFile, root: &str, chain: &str) -> Result<()> {
        disco_identity::write_public(&self.file("ca.pem"), root.as_bytes())?;
        self.set_chain(chain)?;
        let text = serde_json::to_vec_pretty(node)?;
        disco_identity::write_public(&self.path.join("node.json"), &text)?;
        Ok(())
    }

    /// The certificate chain, PEM.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn chain(&self) -> Result<String> {
        Ok(disco_identity::read_limited(&self.file("node.pem"), MAX_RECORD_BYTES)?)
    }

    /// Replaces the certificate chain.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn set_chain(&self, chain: &str) -> Result<()> {
        disco_identity::write_public(&self.file("node.pem"), chain.as_bytes())?;
        Ok(())
    }

    /// Identifies the current certificate chain's file; `None` if it does not exist.
    #[must_use]
    pub fn chain_stamp(&self) -> Option<ChainStamp> {
        let metadata = std::fs::metadata(self.file("node.pem")).ok()?;
        Some(ChainStamp { inode: metadata.ino(), modified: (metadata.mtime(), metadata.mtime_nsec()) })
    }

    /// The node's key; creates it if missing.
    ///
    /// # Errors
    /// It cannot be read or written, or others may read it.
    pub fn key(&self) -> Result<PrivateKey> {
        Ok(PrivateKey::load_or_generate(&self.file("node.key"))?)
    }

    /// The certificate and key with which the node authenticates.
    ///
    /// # Errors
    /// A file is missing or damaged, or the key is open to others.
    pub fn credentials(&self) -> Result<Credentials> {
        Ok(Credentials::load(&self.file("ca.pem"), &self.file("node.pem"), &self.file("node.key"))?)
    }

    /// Like [`Self::credentials`], regardless of the key's permissions: open permissions may be the very failure to
    /// report.
    ///
    /// # Errors
    /// A file is missing or damaged.
    pub fn credentials_to_report(&self) -> Result<Credentials> {
        let key = disco_identity::read_limited(&self.file("node.key"), MAX_RECORD_BYTES)?;
        Ok(Credentials::from_pem(&self.root()?, &self.chain()?, &key)?)
    }

    /// Addresses of the members when the daemon last ran, as `IP:PORT`.
    #[must_use]
    pub fn members(&self) -> Vec<String> {
        let text = disco_identity::read_limited(&self.path.join(MEMBERS), MAX_RECORD_BYTES).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Stores the members' addresses.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn set_members(&self, addresses: &[String]) -> Result<()> {
        disco_identity::write_public(&self.path.join(MEMBERS), &serde_json::to_vec(addresses)?)?;
        Ok(())
    }

    /// The cluster's root certificate.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn root(&self) -> Result<String> {
        Ok(disco_identity::read_limited(&self.file("ca.pem"), MAX_RECORD_BYTES)?)
    }

    /// The random bytes that identify this node's join; creates them if missing.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn join_id(&self) -> Result<uuid::Uuid> {
        let path = self.path.join("join-id");
        match disco_identity::read_limited(&path, 64) {
            Ok(text) => Ok(text.trim().parse().with_context(|| format!("`{}` is damaged", path.display()))?),
            Err(error) if error.is_not_found() => {
                let id = uuid::Uuid::new_v4();
                disco_identity::write_public(&path, id.to_string().as_bytes())?;
                Ok(id)
            }
            Err(error) => Err(error.into()),
        }
    }
}

// === impl NodeFile ===

impl NodeFile {
    /// The cluster's id.
    ///
    /// # Errors
    /// The file was edited.
    pub fn cluster_id(&self) -> Result<ClusterId> {
        self.cluster_id.parse().context("`node.json` is damaged")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_start_of_a_folder_counts_and_differs_from_every_other() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(&folder.path().join("data")).unwrap();
        let starts = [(); 3].map(|()| home.begin_life().unwrap());
        assert_eq!(starts.clone().map(|start| start.life.number), [1, 2, 3]);
        // Of the earlier starts only accepted ones count.
        assert!(starts.iter().all(|start| start.earlier.is_empty() && !home.is_noted(start.life)));
        let taken = starts[2].life;
        home.note_taken(taken).unwrap();
        home.note_taken(taken).unwrap();
        assert!(home.is_noted(taken) && !home.is_noted(starts[1].life));
        // A copy continues from the same number, but is a different start.
        let copy = Home::open(&folder.path().join("copy")).unwrap();
        std::fs::copy(home.path().join("incarnation"), copy.path().join("incarnation")).unwrap();
        let (original, copied) = (home.begin_life().unwrap(), copy.begin_life().unwrap());
        assert_eq!((original.life.number, copied.life.number), (4, 4));
        assert_ne!(original.life.run, copied.life.run);
        assert_eq!((original.earlier, copied.earlier), (vec![taken.run], vec![taken.run]));
        for _ in 0..20 {
            let start = home.begin_life().unwrap();
            home.note_taken(start.life).unwrap();
            assert!(home.is_noted(start.life));
        }
        assert_eq!(home.begin_life().unwrap().earlier.len(), STARTS_KEPT);
        std::fs::write(home.path().join("incarnation"), "many").unwrap();
        assert!(home.begin_life().unwrap_err().to_string().contains("is damaged"));
    }
}
