//! The node's own certificate: renewed well before it expires, at an operator's request, and after the signing key was
//! replaced; exchanged while the node runs.
//!
//! Other nodes refuse a node whose certificate has expired, so it cannot request a new one. It keeps running and uses a
//! certificate that `discod identity renew` writes to its disk, so the operator who holds the root can bring it back.

use anyhow::Result;
use disco_identity::{Credentials, Phase, unix_now};

use crate::cluster::certificates;
use crate::home::ChainStamp;
use crate::node::Node;
use crate::records;

/// Number of reports during which a node whose request was refused does not repeat it.
const AFTER_REFUSAL: u32 = 10;

/// A request for a new certificate if one is due.
pub(super) fn signing_request(node: &Node) -> Option<String> {
    let renewal = node.renewal();
    let pause = node.raft().pace().report() * AFTER_REFUSAL;
    if !renewal.is_wanted() && (!is_due(node) || renewal.was_refused_within(pause)) {
        return None;
    }
    match node.home().key().and_then(|key| Ok(key.signing_request()?)) {
        Ok(request) => Some(request),
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "cannot request a new certificate");
            None
        }
    }
}

fn is_due(node: &Node) -> bool {
    let ends_soon = node.identity().own().validity().phase(unix_now()) >= Phase::Due;
    let Some(signer) = node.identity().signer_serial() else {
        // The root signed it to bring the node back; from now on the signing key signs again.
        return true;
    };
    let signing = node.raft().store().read(records::signing);
    let replaced = signing.is_some_and(|signing| !signing.value.retiring.is_empty() && signer != signing.value.serial);
    ends_soon || replaced || lacks_an_address(node)
}

/// Whether other nodes reach this node at an address that its certificate does not name, since its address changed.
fn lacks_an_address(node: &Node) -> bool {
    let Some(record) = node.raft().store().read(|store| records::node(store, node.id())) else { return false };
    if record.extra_addresses.is_empty() {
        return false;
    }
    let named = node.identity().addresses();
    record.extra_addresses.iter().filter_map(|text| text.parse().ok()).any(|address| !named.contains(&address))
}

/// Installs a new certificate, on disk first.
pub(super) fn swap(node: &Node, chain: &str) {
    match try_swap(node, chain) {
        Ok(()) => {
            tracing::info!("a new certificate is in use");
            node.renewal().done();
        }
        Err(error) => tracing::error!(error = format!("{error:#}"), "could not install the new certificate"),
    }
}

fn try_swap(node: &Node, chain: &str) -> Result<()> {
    let credentials = Credentials::new(&node.home().root()?, chain, &node.home().key()?)?;
    node.home().set_chain(chain)?;
    node.identity().replace(credentials)?;
    Ok(())
}

/// The leader signs its own certificate.
pub(super) fn renew_own(node: &Node) {
    let Some(request) = signing_request(node) else { return };
    match certificates::renew(node, node.id(), &request) {
        Ok(chain) => swap(node, &chain),
        Err(error) => node.renewal().refused(&error.to_string()),
    }
}

/// Refuses certificates signed by retired keys from now on.
pub(super) fn refuse_retired(node: &Node) {
    if let Some(signing) = node.raft().store().read(records::signing) {
        node.identity().refuse_intermediates(signing.value.retired);
    }
}

/// The certificate on disk at the last check, and what was logged about the one in use.
#[derive(Default)]
pub(super) struct Watched {
    stamp: Option<ChainStamp>,
    expired: bool,
}

impl Watched {
    /// Uses a certificate that was written to disk from outside, and logs once when the one in use has become useless.
    pub(super) fn look(&mut self, node: &Node) {
        let stamp = node.home().chain_stamp();
        if stamp.is_some() && stamp != self.stamp {
            self.stamp = stamp;
            match take_up(node) {
                Ok(false) => {}
                Ok(true) => tracing::info!("the certificate found on disk is in use"),
                Err(error) => tracing::warn!(error = format!("{error:#}"), "cannot use the certificate on disk"),
            }
        }
        let expired = node.identity().own().validity().phase(unix_now()) == Phase::Expired;
        if expired && !self.expired {
            tracing::error!(
                "this node's certificate has expired, so the other nodes refuse its connections; hint: the operator who holds \
                 `.disco/ca.key` can replace it with `disco cert rotate --expired`"
            );
        }
        self.expired = expired;
    }
}

/// True if it differs from the one in use.
fn take_up(node: &Node) -> Result<bool> {
    let credentials = node.home().credentials()?;
    if credentials.own().serial == node.identity().own().serial {
        return Ok(false);
    }
    credentials.verify()?;
    node.identity().replace(credentials)?;
    Ok(true)
}
