//! SSH key pairs: the operator's, which never leaves this machine, and the cluster's own.

use std::path::{Path, PathBuf};

use disco_provider::{
    at_home,
    ssh::{KeyPair, Login, SshConfig, SshError, UserKeys},
};
use disco_runtime_js::cluster::KeyPairPaths;

use super::{Founder, OperatorKey, founder::provider_failure};
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
        let (private, public) = (Path::new(&paths.private), Path::new(&paths.public));
        let key = named(&self.project, private, Some(public), self.gives_hosts()).await?;
        self.remember_keys(paths);
        let public = key.public_openssh().unwrap_or_default();
        self.provider.import_key(public).await.map_err(|error| provider_failure(&error))
    }

    /// The operator's key pair if it exists, for a plan.
    pub(super) async fn planned_key(&self, record: Option<&ClusterRecord>) -> Option<OperatorKey> {
        let given = self.gives_hosts();
        match (self.keys_of_script(), record) {
            (Some(keys), _) => {
                named(&self.project, Path::new(&keys.private), Some(Path::new(&keys.public)), given).await.ok()
            }
            (None, Some(record)) => operator_key(&self.project, record).await.ok(),
            (None, None) => own(&self.project, given).ok(),
        }
    }

    /// A substitute for the record of a cluster of given hosts that does not exist yet, and the operator's key; `None` for other
    /// providers.
    pub(crate) async fn planned_hosts(&self) -> Option<(Project, ClusterRecord, OperatorKey)> {
        let key = self.planned_key(None).await.filter(|_| self.gives_hosts())?;
        let record =
            ClusterRecord { name: self.name.clone(), provider: self.provider_spec.clone(), ..ClusterRecord::lost() };
        Some((self.project.clone(), record, key))
    }

    /// The operator's key pair; generated if the script named none, except for given hosts, which accept only keys that the operator has.
    pub(super) async fn operator_key(&self) -> Outcome<OperatorKey> {
        let record = self.record()?;
        let state = self.state();
        if record.private_key.is_none() && !self.gives_hosts() && !state.file(OWN_KEY).exists() {
            let pair = generated(&self.name, "operator")?;
            state.write(OWN_KEY, pair.private_openssh().as_bytes())?;
        }
        operator_key(&self.project, &record).await
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
    pub(super) async fn authorized_keys(&self) -> Outcome<Vec<String>> {
        let mut keys: Vec<String> =
            self.operator_key().await?.public_openssh().map(str::to_owned).into_iter().collect();
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

/// The operator's key of a project with a record.
pub(crate) async fn operator_key(project: &Project, record: &ClusterRecord) -> Outcome<OperatorKey> {
    let given = record.gives_hosts();
    match &record.private_key {
        Some(private) => named(project, private, record.public_key.as_deref(), given).await,
        None => own(project, given),
    }
}

/// The key pair at these paths of the project. The private half may be encrypted if an agent holds it.
async fn named(project: &Project, private: &Path, public: Option<&Path>, given: bool) -> Outcome<OperatorKey> {
    let place = |path: &Path| project.root().join(at_home(path));
    let (private, public) = (place(private), public.map(place));
    match KeyPair::load(&private, public.as_deref()) {
        Ok(pair) => Ok(of_pair(pair, given)),
        Err(error @ SshError::KeyEncrypted { .. }) => {
            let keys = SshConfig::of_user().agent_for(&private);
            match keys.public_in_agent(&private).await {
                Some(public) => {
                    let login = Some(Login::User(UserKeys { files_only: true, ..keys }));
                    Ok(OperatorKey { login, public: Some(public), also: None, as_ssh: given })
                }
                None => Err(unusable(&error, &private)),
            }
        }
        Err(error) => Err(unusable(&error, &private)),
    }
}

/// The key that Disco made for the project; for given hosts those that `ssh` would use.
fn own(project: &Project, given: bool) -> Outcome<OperatorKey> {
    let file = project.state().file(OWN_KEY);
    if given {
        let also = file.exists().then_some(file);
        return Ok(OperatorKey { login: None, public: None, also, as_ssh: true });
    }
    load(file, None).map(|pair| of_pair(pair, false))
}

fn of_pair(pair: KeyPair, given: bool) -> OperatorKey {
    OperatorKey { public: Some(pair.public_openssh()), login: Some(Login::Pair(pair)), also: None, as_ssh: given }
}

fn generated(cluster: &str, owner: &str) -> Outcome<KeyPair> {
    KeyPair::generate(&format!("{owner}@{cluster}"))
        .map_err(|error| Failure::failed("cannot generate a key pair").because(&error))
}

pub(super) fn load(private: PathBuf, public: Option<PathBuf>) -> Outcome<KeyPair> {
    KeyPair::load(&private, public.as_deref()).map_err(|error| unusable(&error, &private))
}

fn unusable(error: &SshError, private: &Path) -> Failure {
    let inner = super::ssh_failure(error);
    let failure = Failure::usage("cannot use the operator's key pair").cause(inner.message());
    let failure = inner.causes().iter().fold(failure, |failure, cause| failure.cause(cause));
    match error {
        SshError::KeyFile { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            failure.hint(format!("create it with `ssh-keygen -t ed25519 -N '' -f {}`", private.display()))
        }
        SshError::KeyPermissions { .. } => failure.hint(format!("chmod 600 {}", private.display())),
        _ => match inner.next_step() {
            Some(hint) => failure.hint(hint),
            None => failure,
        },
    }
}
