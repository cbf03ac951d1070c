//! The node's own certificate: renewed well before its end, and when the signing key was replaced; swapped while the node
//! runs.

use anyhow::Result;
use disco_identity::{Credentials, NODE_LIFETIME};

use crate::node::Node;
use crate::records;

/// A certificate is renewed when this part of its life is left, so that weeks of absence are survived.
const RENEW_AT: u32 = 3;

/// A request for a new certificate, when it is time for one.
pub(super) fn signing_request(node: &Node) -> Option<String> {
    if !is_due(node) {
        return None;
    }
    match node.home().key().and_then(|key| Ok(key.signing_request()?)) {
        Ok(request) => Some(request),
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "no new certificate can be asked for");
            None
        }
    }
}

fn is_due(node: &Node) -> bool {
    let own = node.identity().own();
    let ends_soon = own.not_after < disco_identity::unix_now() + NODE_LIFETIME.as_secs() / u64::from(RENEW_AT);
    let signing = node.raft().store().read(records::signing);
    let replaced = signing.is_some_and(|signing| {
        !signing.value.retiring.is_empty()
            && node.identity().signer_serial().is_some_and(|own| own != signing.value.serial)
    });
    ends_soon || replaced || lacks_an_address(node)
}

/// The node is reached under an address that its certificate does not name, since it was given another one.
fn lacks_an_address(node: &Node) -> bool {
    let Some(record) = node.raft().store().read(|store| records::node(store, node.id())) else { return false };
    if record.extra_addresses.is_empty() {
        return false;
    }
    let named = node.identity().addresses();
    record.extra_addresses.iter().filter_map(|text| text.parse().ok()).any(|address| !named.contains(&address))
}

/// Takes a new certificate into use, on disk first.
pub(super) fn swap(node: &Node, chain: &str) {
    match try_swap(node, chain) {
        Ok(()) => tracing::info!("a new certificate is in use"),
        Err(error) => tracing::error!(error = format!("{error:#}"), "the new certificate was not taken"),
    }
}

fn try_swap(node: &Node, chain: &str) -> Result<()> {
    let credentials = Credentials::new(&node.home().root()?, chain, &node.home().key()?)?;
    node.home().set_chain(chain)?;
    node.identity().replace(credentials)?;
    Ok(())
}

/// The leader certifies itself.
pub(super) fn renew_own(node: &Node) {
    let Some(request) = signing_request(node) else { return };
    match crate::api::renew_certificate(node, node.id(), &request) {
        Ok(chain) => swap(node, &chain),
        Err(status) => tracing::warn!(reason = status.message(), "no new certificate for this leader yet"),
    }
}

/// From now on, what was signed by retired keys is refused.
pub(super) fn refuse_retired(node: &Node) {
    if let Some(signing) = node.raft().store().read(records::signing) {
        node.identity().refuse_intermediates(signing.value.retired);
    }
}
