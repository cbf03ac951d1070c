//! An operator's saved keys of a cluster: enough to operate it from another computer.

use std::path::Path;

use disco_identity::{
    Authority, ClusterId, Credentials, Identity, OPERATOR_LIFETIME, PrivateKey, Validity, read_limited, read_private,
};

use super::authority::{CA_KEY, LONGEST, failure, operator_name};
use crate::{
    client::{CA_CERTIFICATE, OPERATOR_CERTIFICATE, OPERATOR_KEY},
    error::{Failure, Outcome},
    exit::ExitStatus,
    project::StateDir,
};

const DOING: &str = "use the saved keys of the cluster";

/// Certificates and keys that were read, and not written to the project yet.
pub(super) struct SavedKeys {
    pub(super) identity: Identity,
    pub(super) cluster_id: ClusterId,
    /// Name and content of each file. Keys come first: a certificate without its key is useless.
    files: Vec<(&'static str, String)>,
}

impl SavedKeys {
    /// Reads a folder that has `ca.pem` and either `ca.key`, or `operator.pem` and `operator.key`. With the root's key, issues a new
    /// certificate for this operator.
    pub(super) fn read(folder: &Path) -> Outcome<Self> {
        let failed = failure(DOING);
        let file = |name: &str| folder.join(name);
        let missing = |what: &str| {
            Failure::new(ExitStatus::NotFound, format!("no {what} in `{}`", folder.display())).hint(
                "pass a folder with the cluster's `ca.pem` and `ca.key`, as `disco connect --keys DIR`: both are in the `.disco/` \
                 folder of the project from which the cluster was created",
            )
        };
        if !file(CA_CERTIFICATE).exists() {
            return Err(missing("`ca.pem`"));
        }
        let root = read_limited(&file(CA_CERTIFICATE), LONGEST).map_err(|error| failed(&error))?;
        if file(CA_KEY).exists() {
            let key = read_private(&file(CA_KEY), LONGEST).map_err(|error| failed(&error))?;
            return Self::of_root(&root, &key);
        }
        if !file(OPERATOR_CERTIFICATE).exists() || !file(OPERATOR_KEY).exists() {
            return Err(missing("`ca.key`, and no `operator.pem` with `operator.key`"));
        }
        let chain = read_limited(&file(OPERATOR_CERTIFICATE), LONGEST).map_err(|error| failed(&error))?;
        let key = read_private(&file(OPERATOR_KEY), LONGEST).map_err(|error| failed(&error))?;
        let credentials = Credentials::from_pem(&root, &chain, &key).map_err(|error| failed(&error))?;
        let cluster_id = credentials.own().cluster_id.clone();
        let identity = Identity::new(credentials).map_err(|error| failed(&error))?;
        let files = vec![(OPERATOR_KEY, key), (OPERATOR_CERTIFICATE, chain), (CA_CERTIFICATE, root)];
        Ok(Self { identity, cluster_id, files })
    }

    fn of_root(certificate: &str, key: &str) -> Outcome<Self> {
        let failed = failure(DOING);
        let root = Authority::from_pem(certificate, key).map_err(|error| failed(&error))?;
        let own = PrivateKey::generate().map_err(|error| failed(&error))?;
        let request = own.signing_request().map_err(|error| failed(&error))?;
        let chain = root.issue_operator(&request, &operator_name(), Validity::lasting(OPERATOR_LIFETIME));
        let chain = chain.map_err(|error| failed(&error))?;
        let credentials = Credentials::new(root.certificate_pem(), &chain, &own).map_err(|error| failed(&error))?;
        let files = vec![
            (CA_KEY, key.to_owned()),
            (OPERATOR_KEY, own.to_pem()),
            (OPERATOR_CERTIFICATE, chain),
            (CA_CERTIFICATE, certificate.to_owned()),
        ];
        let identity = Identity::new(credentials).map_err(|error| failed(&error))?;
        Ok(Self { identity, cluster_id: root.cluster_id().clone(), files })
    }

    /// Names of the files that [`Self::write`] writes.
    pub(super) fn names(&self) -> Vec<&'static str> {
        self.files.iter().map(|(name, _)| *name).collect()
    }

    /// Writes the files to the project's state.
    pub(super) fn write(&self, state: &StateDir) -> Outcome<()> {
        self.files.iter().try_for_each(|(name, content)| state.write(name, content.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = folder.path().join(name);
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        folder
    }

    #[test]
    fn the_roots_key_issues_a_new_operator_certificate_and_an_operators_own_is_reused() {
        let root = Authority::new_root(&ClusterId::random(), "web").unwrap();
        let both = folder(&[("ca.pem", root.certificate_pem()), ("ca.key", &root.key_pem())]);
        let saved = SavedKeys::read(both.path()).unwrap();
        assert_eq!(saved.cluster_id, *root.cluster_id());
        assert_eq!(saved.names(), ["ca.key", "operator.key", "operator.pem", "ca.pem"]);
        let files: Vec<(&str, &str)> = saved
            .files
            .iter()
            .filter(|(name, _)| *name != "ca.key")
            .map(|(name, text)| (*name, text.as_str()))
            .collect();
        let again = SavedKeys::read(folder(&files).path()).unwrap();
        assert_eq!(again.names(), ["operator.key", "operator.pem", "ca.pem"]);
        assert_eq!(again.cluster_id, *root.cluster_id());
    }

    #[test]
    fn missing_or_mismatched_files_are_refused() {
        let (root, other) = (ClusterId::random(), ClusterId::random());
        let (root, other) = (Authority::new_root(&root, "web").unwrap(), Authority::new_root(&other, "web").unwrap());
        let missing = |files: &[(&str, &str)]| SavedKeys::read(folder(files).path()).err().unwrap();
        assert_eq!(missing(&[]).status(), ExitStatus::NotFound);
        let alone = missing(&[("ca.pem", root.certificate_pem())]);
        assert!(alone.to_string().contains("`ca.key`") && alone.next_step().is_some(), "{alone}");
        let mixed = missing(&[("ca.pem", root.certificate_pem()), ("ca.key", &other.key_pem())]);
        assert_eq!(mixed.status(), ExitStatus::Usage);
    }
}
