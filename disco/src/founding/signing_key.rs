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

/// Replaces the signing key if a voter that had it was removed, or if it expires soon. Prints a warning for operators without the
/// root's key.
pub(crate) async fn renew_signing_key(client: &Client, context: &Context) -> Outcome<()> {
    if !client.settled().await?.signing_key_stale {
        return Ok(());
    }
    let Some(root) = authority::load_root(&context.project()?.state())? else {
        context.printer.warn("the cluster's signing key must be replaced by an operator who has `.disco/ca.key`");
        return Ok(());
    };
    replace_signing_key(client, &root).await?;
    context
        .printer
        .note("replaced the cluster's signing key: the previous one was about to expire, or a removed node had it");
    Ok(())
}

/// Replaces the signing key. The leader generates it; the root certifies it here.
pub(crate) async fn replace_signing_key(client: &Client, root: &Authority) -> Outcome<()> {
    let answer = client
        .call_within(ANSWER_WITHIN, |mut control| async move { control.signing_key_request(Empty {}).await })
        .await?;
    if answer.signing_request.is_empty() {
        return Ok(());
    }
    let certificate = root
        .sign_intermediate(&answer.signing_request, Validity::lasting(INTERMEDIATE_LIFETIME))
        .map_err(|error| Failure::failed("cannot sign the cluster's new signing key").because(&error))?;
    let request = InstallSigningKeyRequest { certificate };
    client
        .call_within(ANSWER_WITHIN, |mut control| {
            let request = request.clone();
            async move { control.install_signing_key(request).await }
        })
        .await
        .map(|_| ())
}
