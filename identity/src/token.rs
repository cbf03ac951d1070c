//! Join tokens: everything that a new machine needs to find the cluster, to trust it, and to join it once.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::authority::{Authority, AuthorityError};
use crate::clock::{Validity, unix_now};
use crate::cluster_id::ClusterId;
use crate::credentials::{Credentials, CredentialsError};
use crate::files::{self, FileError};
use crate::key::PrivateKey;
use crate::role::Role;

const PREFIX: &str = "disco-join-1.";
/// The common part of the prefixes of all versions.
const FAMILY: &str = "disco-join-";
/// The longest token in its text form; usually it has 4 kB.
const MAX_TOKEN: usize = 32 * 1024;
/// The most addresses in a token.
const MAX_ENDPOINTS: usize = 64;

/// Why a text is not a usable join token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It has another prefix.
    #[error("not a join token: it does not begin with `{PREFIX}`")]
    Prefix,
    /// It has the prefix of another version.
    #[error("unsupported join token version: this program reads `{PREFIX}`")]
    Version,
    /// Too long.
    #[error("not a join token: longer than {MAX_TOKEN} bytes")]
    TooLong,
    /// It was truncated or changed.
    #[error("the join token is damaged: not base64url after `{PREFIX}`")]
    Encoding,
    /// It was truncated or changed.
    #[error("the join token is damaged: {problem}")]
    Content {
        /// The problem. Never a part of the token, which might be the key.
        problem: String,
    },
    /// Its file.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its certificate or key.
    #[error("the join token's certificate cannot be used")]
    Credentials(#[from] CredentialsError),
    /// It has expired.
    #[error("the join token expired {seconds_ago} s ago; make a new one")]
    Expired {
        /// How long ago, by this machine's clock.
        seconds_ago: u64,
    },
    /// It could not be made.
    #[error("cannot make a join token")]
    Issue(#[from] AuthorityError),
}

/// A join token. It holds a private key, so it is a secret until it expires.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// The cluster.
    pub cluster_id: ClusterId,
    /// The token's id in the cluster's records.
    pub token_id: String,
    /// The cluster's root certificate, PEM.
    pub ca: String,
    /// Addresses of members.
    pub endpoints: Vec<SocketAddr>,
    /// The last second in which it can be used, since 1970.
    pub expires: u64,
    certificate: String,
    key: String,
}

/// The JSON within.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    cluster_id: String,
    ca: String,
    endpoints: Vec<SocketAddr>,
    token_id: String,
    expires: u64,
    certificate: String,
    key: String,
}

impl JoinToken {
    /// Makes a token: a key, and a certificate for it with the role [`Role::Join`] and the token's lifetime.
    ///
    /// `root` is the cluster's root certificate, PEM; `signer` the voters' signing key.
    ///
    /// # Errors
    /// When the certificate cannot be made.
    pub fn issue(
        signer: &Authority,
        root: &str,
        endpoints: Vec<SocketAddr>,
        token_id: &str,
        lifetime: Duration,
    ) -> Result<Self, TokenError> {
        let key = PrivateKey::generate().map_err(AuthorityError::from)?;
        let request = key.signing_request().map_err(AuthorityError::from)?;
        let validity = Validity::lasting(lifetime).ending_by(signer.not_after());
        Ok(Self {
            cluster_id: signer.cluster_id().clone(),
            token_id: token_id.to_owned(),
            ca: root.to_owned(),
            endpoints,
            expires: validity.not_after,
            certificate: signer.issue_join(&request, token_id, validity)?,
            key: key.to_pem(),
        })
    }

    /// The text form.
    #[must_use]
    pub fn encode(&self) -> String {
        let content = Content {
            cluster_id: self.cluster_id.to_string(),
            ca: self.ca.clone(),
            endpoints: self.endpoints.clone(),
            token_id: self.token_id.clone(),
            expires: self.expires,
            certificate: self.certificate.clone(),
            key: self.key.clone(),
        };
        let json = serde_json::to_vec(&content).expect("texts and numbers can be written as JSON");
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(json))
    }

    /// Parses a token and checks that it has not expired. White space around it is ignored.
    ///
    /// # Errors
    /// Which part is invalid, or that it has expired.
    pub fn decode(text: &str) -> Result<Self, TokenError> {
        let token = Self::decode_any(text)?;
        token.check_expiry(unix_now())?;
        Ok(token)
    }

    /// Reads a token from a file, which must not be open to others.
    ///
    /// # Errors
    /// As [`Self::decode`], and when the file cannot be read.
    pub fn load(path: &Path) -> Result<Self, TokenError> {
        Self::decode(&files::read_private(path, MAX_TOKEN as u64)?)
    }

    /// Parses a token, even an expired one.
    ///
    /// # Errors
    /// Which part is invalid.
    pub fn decode_any(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        if text.len() > MAX_TOKEN {
            return Err(TokenError::TooLong);
        }
        let Some(encoded) = text.strip_prefix(PREFIX) else {
            return Err(if text.starts_with(FAMILY) { TokenError::Version } else { TokenError::Prefix });
        };
        let json = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| TokenError::Encoding)?;
        // The message of serde_json may quote a value, so only its place is reported.
        let content: Content = serde_json::from_slice(&json)
            .map_err(|error| damaged(format!("its content ends or differs at byte {}", error.column())))?;
        let token = Self {
            cluster_id: content.cluster_id.parse().map_err(|_| damaged("`cluster_id` is not a cluster id"))?,
            token_id: content.token_id,
            ca: content.ca,
            endpoints: content.endpoints,
            expires: content.expires,
            certificate: content.certificate,
            key: content.key,
        };
        token.check_content()?;
        Ok(token)
    }

    fn check_content(&self) -> Result<(), TokenError> {
        if self.endpoints.is_empty() || self.endpoints.len() > MAX_ENDPOINTS {
            return Err(damaged(format!("`endpoints` has {} entries", self.endpoints.len())));
        }
        let credentials = self.credentials()?;
        let own = credentials.own();
        if own.cluster_id != self.cluster_id || own.role != Role::Join(self.token_id.clone()) {
            return Err(damaged("`certificate` is not for `token_id`"));
        }
        Ok(())
    }

    /// Checks that it has not expired at `now`, in seconds since 1970.
    ///
    /// # Errors
    /// When it has expired.
    pub fn check_expiry(&self, now: u64) -> Result<(), TokenError> {
        match now.checked_sub(self.expires) {
            Some(seconds_ago) if seconds_ago > 0 => Err(TokenError::Expired { seconds_ago }),
            _ => Ok(()),
        }
    }

    /// The credentials of the new machine until it has its own certificate.
    ///
    /// # Errors
    /// When the certificate or key within is damaged.
    pub fn credentials(&self) -> Result<Credentials, CredentialsError> {
        Credentials::from_pem(&self.ca, &self.certificate, &self.key)
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("JoinToken")
            .field("cluster_id", &self.cluster_id)
            .field("token_id", &self.token_id)
            .field("endpoints", &self.endpoints)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

fn damaged(problem: impl Into<String>) -> TokenError {
    TokenError::Content { problem: problem.into() }
}

#[cfg(test)]
mod bytes_test;
#[cfg(test)]
mod tests;
