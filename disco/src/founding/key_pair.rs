//! SSH key pairs: the operator's, which never leaves this machine, and the cluster's own.

use std::path::PathBuf;

use disco_provider::ssh::{KeyPair, SshError};
use disco_runtime_js::cluster::KeyPairPaths;

use super::{Founder, founder::provider_failure};
use crate::{
    error::{Failure, Outcome},
    project::{ClusterRecord, Project, StateDir},
};

/// Generated if the script names no key pair.
const OWN_KEY: &str = "id_ed25519";
/// The cluster's key pair: its private half stays here only until the first node has it.
const CLUSTER_KEY: &str = "cluster_key";
const CLUSTER_PUBLIC_KEY: &str = "cluster_key.pub";

impl Founder {
    /// Sets the operator's key pair, by paths in the project. Checks it at once, so that the error points to the script's call.
    pub(crate) async fn set_key_pair(&self, paths: &KeyPairPaths) -> Outcome<()> {
        let root = self.project.root();
        let (private, public) = (root.join(&paths.private), root.join(&paths.public));
        let pair = load(private, Some(public))?;
        self.remember_keys(paths);
        self.provider.import_key(&pair.public_openssh()).await.map_err(|error| provider_failure(&error))
    }

    /// The operator's key pair if it exists, for a plan.
    pub(super) fn planned_key(&self, record: Option<&ClusterRecord>) -> Option<KeyPair> {
        let root = self.project.root();
        match (self.keys_of_script(), record) {
            (Some(keys), _) => load(root.join(keys.private), Some(root.join(keys.public))).ok(),
            (None, Some(record)) => operator_key(&self.project, record).ok(),
            (None, None) => load(self.state().file(OWN_KEY), None).ok(),
        }
    }

    /// The operator's key pair; generated if the script named none.
    pub(super) fn operator_key(&self) -> Outcome<KeyPair> {
        let record = self.record()?;
        let state = self.state();
        if record.private_key.is_none() && !state.file(OWN_KEY).exists() {
            let pair = generated(&self.name, "operator")?;
            state.write(OWN_KEY, pair.private_openssh().as_bytes())?;
        }
        operator_key(&self.project, &record)
    }

    /// The cluster's key pair while it is still here; generated for a cluster that is not founded yet.
    pub(super) fn cluster_key(&self) -> Outcome<Option<KeyPair>> {
        let state = self.state();
        if !state.file(CLUSTER_KEY).exists() {
            if self.record()?.founded {
                return Ok(None);
            }
            let pair = generated(&self.name, "cluster")?;
            state.write(CLUSTER_KEY, pair.private_openssh().as_bytes())?;
        }
        let pair = load(state.file(CLUSTER_KEY), None)?;
        state.write(CLUSTER_PUBLIC_KEY, format!("{}\n", pair.public_openssh()).as_bytes())?;
        Ok(Some(pair))
    }

    /// The public keys that machines accept: the operator's and the cluster's.
    pub(super) fn authorized_keys(&self) -> Outcome<Vec<String>> {
        let mut keys = vec![self.operator_key()?.public_openssh()];
        keys.extend(self.cluster_public_key()?);
        Ok(keys)
    }

    /// The cluster's public key.
    pub(super) fn cluster_public_key(&self) -> Outcome<Option<String>> {
        match self.cluster_key()? {
            Some(pair) => Ok(Some(pair.public_openssh())),
            None => cluster_public_key(&self.state()),
        }
    }
}

/// The cluster's public key, kept so that `destroy` can remove it from given machines.
pub(super) fn cluster_public_key(state: &StateDir) -> Outcome<Option<String>> {
    let key = state.read(CLUSTER_PUBLIC_KEY)?;
    Ok(key.map(|text| String::from_utf8_lossy(&text).trim().to_owned()))
}

/// Removes the cluster's private key from this computer: from now on, only the nodes have it.
pub(super) fn forget_cluster_key(state: &StateDir) -> Outcome<()> {
    state.remove(CLUSTER_KEY)
}

/// The operator's key pair of a project with a record.
pub(crate) fn operator_key(project: &Project, record: &ClusterRecord) -> Outcome<KeyPair> {
    match &record.private_key {
        Some(private) => {
            let public = record.public_key.as_ref().map(|public| project.root().join(public));
            load(project.root().join(private), public)
        }
        None => load(project.state().file(OWN_KEY), None),
    }
}

fn generated(cluster: &str, owner: &str) -> Outcome<KeyPair> {
    KeyPair::generate(&format!("{owner}@{cluster}"))
        .map_err(|error| Failure::failed("cannot generate a key pair").because(&error))
}

pub(super) fn load(private: PathBuf, public: Option<PathBuf>) -> Outcome<KeyPair> {
    KeyPair::load(&private, public.as_deref()).map_err(|error| {
        let failure = Failure::usage("cannot use the operator's key pair").because(&error);
        match error {
            SshError::KeyFile { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                failure.hint(format!("create it with `ssh-keygen -t ed25519 -N '' -f {}`", private.display()))
            }
            SshError::KeyPermissions { .. } => failure.hint(format!("chmod 600 {}", private.display())),
            _ => failure,
        }
    })
}
