//! The node's data folder: who it is, its keys and certificates.
//!
//! ```text
//! node.json                     who this node is, once it is somebody
//! join-id                       16 random bytes that make a repeated join give the same node
//! identity/node.key             0600, made here, never leaves the node
//! identity/node.pem             certificate chain
//! identity/ca.pem               the cluster's root certificate
//! identity/intermediate.pem     on voters only, with its key: what nodes are admitted with
//! identity/intermediate.key     0600
//! identity/ssh_key              0600, on voters only: the cluster's key pair for new machines
//! hooks.json                    hooks of `cluster.js` that run, and those that have ended the daemon, see `script::guard`
//! format                        in which the rest is written, where it is not 1
//! raft.redb, raft.journal, log.mark, snapshots/   see `raft`
//! ```
//!
//! `node.json` is written last: a node whose set-up was interrupted is nobody yet, and starts again.

mod commands;
mod voter_secrets;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use disco_identity::{ClusterId, Credentials, PrivateKey};
use serde::{Deserialize, Serialize};

pub use commands::run as run_identity_command;
pub use voter_secrets::VoterSecrets;

const MAX_RECORD_BYTES: u64 = 256 * 1024;

/// A node's data folder.
#[derive(Clone, Debug)]
pub struct Home {
    path: PathBuf,
}

/// Who the node is. Fields are added, never renamed.
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
    /// `IP:PORT` of members known when the file was written: where a node that is not yet in the membership reports.
    #[serde(default)]
    pub members: Vec<String>,
}

/// A moment of the certificate chain's file, which is replaced as a whole.
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
        Ok(Self { path: path.to_owned() })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join("identity").join(name)
    }

    /// Makes sure that this program can read what is here.
    ///
    /// # Errors
    /// It cannot, as it was written by a newer one.
    pub fn check_format(&self) -> Result<()> {
        let (format, own) = (self.format()?, disco_proto::format::own());
        if format > own {
            bail!(
                "the data in `{}` has format {format}, and this `discod` reads formats up to {own}\nhint: run the version that has \
                 written it, or a newer one",
                self.path.display()
            );
        }
        Ok(())
    }

    /// Notes the format of the cluster's data. It is never set back.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn note_format(&self, format: u32) -> Result<()> {
        if self.format()? < format {
            disco_identity::write_public(&self.path.join("format"), format!("{format}\n").as_bytes())?;
        }
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

    /// Who the node is; `None` as long as it is nobody.
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

    /// Makes the node somebody: the last step of becoming a member.
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

    /// By what the certificate chain's file is known to be another one than before; `None` while there is none.
    #[must_use]
    pub fn chain_stamp(&self) -> Option<ChainStamp> {
        let metadata = std::fs::metadata(self.file("node.pem")).ok()?;
        Some(ChainStamp { inode: metadata.ino(), modified: (metadata.mtime(), metadata.mtime_nsec()) })
    }

    /// The node's key, made now where there is none.
    ///
    /// # Errors
    /// It cannot be read or written, or others may read it.
    pub fn key(&self) -> Result<PrivateKey> {
        Ok(PrivateKey::load_or_generate(&self.file("node.key"))?)
    }

    /// What the node proves itself with.
    ///
    /// # Errors
    /// A file is missing or damaged, or the key is open to others.
    pub fn credentials(&self) -> Result<Credentials> {
        Ok(Credentials::load(&self.file("ca.pem"), &self.file("node.pem"), &self.file("node.key"))?)
    }

    /// The cluster's root certificate.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn root(&self) -> Result<String> {
        Ok(disco_identity::read_limited(&self.file("ca.pem"), MAX_RECORD_BYTES)?)
    }

    /// The random bytes that stand for this node's wish to join, made now where there are none.
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
