//! Join tokens.

use std::time::Duration;

use disco_identity::JoinToken;

use super::{Error, Result, certificates};
use crate::node::Leader;
use crate::records::{self, TokenRecord};

/// Default and maximum lifetime of a token.
const DEFAULT_TTL: Duration = Duration::from_secs(15 * 60);
const MAX_TTL: Duration = Duration::from_secs(24 * 60 * 60);
const MAX_USES: u32 = 50;

/// A new token.
#[derive(Debug)]
pub struct IssuedToken {
    /// The token for the new node.
    pub token: String,
    /// RFC 3339.
    pub expires_at: String,
}

/// The lifetime of a token for the requested seconds; 0 is the default.
#[must_use]
pub fn lifetime(seconds: u32) -> Duration {
    match seconds {
        0 => DEFAULT_TTL,
        seconds => Duration::from_secs(u64::from(seconds)).min(MAX_TTL),
    }
}

/// Issues a token by which the given number of nodes may join within the time. Only on the leader.
///
/// # Errors
/// This leader has no signing key, or the token's record was not written.
pub async fn issue(leader: &Leader, ttl: Duration, uses: u32) -> Result<IssuedToken> {
    issue_for(leader, ttl, uses, None).await
}

/// Issues a token by which the node of the machine with this token may join, with the id that is reserved for it.
///
/// # Errors
/// As [`issue`].
pub async fn issue_for_machine(leader: &Leader, ttl: Duration, machine: &str) -> Result<IssuedToken> {
    issue_for(leader, ttl, 1, Some(machine.to_owned())).await
}

async fn issue_for(leader: &Leader, ttl: Duration, uses: u32, machine: Option<String>) -> Result<IssuedToken> {
    let authority = certificates::authority(leader)?;
    let root = leader.home().root().map_err(Error::Internal)?;
    let id = uuid::Uuid::new_v4().simple().to_string();
    // The leader first, since it need not forward.
    let others = leader.raft().members().into_iter().filter(|member| member.id != leader.id());
    let endpoints = others.filter_map(|member| member.info.address.parse().ok());
    let endpoints = std::iter::once(leader.address()).chain(endpoints).collect();
    let token = JoinToken::issue(&authority, &root, endpoints, &id, ttl).map_err(Error::internal)?;
    let expires = jiff::Timestamp::from_second(i64::try_from(token.expires).map_err(Error::internal)?)
        .map_err(Error::internal)?;
    let uses_left = uses.clamp(1, MAX_USES);
    let record = TokenRecord { id: id.clone(), expires_at: expires.to_string(), uses_left, machine };
    let txn = records::Txn::new().put(&records::keys::token(&id), &record);
    leader.write_in_term(txn.operation()).await?;
    Ok(IssuedToken { token: token.encode(), expires_at: record.expires_at })
}
