//! Nodes' certificates as they are served, and new ones.

use std::time::{Duration, Instant};

use disco_identity::{CertificateInfo, Phase, unix_now};
use disco_proto::v1::{NodeStatus, RotateCertificateRequest};

use super::Client;
use crate::{
    error::{Failure, Outcome},
    project::KnownNode,
};

/// Time for one node to show its certificate.
const LOOK_WITHIN: Duration = Duration::from_secs(3);
/// Time for a node to get a new certificate: an election may go on.
const RENEWED_WITHIN: Duration = Duration::from_secs(15);
/// A node that has a new certificate serves it at once; one that is being started takes a moment.
const SERVED_WITHIN: Duration = Duration::from_secs(20);
const BETWEEN: Duration = Duration::from_millis(50);

impl Client {
    /// The certificates that a node shows, leaf first, however old they are.
    ///
    /// # Errors
    /// Why none was seen, in a sentence.
    pub(crate) async fn look_at(&self, node: &KnownNode) -> Result<Vec<CertificateInfo>, String> {
        let mut why = String::new();
        for address in [node.outer(), node.address] {
            match disco_identity::look(&address.to_string(), self.identity(), LOOK_WITHIN).await {
                Ok(chain) => match chain.first() {
                    Some(leaf) if leaf.subject == format!("node/{}", node.id) => return Ok(chain),
                    Some(leaf) => why = format!("{} answers at {address}", leaf.subject),
                    None => why = format!("{address} shows no certificate"),
                },
                Err(error) => why = reason(&error),
            }
            if node.public.is_none() {
                break;
            }
        }
        Err(why)
    }

    /// Has a node get a new certificate from the leader, and waits until it serves it. Gives its serial number.
    pub(crate) async fn renew_node(&self, node: &KnownNode) -> Outcome<String> {
        let before = self.look_at(node).await.ok().and_then(|chain| chain.into_iter().next()).map(|leaf| leaf.serial);
        let request = RotateCertificateRequest { node_id: node.id };
        let answer = self
            .call_within(RENEWED_WITHIN, |mut control| async move { control.rotate_certificate(request).await })
            .await?;
        let serial = answer.certificate.unwrap_or_default().serial;
        match self.shows(node, |leaf| before.as_deref() != Some(&leaf.serial)).await {
            // It has said itself that the certificate is in use; it can only not be reached from here.
            Shows::Wished | Shows::Nothing => Ok(serial),
            Shows::Other => Err(Failure::failed(format!("`{}` still shows the certificate of before", node.name))
                .hint(format!("`disco logs {}` says why", node.name))),
        }
    }

    /// Waits until a node shows a certificate as it is wished. Which one that is cannot be said before, as the node may have
    /// got another one meanwhile.
    pub(crate) async fn shows(&self, node: &KnownNode, wished: impl Fn(&CertificateInfo) -> bool) -> Shows {
        let deadline = Instant::now() + SERVED_WITHIN;
        loop {
            let seen = match self.look_at(node).await {
                Ok(chain) if chain.first().is_some_and(&wished) => return Shows::Wished,
                Ok(_) => Shows::Other,
                Err(_) => Shows::Nothing,
            };
            if Instant::now() >= deadline {
                return seen;
            }
            tokio::time::sleep(BETWEEN).await;
        }
    }

    /// What an operator should know of the own certificate.
    pub(crate) fn own_warning(&self) -> Option<String> {
        let own = self.identity().own();
        let at = rfc3339(own.not_after);
        let ends = match own.validity().phase(unix_now()) {
            Phase::Valid => return None,
            Phase::Early => "is not valid yet: one of the clocks is wrong".to_owned(),
            Phase::Due => format!("ends at {at}"),
            Phase::Expired => format!("has ended at {at}"),
        };
        Some(format!("the certificate of {} {ends}; `disco cert rotate --operator` renews it", own.role))
    }
}

/// What a node shows at last.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Shows {
    /// A certificate as it is wished.
    Wished,
    /// Another one.
    Other,
    /// It cannot be reached.
    Nothing,
}

/// How a node is reached, where its address can be read.
pub(crate) fn known_node(node: &NodeStatus) -> Option<KnownNode> {
    Some(KnownNode {
        id: node.id,
        name: node.name.clone(),
        address: node.address.parse().ok()?,
        public: node.public_address.parse().ok(),
        instance: node.instance.clone(),
        ssh: node.ssh.clone(),
    })
}

/// A moment in seconds since 1970, RFC 3339.
pub(crate) fn rfc3339(seconds: u64) -> String {
    let at = i64::try_from(seconds).ok().and_then(|second| jiff::Timestamp::from_second(second).ok());
    at.map_or_else(|| format!("{seconds} s after 1970"), |at| at.to_string())
}

/// A refusal in the words that are for people, else the error with its causes.
fn reason(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
