use std::time::Duration;

use disco_identity::{Authority, INTERMEDIATE_LIFETIME, Validity};
use disco_proto::v1::{Empty, InstallSigningKeyRequest};

use super::authority;
use crate::{
    client::Client,
    context::Context,
    error::{Failure, Outcome},
};

const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Gives the voters a new signing key when one who knew the present one has left, or the present one ends soon. Only an
/// operator who holds the root can; others are told.
pub(crate) async fn renew_signing_key(client: &Client, context: &Context) -> Outcome<()> {
    if !client.settled().await?.signing_key_stale {
        return Ok(());
    }
    let Some(root) = authority::load_root(&context.project()?.state())? else {
        context.printer.warn("the cluster's signing key should be replaced, by an operator who holds `.disco/ca.key`");
        return Ok(());
    };
    replace_signing_key(client, &root).await?;
    context
        .printer
        .note("the cluster has a new signing key: the old one ended soon, or was known to a node that has left");
    Ok(())
}

/// Gives the voters a new signing key. It is made on the leader; here it is only certified.
pub(crate) async fn replace_signing_key(client: &Client, root: &Authority) -> Outcome<()> {
    let answer = client
        .call_within(ANSWER_WITHIN, |mut control| async move { control.signing_key_request(Empty {}).await })
        .await?;
    if answer.signing_request.is_empty() {
        return Ok(());
    }
    let certificate = root
        .sign_intermediate(&answer.signing_request, Validity::lasting(INTERMEDIATE_LIFETIME))
        .map_err(|error| Failure::failed("cannot certify the cluster's new signing key").because(&error))?;
    let request = InstallSigningKeyRequest { certificate };
    client
        .call_within(ANSWER_WITHIN, |mut control| {
            let request = request.clone();
            async move { control.install_signing_key(request).await }
        })
        .await
        .map(|_| ())
}
