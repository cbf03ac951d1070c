use std::time::Duration;

use disco_proto::v1::{Empty, InstallSigningKeyRequest};

use super::authority;
use crate::{
    app::Context,
    client::Client,
    error::{Failure, Outcome},
};

const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Gives the voters a new signing key when one who knew the present one has left. Only an operator who holds the root can;
/// others are told.
pub(crate) async fn renew_signing_key(client: &Client, context: &Context) -> Outcome<()> {
    if !client.settled().await?.signing_key_stale {
        return Ok(());
    }
    let Some(root) = authority::load_root(&context.project()?.state())? else {
        context.printer.warn("the cluster's signing key should be replaced, by an operator who holds `.disco/ca.key`");
        return Ok(());
    };
    let answer = client
        .call_within(ANSWER_WITHIN, |mut control| async move { control.signing_key_request(Empty {}).await })
        .await?;
    if answer.signing_request.is_empty() {
        return Ok(());
    }
    let certificate = root
        .sign_intermediate(&answer.signing_request)
        .map_err(|error| Failure::failed("cannot certify the cluster's new signing key").because(&error))?;
    let request = InstallSigningKeyRequest { certificate };
    client
        .call_within(ANSWER_WITHIN, |mut control| {
            let request = request.clone();
            async move { control.install_signing_key(request).await }
        })
        .await?;
    context.printer.note("the cluster has a new signing key: a node that has left knew the old one");
    Ok(())
}
