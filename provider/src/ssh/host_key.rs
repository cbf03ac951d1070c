//! Which host keys are accepted.

use std::path::{Path, PathBuf};

use russh::keys::{Algorithm, HashAlg, PublicKey};

use super::quote;
use super::{SshError, known_hosts, user_hosts};
use crate::SshTarget;

/// Which host keys are accepted.
#[derive(Debug, Clone)]
pub enum HostKeyPolicy {
    /// Only this one, in OpenSSH's public form, from the provider.
    Pinned(String),
    /// Those in a file of OpenSSH's `known_hosts` format.
    KnownHosts {
        /// The file; made when the first key is stored.
        file: PathBuf,
        /// Whether the key of a host that is not in the file is trusted and stored. A host that is in the file with a
        /// different key is refused in any case.
        pin_first: bool,
    },
    /// As [`Self::KnownHosts`] with `pin_first`, for a machine that had another address before: it must show the key that it had
    /// there, if that is known.
    Moved {
        /// Its previous address.
        before: SshTarget,
        /// As for [`Self::KnownHosts`].
        file: PathBuf,
    },
    /// As `policy`, but a key that it would trust because it knows none must be the one in the user's own files, if these know the host.
    WithUser {
        /// Any other policy.
        policy: Box<HostKeyPolicy>,
        /// The user's files, such as `~/.ssh/known_hosts`. They are not changed.
        files: Vec<PathBuf>,
        /// The host's name in these files, if it is another one, see `HostKeyAlias`.
        alias: Option<String>,
    },
    /// A key from the machine's user data, which is known before the first connection. A machine may ignore it and make its
    /// own: then the first key is trusted and stored, with [`HostKeySeen::first_use`] set. From then on only the first key is
    /// accepted, for this machine and not for its address, which another one may get later.
    Given {
        /// The key in OpenSSH's public form.
        key: String,
        /// The machine's name in the file.
        machine: String,
        /// As for [`Self::KnownHosts`].
        file: PathBuf,
    },
}

/// The key that the server showed and that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostKeySeen {
    /// The public key in OpenSSH's form.
    pub key: String,
    /// Its fingerprint, `SHA256:…`.
    pub fingerprint: String,
    /// Whether it was seen for the first time and stored.
    pub first_use: bool,
}

impl HostKeyPolicy {
    /// The kinds of the known keys. A server shows only one key, of the client's first kind that it has: with another preferred
    /// kind, a machine that got a second key would seem unknown.
    pub(super) fn kinds(&self, target: &SshTarget) -> Result<Vec<Algorithm>, SshError> {
        let of_text = |text: &str| PublicKey::from_openssh(text).ok();
        let in_file = |file: &Path, target: &SshTarget| -> Result<Vec<PublicKey>, SshError> {
            Ok(known_hosts::read(file, target)?.into_iter().map(|(_, key)| key).collect())
        };
        let keys: Vec<PublicKey> = match self {
            Self::Pinned(key) => of_text(key).into_iter().collect(),
            Self::Given { key, machine, file } => {
                let known = in_file(file, &named(machine))?;
                if known.is_empty() { of_text(key).into_iter().collect() } else { known }
            }
            Self::KnownHosts { file, .. } => in_file(file, target)?,
            Self::WithUser { policy, files, alias } => {
                let known = policy.kinds(target)?;
                if !known.is_empty() {
                    return Ok(known);
                }
                let users = user_hosts::read(files, &user_hosts::name_of(target, alias.as_deref()))?;
                users.keys.into_iter().map(|(_, key)| key).collect()
            }
            Self::Moved { before, file } => {
                let known = in_file(file, target)?;
                if known.is_empty() { in_file(file, before)? } else { known }
            }
        };
        Ok(keys.iter().map(PublicKey::algorithm).collect())
    }

    /// Checks a key that a server has proved to hold.
    pub(super) fn check(&self, target: &SshTarget, key: &PublicKey) -> Result<HostKeySeen, SshError> {
        let endpoint = target.endpoint();
        let fingerprint = fingerprint(key);
        let seen = |first_use| HostKeySeen {
            key: key.to_openssh().unwrap_or_default(),
            fingerprint: fingerprint.clone(),
            first_use,
        };
        let changed = |expected: String, advice: String| {
            Err(SshError::HostKeyChanged { endpoint: endpoint.clone(), expected, offered: fingerprint.clone(), advice })
        };
        match self {
            Self::Pinned(pinned) => match PublicKey::from_openssh(pinned) {
                Ok(pinned) if pinned.key_data() == key.key_data() => Ok(seen(false)),
                Ok(pinned) => changed(
                    crate::ssh::host_key::fingerprint(&pinned),
                    "The expected key comes from the machine's provider, so it cannot be overridden.".to_owned(),
                ),
                Err(error) => changed(
                    format!("a key that cannot be read ({error})"),
                    "The expected key comes from the machine's provider, so it cannot be overridden.".to_owned(),
                ),
            },
            Self::Given { key: given, machine, file } => {
                let name = named(machine);
                let known = known_hosts::read(file, &name)?;
                let is_given = PublicKey::from_openssh(given).is_ok_and(|given| given.key_data() == key.key_data());
                if let Some((line, first)) = known.first() {
                    if known.iter().any(|(_, known)| known.key_data() == key.key_data()) {
                        return Ok(seen(false));
                    }
                    let advice =
                        format!("If the new key is right, remove line {line} of `{}` and try again.", file.display());
                    return changed(crate::ssh::host_key::fingerprint(first), advice);
                }
                known_hosts::add(file, &name, key)?;
                Ok(seen(!is_given))
            }
            Self::WithUser { policy, files, alias } => {
                let name = user_hosts::name_of(target, alias.as_deref());
                let users = user_hosts::read(files, &name)?;
                if users.revoked.iter().any(|revoked| revoked.key_data() == key.key_data()) {
                    return Err(SshError::HostKeyRevoked { endpoint, offered: fingerprint });
                }
                if policy.kinds(target)?.is_empty()
                    && let Some((file, known)) = users.keys.first()
                {
                    if users.keys.iter().any(|(_, known)| known.key_data() == key.key_data()) {
                        // From now on this project knows it, too.
                        return Ok(HostKeySeen { first_use: false, ..policy.check(target, key)? });
                    }
                    let remove = format!("ssh-keygen -f {} -R {}", quote(&file.to_string_lossy()), quote(&name));
                    return changed(
                        crate::ssh::host_key::fingerprint(known),
                        format!("If the new key is right, run `{remove}` and try again."),
                    );
                }
                policy.check(target, key)
            }
            Self::Moved { before, file } => {
                let mut known = known_hosts::read(file, target)?;
                let here = !known.is_empty();
                if !here {
                    known = known_hosts::read(file, before)?;
                }
                if known.iter().any(|(_, known)| known.key_data() == key.key_data()) {
                    if !here {
                        known_hosts::add(file, target, key)?;
                    }
                    Ok(seen(false))
                } else if let Some((line, known)) = known.first() {
                    let advice =
                        format!("If the new key is right, remove line {line} of `{}` and try again.", file.display());
                    changed(crate::ssh::host_key::fingerprint(known), advice)
                } else {
                    known_hosts::add(file, target, key)?;
                    Ok(seen(true))
                }
            }
            Self::KnownHosts { file, pin_first } => {
                let known = known_hosts::read(file, target)?;
                // Any other key counts as changed, even one of another kind: an attacker could simply offer such a key.
                if known.iter().any(|(_, known)| known.key_data() == key.key_data()) {
                    Ok(seen(false))
                } else if let Some((line, known)) = known.first() {
                    let file = file.display();
                    let advice = format!("If the new key is right, remove line {line} of `{file}` and try again.");
                    changed(crate::ssh::host_key::fingerprint(known), advice)
                } else if *pin_first {
                    known_hosts::add(file, target, key)?;
                    Ok(seen(true))
                } else {
                    Err(SshError::HostKeyUnknown { endpoint, offered: fingerprint, file: file.clone() })
                }
            }
        }
    }
}

/// The name of a machine in the file.
fn named(machine: &str) -> SshTarget {
    SshTarget { user: String::new(), host: machine.to_owned(), port: 22 }
}

fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

#[cfg(test)]
mod tests {
    use russh::keys::{EcdsaCurve, PrivateKey};

    use super::*;

    fn key(algorithm: Algorithm) -> PublicKey {
        PrivateKey::random(&mut russh::keys::key::safe_rng(), algorithm).unwrap().public_key().clone()
    }

    fn target(port: u16) -> SshTarget {
        SshTarget { user: "u".into(), host: "127.0.0.1".into(), port }
    }

    #[test]
    fn first_use_is_stored_and_then_binding() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("state/known_hosts");
        let policy = HostKeyPolicy::KnownHosts { file: file.clone(), pin_first: true };
        let (first, second) = (key(Algorithm::Ed25519), key(Algorithm::Ed25519));
        assert!(policy.check(&target(22), &first).unwrap().first_use);
        assert!(!policy.check(&target(22), &first).unwrap().first_use);
        // Another port is another host.
        assert!(policy.check(&target(2222), &second).unwrap().first_use);
        let message = policy.check(&target(22), &second).unwrap_err().to_string();
        for part in [fingerprint(&first), fingerprint(&second), "remove line 1 of".to_owned()] {
            assert!(message.contains(&part), "{message}");
        }
    }

    #[test]
    fn the_users_own_files_count_where_the_project_knows_no_key() {
        let dir = tempfile::tempdir().unwrap();
        let (own, users) = (dir.path().join("state/known_hosts"), dir.path().join("known_hosts"));
        let (right, wrong, revoked) = (key(Algorithm::Ed25519), key(Algorithm::Ed25519), key(Algorithm::Ed25519));
        let line = |key: &PublicKey| key.to_openssh().unwrap();
        std::fs::write(&users, format!("127.0.0.1 {}\n@revoked * {}\n", line(&right), line(&revoked))).unwrap();
        let policy = |alias: Option<&str>| HostKeyPolicy::WithUser {
            policy: Box::new(HostKeyPolicy::KnownHosts { file: own.clone(), pin_first: true }),
            files: vec![users.clone()],
            alias: alias.map(str::to_owned),
        };
        assert_eq!(policy(None).kinds(&target(22)).unwrap(), [Algorithm::Ed25519]);
        let message = policy(None).check(&target(22), &wrong).unwrap_err().to_string();
        assert!(message.contains("has changed") && message.contains("ssh-keygen -f"), "{message}");
        assert!(!own.exists(), "a key that was refused is stored");
        let error = policy(Some("unknown")).check(&target(22), &revoked).unwrap_err();
        assert!(matches!(error, SshError::HostKeyRevoked { .. }), "{error}");
        assert!(!policy(None).check(&target(22), &right).unwrap().first_use);
        assert!(std::fs::read_to_string(&own).unwrap().contains(&line(&right)));
        // The project's own file knows it now, and comes first.
        std::fs::write(&users, format!("127.0.0.1 {}\n", line(&wrong))).unwrap();
        assert!(!policy(None).check(&target(22), &right).unwrap().first_use);
        // A host that neither knows is trusted on first use, as without these files.
        assert!(policy(None).check(&target(2222), &wrong).unwrap().first_use);
        assert_eq!(std::fs::read_to_string(&users).unwrap(), format!("127.0.0.1 {}\n", line(&wrong)));
    }

    #[test]
    fn a_machine_at_another_port_must_show_the_key_that_it_had() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("known_hosts");
        let (right, wrong) = (key(Algorithm::Ed25519), key(Algorithm::Ed25519));
        HostKeyPolicy::KnownHosts { file: file.clone(), pin_first: true }.check(&target(22), &right).unwrap();
        let moved = HostKeyPolicy::Moved { before: target(22), file };
        assert_eq!(moved.kinds(&target(2222)).unwrap(), [Algorithm::Ed25519]);
        let error = moved.check(&target(2222), &wrong).unwrap_err();
        assert!(matches!(error, SshError::HostKeyChanged { .. }), "{error}");
        assert!(!moved.check(&target(2222), &right).unwrap().first_use);
        // From now on it is known there.
        assert!(matches!(moved.check(&target(2222), &wrong).unwrap_err(), SshError::HostKeyChanged { .. }));
    }

    #[test]
    fn kinds_that_are_known_are_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("known_hosts");
        let policy = HostKeyPolicy::KnownHosts { file, pin_first: true };
        let ecdsa = Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 };
        assert_eq!(policy.kinds(&target(22)).unwrap(), []);
        policy.check(&target(22), &key(ecdsa.clone())).unwrap();
        assert_eq!(policy.kinds(&target(22)).unwrap(), std::slice::from_ref(&ecdsa));
        let pinned = HostKeyPolicy::Pinned(key(ecdsa.clone()).to_openssh().unwrap());
        assert_eq!(pinned.kinds(&target(22)).unwrap(), [ecdsa]);
    }

    #[test]
    fn a_key_of_another_kind_is_a_changed_key() {
        let dir = tempfile::tempdir().unwrap();
        let policy = HostKeyPolicy::KnownHosts { file: dir.path().join("known_hosts"), pin_first: true };
        policy.check(&target(22), &key(Algorithm::Ed25519)).unwrap();
        let error = policy.check(&target(22), &key(Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 })).unwrap_err();
        assert!(matches!(error, SshError::HostKeyChanged { .. }), "{error}");
    }

    #[test]
    fn an_unknown_key_is_refused_unless_first_use_is_allowed() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("known_hosts");
        let policy = HostKeyPolicy::KnownHosts { file: file.clone(), pin_first: false };
        let error = policy.check(&target(22), &key(Algorithm::Ed25519)).unwrap_err();
        assert!(matches!(error, SshError::HostKeyUnknown { .. }), "{error}");
        assert!(!file.exists());
    }

    #[test]
    fn a_file_that_cannot_be_read_accepts_nobody() {
        let dir = tempfile::tempdir().unwrap();
        // A folder in the file's place.
        let policy = HostKeyPolicy::KnownHosts { file: dir.path().to_path_buf(), pin_first: true };
        let error = policy.check(&target(22), &key(Algorithm::Ed25519)).unwrap_err();
        assert!(matches!(error, SshError::KnownHosts { .. }), "{error}");
    }

    #[test]
    fn a_given_key_is_known_before_and_binding() {
        let dir = tempfile::tempdir().unwrap();
        let (given, other) = (key(Algorithm::Ed25519), key(Algorithm::Ed25519));
        let policy = |machine: &str| HostKeyPolicy::Given {
            key: given.to_openssh().unwrap(),
            machine: machine.to_owned(),
            file: dir.path().join("known_hosts"),
        };
        assert!(!policy("i-1").check(&target(22), &given).unwrap().first_use);
        let error = policy("i-1").check(&target(22), &other).unwrap_err();
        assert!(matches!(error, SshError::HostKeyChanged { .. }), "{error}");
        // A machine that made its own key; the address is the one that the first machine had.
        assert!(policy("i-2").check(&target(22), &other).unwrap().first_use);
        assert!(!policy("i-2").check(&target(22), &other).unwrap().first_use);
        let error = policy("i-2").check(&target(22), &given).unwrap_err();
        assert!(matches!(error, SshError::HostKeyChanged { .. }), "{error}");
    }

    #[test]
    fn a_pinned_key_is_the_only_one() {
        let (right, wrong) = (key(Algorithm::Ed25519), key(Algorithm::Ed25519));
        let policy = HostKeyPolicy::Pinned(right.to_openssh().unwrap());
        assert!(!policy.check(&target(22), &right).unwrap().first_use);
        assert!(matches!(policy.check(&target(22), &wrong).unwrap_err(), SshError::HostKeyChanged { .. }));
    }
}
