//! How a machine becomes a member: it sends a join token to any existing member.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use backon::{ExponentialBuilder, Retryable};
use disco_identity::{ChannelOptions, Credentials, Expect, Identity, JoinToken};
use disco_proto::v1::JoinRequest;

use crate::args::DaemonArgs;
use crate::home::{Home, NodeFile};
use crate::peers::MemberClient;

/// How long a node retries; the installer waits about as long.
const GIVE_UP_AFTER: Duration = Duration::from_secs(300);
/// Time limit for one member to answer.
const ATTEMPT: Duration = Duration::from_secs(15);

/// Joins the cluster that the token names. Repeating it after an interruption yields the same node.
///
/// # Errors
/// The token is damaged, expired or refused, or no member answered in five minutes.
pub async fn join(home: &Home, token_file: &Path, args: &DaemonArgs) -> Result<NodeFile> {
    let text = disco_identity::read_private(token_file, 64 * 1024)?;
    let token =
        JoinToken::decode(text.trim()).with_context(|| format!("reading the token in `{}`", token_file.display()))?;
    token.check_expiry(disco_identity::unix_now())?;
    let key = home.key()?;
    let request = JoinRequest {
        signing_request: key.signing_request()?,
        address: args.advertise.unwrap_or(args.listen).to_string(),
        name: args.name.clone().unwrap_or_default(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        instance: args.machine.clone().unwrap_or_default(),
        labels: args.labels.iter().cloned().collect(),
        join_id: home.join_id()?.into_bytes().to_vec().into(),
        extra_addresses: extra_addresses(args),
        public_address: args.public_address.map(|address| address.to_string()).unwrap_or_default(),
        format: disco_proto::format::own(),
    };
    let identity = Identity::new(token.credentials()?)?;
    let ask = || async { ask_members(&token, &identity, &request).await };
    let answer = ask
        .retry(
            ExponentialBuilder::default()
                .with_max_delay(Duration::from_secs(5))
                .with_total_delay(Some(GIVE_UP_AFTER))
                .without_max_times(),
        )
        .when(|refusal| refusal.may_pass)
        .notify(|refusal, after| tracing::warn!(reason = %refusal.error, ?after, "not admitted yet"))
        .await
        .map_err(|refusal| refusal.error)
        .context("joining the cluster")?;
    if answer.cluster_id != token.cluster_id.as_str() {
        bail!(
            "the member belongs to the cluster {}, but the token is for the cluster {}",
            answer.cluster_id,
            token.cluster_id
        );
    }
    let node = NodeFile {
        cluster_id: answer.cluster_id,
        cluster_name: answer.cluster_name,
        node_id: answer.node_id,
        name: answer.name,
        founder: false,
        members: answer.members,
    };
    Credentials::new(&token.ca, &answer.certificate_chain, &key).context("reading the certificate from the cluster")?;
    home.set_node(&node, &token.ca, &answer.certificate_chain)?;
    tracing::info!(node = node.node_id, cluster = node.cluster_name, "admitted");
    Ok(node)
}

/// Why no member admitted the node, and whether a retry can help.
struct Refusal {
    error: anyhow::Error,
    may_pass: bool,
}

async fn ask_members(
    token: &JoinToken,
    identity: &Identity,
    request: &JoinRequest,
) -> Result<disco_proto::v1::JoinResponse, Refusal> {
    let mut last = Refusal { error: anyhow::anyhow!("the token names no member"), may_pass: false };
    for endpoint in &token.endpoints {
        let channel = disco_identity::channel(endpoint, identity, Expect::AnyNode, &ChannelOptions::default());
        let mut client = MemberClient::new(channel);
        match tokio::time::timeout(ATTEMPT, client.join(request.clone())).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => {
                let may_pass = !error.is_refusal();
                last = Refusal { error: anyhow::anyhow!("{endpoint}: {error}"), may_pass };
                if !may_pass {
                    return Err(last);
                }
            }
            Err(_) => {
                last = Refusal { error: anyhow::anyhow!("{endpoint}: no answer within {ATTEMPT:?}"), may_pass: true };
            }
        }
    }
    Err(last)
}

/// The public address, and the listen address if the node advertises another: operators may use either.
pub fn extra_addresses(args: &DaemonArgs) -> Vec<String> {
    let advertised = args.advertise.unwrap_or(args.listen).ip();
    let listen = Some(args.listen.ip()).filter(|ip| !ip.is_unspecified());
    let others = args.public_address.into_iter().chain(listen).filter(|ip| *ip != advertised);
    let mut addresses: Vec<String> = others.map(|ip| ip.to_string()).collect();
    addresses.dedup();
    addresses
}
