//! The signing key: voters receive it, and the operator helps to replace it.
//!
//! Only the operator's root can certify a new signing key. The leader creates the key, which never leaves the voters;
//! the operator signs the request.

use std::time::Duration;

use disco_identity::{Authority, Credentials, PrivateKey, Validity};
use parking_lot::Mutex;

use crate::cluster::{Error, Result};
use crate::home::VoterSecrets;
use crate::node::Node;
use crate::records;

/// The key that waits for its certificate. In memory only: a new leader makes a new request.
static PENDING: Mutex<Option<PrivateKey>> = Mutex::new(None);

/// Takes or deletes the secrets that a node has sent. Only the leader may send them.
///
/// # Errors
/// Another node than the leader has sent them, they are damaged, or cannot be written.
pub fn set_voter_secrets(node: &Node, from: u64, secrets: Option<VoterSecrets>) -> Result<()> {
    let leader = node.raft().leadership().borrow().leader;
    if leader != Some(from) {
        return Err(Error::Unavailable(format!("node {from} is not the leader known to this node")));
    }
    if let Some(secrets) = &secrets {
        secrets.authority().map_err(|error| Error::Invalid(format!("{error:#}")))?;
    }
    node.set_secrets(secrets).map_err(Error::Internal)
}

/// Makes a request for the certificate of a new signing key, which waits for it on this leader.
///
/// # Errors
/// No key can be created.
pub fn request() -> Result<String> {
    let key = PrivateKey::generate().map_err(Error::internal)?;
    let signing_request = key.signing_request().map_err(Error::internal)?;
    *PENDING.lock() = Some(key);
    Ok(signing_request)
}

/// Checks that the other nodes accept certificates signed by the key.
fn check(node: &Node, authority: &Authority) -> anyhow::Result<()> {
    let key = PrivateKey::generate()?;
    let id = uuid::Uuid::new_v4().simple().to_string();
    let chain = authority.issue_join(&key.signing_request()?, &id, Validity::lasting(Duration::from_secs(60)))?;
    Ok(Credentials::new(&node.home().root()?, &chain, &key)?.verify()?)
}

/// Installs the waiting key with this certificate. Only on the leader.
///
/// # Errors
/// No key waits, or the cluster's root has not signed its certificate.
pub async fn install(node: &Node, certificate: String) -> Result<()> {
    let key = PENDING.lock().as_ref().map(PrivateKey::to_pem);
    let key = key.ok_or_else(|| Error::Refused("no signing request is open: request one first".to_owned()))?;
    let old = node.secrets();
    let old = old.ok_or_else(|| Error::Unavailable("this leader has no signing key to replace".to_owned()))?;
    let secrets = VoterSecrets {
        intermediate_certificate: certificate,
        intermediate_key: key.to_string(),
        ssh_private_key: old.ssh_private_key,
    };
    let authority = secrets.authority().map_err(|error| Error::Invalid(format!("{error:#}")))?;
    check(node, &authority)
        .map_err(|error| Error::Invalid(format!("the certificate is not signed by the cluster's root: {error:#}")))?;
    let (old, new) = (node.signing_serial(), authority.serial().to_owned());
    node.set_secrets(Some(secrets)).map_err(Error::Internal)?;
    *PENDING.lock() = None;
    let replaced = records::change_signing(node, |record| {
        record.stale = false;
        if record.serial != new {
            record.retiring.push(old.clone());
            record.serial.clone_from(&new);
        }
    });
    replaced.await?;
    node.wake_controllers();
    Ok(())
}
