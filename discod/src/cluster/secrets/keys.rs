//! The keys of secrets: made by a leader, and held by voters.
//!
//! A leader makes the first key when the first secret comes, gives it to the other voters, and records its id once a majority has it.
//! A node gets the keys before it becomes a voter. A voter that was away meanwhile gets them with its next report; a leader that
//! lacks one asks the other voters for it.

use std::time::Duration;

use anyhow::Context;
use disco_proto::v1;
use futures_util::future::join_all;

use crate::cluster::{Error, Result};
use crate::home::SecretsKeys;
use crate::node::{Leader, Node};
use crate::raft::Role;
use crate::records::{self, Records, SecretsKeyRecord, Severity, Txn, keys, succeeded};

/// Pause before a leader that lacks the key asks the other voters again: after a restored backup none has it.
const ASKS_EVERY: Duration = Duration::from_secs(60);
/// Time limit for a voter to answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(3);

/// The id of the key for new secrets, which this leader has. Makes one if the cluster has none.
///
/// # Errors
/// Too few voters answer.
pub async fn current(leader: &Leader) -> Result<String> {
    let recorded = leader.raft().store().read(|store| records::get::<SecretsKeyRecord>(store, keys::SECRETS_KEY));
    let revision = match recorded {
        None => 0,
        Some(recorded) => {
            let id = recorded.value.key;
            if leader.secrets_keys().has(&id) {
                return Ok(id);
            }
            let silent = exchange(leader).await?;
            if leader.secrets_keys().has(&id) {
                return Ok(id);
            }
            if !silent.is_empty() {
                let names: Vec<String> = silent.iter().map(|id| leader.name_of(*id)).collect();
                return Err(Error::Unavailable(format!(
                    "this leader does not have the key of secrets, and {} did not answer; try again",
                    names.join(" and ")
                )));
            }
            // A restored backup has no key: what it holds stays unreadable, and new secrets need another one.
            recorded.revision
        }
    };
    make(leader, revision).await
}

/// Gets the recorded key from the other voters if this leader lacks it: what it gives to a new voter must have it, since the voters
/// that have it may be removed.
pub async fn complete(leader: &Leader) {
    let recorded = leader.raft().store().read(|store| records::get::<SecretsKeyRecord>(store, keys::SECRETS_KEY));
    let lacks = recorded.is_some_and(|recorded| !leader.secrets_keys().has(&recorded.value.key));
    if lacks
        && leader.may_request_keys(ASKS_EVERY)
        && let Err(error) = exchange(leader).await
    {
        tracing::warn!(error = format!("{error:#}"), "this leader lacks the key of secrets");
    }
}

/// Makes a key, and records it once a majority of the voters has it.
async fn make(leader: &Leader, revision: i64) -> Result<String> {
    // One that an earlier attempt has made is as good.
    let id = match leader.secrets_keys().first() {
        Some(id) => id.to_owned(),
        None => {
            let (id, key) = SecretsKeys::generate().map_err(Error::Internal)?;
            leader.add_secrets_keys(&key).map_err(Error::Internal)?;
            id
        }
    };
    let silent = exchange(leader).await?;
    let voters = voters(leader).len();
    if (voters - silent.len().min(voters)) * 2 <= voters {
        let why = format!(
            "the key of secrets must be on a majority of the {voters} voters, and {} did not answer",
            silent.len()
        );
        return Err(Error::Unavailable(format!("{why}; try again")));
    }
    let record = SecretsKeyRecord { key: id.clone(), created_at: crate::clock::rfc3339() };
    let txn = Txn::new().expect(keys::SECRETS_KEY, revision).put(keys::SECRETS_KEY, &record);
    if !succeeded(&Records::write(leader, txn.operation()).await?) {
        return Err(Error::Conflict("another request has made a key of secrets; try again".to_owned()));
    }
    let text = "a key of secrets was made; only voters have it".to_owned();
    records::emit_in_term(leader, "secrets.key_made", Severity::Info, None, text).await;
    Ok(id)
}

fn voters(node: &Node) -> Vec<u64> {
    let members = node.raft().members().into_iter().filter(|member| member.role == Role::Voter);
    members.map(|member| member.id).collect()
}

/// Exchanges keys with the other voters, so that they have those of this leader, and it those of theirs. Returns the voters that
/// did not answer, or that know no secrets.
async fn exchange(leader: &Leader) -> Result<Vec<u64>> {
    let own = leader.secrets_keys();
    let others: Vec<u64> = voters(leader).into_iter().filter(|id| *id != leader.id()).collect();
    let answers = others.iter().map(|id| ask(leader, *id, &own));
    let mut silent = Vec::new();
    for (id, answer) in others.iter().zip(join_all(answers).await) {
        match answer {
            Ok(keys) => leader.add_secrets_keys(&keys).map_err(Error::Internal)?,
            Err(error) => {
                tracing::warn!(node = id, error = format!("{error:#}"), "a voter did not exchange the keys of secrets");
                silent.push(*id);
            }
        }
    }
    Ok(silent)
}

/// Gives a voter the keys. Returns all that it has.
async fn ask(leader: &Leader, id: u64, own: &SecretsKeys) -> anyhow::Result<SecretsKeys> {
    let mut client = leader.member_client(id).context("its address is unknown")?;
    let answer = client.share_secrets_keys(own.into(), ANSWERS_WITHIN);
    let answer = tokio::time::timeout(ANSWERS_WITHIN, answer).await.context("no answer")??;
    let theirs = SecretsKeys::try_from(answer)?;
    anyhow::ensure!(theirs.with(own).is_none(), "it did not accept them");
    Ok(theirs)
}

/// Answers another voter: takes its keys, and returns all of this node.
///
/// # Errors
/// One of the two has no vote.
pub fn share(node: &Node, from: u64, wire: v1::SecretsKeys) -> Result<v1::SecretsKeys> {
    let voters = voters(node);
    for id in [from, node.id()] {
        if !voters.contains(&id) {
            return Err(Error::Denied(format!("node {id} is not a voter, and only voters have the keys of secrets")));
        }
    }
    accept(node, wire)?;
    Ok((&node.secrets_keys()).into())
}

/// Takes keys that the leader has sent with the voters' secrets.
///
/// # Errors
/// They are damaged, or cannot be written.
pub fn hand_over(node: &Node, wire: Option<v1::SecretsKeys>) -> Result<()> {
    wire.map_or(Ok(()), |wire| accept(node, wire))
}

fn accept(node: &Node, wire: v1::SecretsKeys) -> Result<()> {
    let keys = SecretsKeys::try_from(wire).map_err(|error| Error::Invalid(format!("{error:#}")))?;
    node.add_secrets_keys(&keys).map_err(Error::Internal)
}

/// Voters whose last report shows that they lack a key that this leader has. Those that know no secrets do not count.
#[must_use]
pub fn lacking(leader: &Leader) -> Vec<u64> {
    let own = leader.secrets_keys().ids();
    let lacks = |id: &u64| {
        let report = leader.reports().get(*id).map(|heard| heard.report);
        let theirs = report.and_then(|report| report.secrets_keys);
        *id != leader.id() && theirs.is_some_and(|theirs| own.split(' ').any(|key| !theirs.contains(key)))
    };
    if own.is_empty() { Vec::new() } else { voters(leader).into_iter().filter(lacks).collect() }
}
