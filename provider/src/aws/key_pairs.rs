//! Key pairs: the public half of the operator's, and that of the cluster. Private halves are never sent.

use ring::digest::{SHA256, digest};
use russh::keys::{HashAlg, PublicKey};

use super::api::KeyPairInfo;
use super::clients::Clients;
use super::error::CloudError;
use super::names::{Names, filter};
use crate::plan::{Action, Change};

/// The bytes before the key in the X.509 form of an Ed25519 key (RFC 8410), of which some services make the fingerprint.
const ED25519_SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Makes sure that the pair of this name is this key. EC2 accepts Ed25519 and RSA; a key of another kind reaches machines only by
/// their user data. Returns whether the pair exists.
pub(super) async fn ensure(clients: &Clients, names: &Names, name: &str, public: &str) -> Result<bool, CloudError> {
    let key = PublicKey::from_openssh(public.trim()).map_err(|error| CloudError::Key { reason: error.to_string() })?;
    if key.key_data().ed25519().is_none() && key.key_data().rsa().is_none() {
        return Ok(false);
    }
    if let Some(found) = find(clients, name).await? {
        return same(name, &found, &key);
    }
    let tags = names.specification("key-pair", "key-pair", &[]);
    match clients.ec2.import_key_pair(name, public.trim(), &tags).await {
        Ok(()) => Ok(true),
        // A concurrent caller was faster.
        Err(error) if error.code() == "InvalidKeyPair.Duplicate" => match find(clients, name).await? {
            Some(found) => same(name, &found, &key),
            None => Err(error),
        },
        Err(error) => Err(error),
    }
}

/// What [`ensure`] would do. `None` stands for a key that does not exist yet.
pub(super) async fn plan(clients: &Clients, name: &str, public: Option<&str>) -> Result<Option<Change>, CloudError> {
    let key = public.map(|public| PublicKey::from_openssh(public.trim())).transpose();
    let key = key.map_err(|error| CloudError::Key { reason: error.to_string() })?;
    if key.as_ref().is_some_and(|key| key.key_data().ed25519().is_none() && key.key_data().rsa().is_none()) {
        return Ok(None);
    }
    match (find(clients, name).await?, key) {
        (Some(found), Some(key)) => same(name, &found, &key).map(|_| None),
        (Some(_), None) => Ok(None),
        (None, _) => Ok(Some(Change::free(Action::Create, "key pair", name, "the public half"))),
    }
}

async fn find(clients: &Clients, name: &str) -> Result<Option<KeyPairInfo>, CloudError> {
    // By a filter, with which a missing name is no error.
    let found = clients.ec2.describe_key_pairs(true, &[filter("key-name", [name.to_owned()])]).await?;
    Ok(found.into_iter().next())
}

fn same(name: &str, found: &KeyPairInfo, key: &PublicKey) -> Result<bool, CloudError> {
    if is_same(found, key) {
        return Ok(true);
    }
    Err(CloudError::Foreign { what: "the key pair", name: name.to_owned(), why: "it holds another key" })
}

/// Compares the key itself if the service returns it, else its fingerprint.
fn is_same(found: &KeyPairInfo, key: &PublicKey) -> bool {
    if let Some(public) = &found.public_key
        && let Ok(public) = PublicKey::from_openssh(public.trim())
    {
        return public.key_data() == key.key_data();
    }
    let fingerprint = found.key_fingerprint.as_deref().unwrap_or_default();
    fingerprints(key).iter().any(|own| own == fingerprint.trim_start_matches("SHA256:").trim_end_matches('='))
}

/// The fingerprints that an imported Ed25519 key has: SHA-256 of its SSH form in base64, as Amazon shows it, or of its X.509
/// form in hexadecimal digits, as some compatible services do. That of an RSA key is the MD5 of its X.509 form, 16 bytes,
/// and so never equal to one of these.
fn fingerprints(key: &PublicKey) -> Vec<String> {
    let ssh = key.fingerprint(HashAlg::Sha256).to_string();
    let mut known = vec![ssh.trim_start_matches("SHA256:").to_owned()];
    if let Some(raw) = key.key_data().ed25519() {
        let spki = digest(&SHA256, &[&ED25519_SPKI[..], &raw.0].concat());
        let bytes: Vec<String> = spki.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        known.push(bytes.join(":"));
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ssh::KeyPair;

    fn key() -> PublicKey {
        PublicKey::from_openssh(&KeyPair::generate("me").unwrap().public_openssh()).unwrap()
    }

    fn found(fingerprint: &str) -> KeyPairInfo {
        KeyPairInfo {
            key_name: Some("disco-web".to_owned()),
            key_fingerprint: Some(fingerprint.to_owned()),
            ..KeyPairInfo::default()
        }
    }

    #[test]
    fn an_ed25519_key_is_known_by_all_its_fingerprints() {
        let key = key();
        let [ssh, spki] = fingerprints(&key).try_into().unwrap();
        for form in [ssh.clone(), format!("{ssh}="), format!("SHA256:{ssh}"), spki] {
            assert!(is_same(&found(&form), &key), "{form}");
        }
        assert!(!is_same(&found(&fingerprints(&self::key())[0]), &key));
    }

    #[test]
    fn the_fingerprint_of_an_rsa_key_is_another_ones() {
        // MD5 of an imported RSA key, SHA-1 of one that EC2 has made.
        for rsa in [
            "5e:3c:a1:9f:00:11:22:33:44:55:66:77:88:99:aa:bb",
            "51:50:ae:66:77:88:99:aa:bb:cc:dd:ee:ff:00:11:22:33:44:55:66",
        ] {
            assert!(!is_same(&found(rsa), &key()));
        }
    }

    #[test]
    fn the_key_itself_says_more_than_its_fingerprint() {
        let (own, other) = (key(), key());
        let listed =
            |key: &PublicKey| KeyPairInfo { public_key: Some(key.to_openssh().unwrap()), ..KeyPairInfo::default() };
        assert!(is_same(&listed(&own), &own));
        assert!(!is_same(&listed(&other), &own));
    }
}
