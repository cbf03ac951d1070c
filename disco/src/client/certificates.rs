//! Reads the certificates that nodes serve, and renews them.

use std::time::{Duration, Instant};

use disco_identity::{CertificateInfo, Phase, unix_now};
use disco_proto::v1::{NodeStatus, RotateCertificateRequest};

use super::Client;
use crate::{
    error::{Failure, Outcome},
    project::KnownNode,
};

/// Time for one node to present its certificate.
const LOOK_WITHIN: Duration = Duration::from_secs(3);
/// Time for a node to get a new certificate, maybe during an election.
const RENEWED_WITHIN: Duration = Duration::from_secs(15);
/// Time for a node to serve its new certificate: at once, unless it is just starting.
const SERVED_WITHIN: Duration = Duration::from_secs(20);
const BETWEEN: Duration = Duration::from_millis(50);

impl Client {
    /// The certificate chain that a node presents, leaf first, even if it has expired.
    ///
    /// # Errors
    /// The reason why there is no certificate, in words.
    pub(crate) async fn look_at(&self, node: &KnownNode) -> Result<Vec<CertificateInfo>, String> {
        let mut why = String::new();
        for address in [node.outer(), node.address] {
            match disco_identity::look(&address.to_string(), self.identity(), LOOK_WITHIN).await {
                Ok(chain) => match chain.first() {
                    Some(leaf) if leaf.subject == format!("node/{}", node.id) => return Ok(chain),
                    Some(leaf) => why = format!("{} answers at {address}", leaf.subject),
                    None => why = format!("{address} presents no certificate"),
                },
                Err(error) => why = reason(&error),
            }
            if node.public.is_none() {
                break;
            }
        }
        Err(why)
    }

    /// Has a node request a new certificate from the leader, and waits until it serves it. Returns the serial number.
    pub(crate) async fn renew_node(&self, node: &KnownNode) -> Outcome<String> {
        let before = self.look_at(node).await.ok().and_then(|chain| chain.into_iter().next()).map(|leaf| leaf.serial);
        let request = RotateCertificateRequest { node_id: node.id };
        let answer = self
            .call_within(RENEWED_WITHIN, |mut control| async move { control.rotate_certificate(request).await })
            .await?;
        let serial = answer.certificate.unwrap_or_default().serial;
        match self.shows(node, |leaf| before.as_deref() != Some(&leaf.serial)).await {
            // The node has confirmed that the certificate is in use, even if it cannot be reached from here.
            Shows::Expected | Shows::Nothing => Ok(serial),
            Shows::Other => Err(Failure::failed(format!("`{}` still presents its previous certificate", node.name))
                .hint(format!("`disco logs {}` shows why", node.name))),
        }
    }

    /// Waits until a node presents a certificate that is `expected`. A predicate, since the node may get yet another certificate
    /// meanwhile.
    pub(crate) async fn shows(&self, node: &KnownNode, expected: impl Fn(&CertificateInfo) -> bool) -> Shows {
        let deadline = Instant::now() + SERVED_WITHIN;
        loop {
            let seen = match self.look_at(node).await {
                Ok(chain) if chain.first().is_some_and(&expected) => return Shows::Expected,
                Ok(_) => Shows::Other,
                Err(_) => Shows::Nothing,
            };
            if Instant::now() >= deadline {
                return seen;
            }
            tokio::time::sleep(BETWEEN).await;
        }
    }

    /// A warning about this operator's certificate, if one is needed.
    pub(crate) fn own_warning(&self) -> Option<String> {
        let own = self.identity().own();
        let at = rfc3339(own.not_after);
        let ends = match own.validity().phase(unix_now()) {
            Phase::Valid => return None,
            Phase::Early => "is not valid yet: one of the clocks is wrong".to_owned(),
            Phase::Due => format!("expires at {at}"),
            Phase::Expired => format!("expired at {at}"),
        };
        Some(format!("the certificate of {} {ends}; `disco cert rotate --operator` renews it", own.role))
    }
}

/// The certificate that a node finally presents.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Shows {
    /// The expected certificate.
    Expected,
    /// Another certificate.
    Other,
    /// None: the node cannot be reached.
    Nothing,
}

/// A node's addresses; `None` if its address is invalid.
pub(crate) fn known_node(node: &NodeStatus) -> Option<KnownNode> {
    Some(KnownNode {
        id: node.id,
        name: node.name.clone(),
        address: node.address.parse().ok()?,
        public: node.public_address.parse().ok(),
        machine: node.instance.clone(),
        ssh: node.ssh.clone(),
    })
}

/// Formats seconds since 1970 as RFC 3339.
pub(crate) fn rfc3339(seconds: u64) -> String {
    let at = i64::try_from(seconds).ok().and_then(|second| jiff::Timestamp::from_second(second).ok());
    at.map_or_else(|| format!("{seconds} s after 1970"), |at| at.to_string())
}

/// Formats milliseconds since 1970 as RFC 3339, with three digits after the second.
pub(crate) fn rfc3339_millis(millis: u64) -> String {
    let at = i64::try_from(millis).ok().and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
    at.map_or_else(|| format!("{millis} ms after 1970"), |at| format!("{at:.3}"))
}

/// The error with its causes in one line.
fn reason(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
