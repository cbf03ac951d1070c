use std::{collections::BTreeMap, time::Duration};

use disco_identity::{CertificateInfo, read_limited, unix_now};
use disco_proto::v1::StatusResponse;
use futures_util::future::join_all;

use crate::{
    client::{CA_CERTIFICATE, Client, OPERATOR_CERTIFICATE, known_node},
    context::Context,
    error::{Failure, Outcome},
    exit::ExitStatus,
    founding::client_certificates,
    project::{Addresses, KnownNode},
    view::{CertificateRole, CertificateState, CertificateView, CertificatesView},
};

/// Short: the leader only adds certificates of nodes that cannot be reached from here.
const PATIENCE: Duration = Duration::from_secs(2);
/// Maximum size of a certificate file.
const LONGEST: u64 = 64 << 10;

pub(crate) async fn run(context: &Context) -> Outcome<ExitStatus> {
    let client = Client::open(context)?;
    let view = gather(&client, context).await?;
    let exit = exit(&view);
    context.printer.show(&view)?;
    Ok(exit)
}

/// The exit status for monitoring scripts: expired before unreachable.
fn exit(view: &CertificatesView) -> ExitStatus {
    let mut nodes = view.0.iter().filter(|certificate| certificate.role() == CertificateRole::Node).peekable();
    if view.0.iter().any(|certificate| certificate.state() == CertificateState::Expired) {
        ExitStatus::Failed
    } else if nodes.peek().is_some() && nodes.all(|node| node.state() == CertificateState::Unreachable) {
        ExitStatus::Unreachable
    } else {
        ExitStatus::Done
    }
}

/// Collects all certificates in use: those the nodes serve or have reported to the leader, and those in `.disco/`.
pub(super) async fn gather(client: &Client, context: &Context) -> Outcome<CertificatesView> {
    let now = unix_now();
    let state = context.project()?.state();
    let root = first(&state.file(CA_CERTIFICATE))?;
    let operator = first(&state.file(OPERATOR_CERTIFICATE))?;
    let status = client.with_patience(PATIENCE).status(false).await.ok();
    let nodes = match &status {
        Some(status) => status.nodes.iter().filter_map(known_node).collect(),
        None => Addresses::load(&state)?.nodes,
    };
    let looks = join_all(nodes.iter().map(|node| client.look_at(node))).await;

    let by_root = ("root", Some(root.serial.clone()));
    let mut rows = vec![CertificateView::read(CertificateRole::Root, "root", &root, by_root.clone(), now)];
    let keys = looks.iter().flatten().filter_map(|chain| chain.get(1)).map(|key| (key.serial.as_str(), key));
    let stale = status.as_ref().is_some_and(|status| status.signing_key_stale);
    for key in keys.collect::<BTreeMap<_, _>>().into_values() {
        let row = CertificateView::read(CertificateRole::SigningKey, "signing-key", key, by_root.clone(), now);
        rows.push(if stale { row.due_because("a removed node had the key") } else { row });
    }
    let name = operator.subject.strip_prefix("operator/").unwrap_or(&operator.subject);
    rows.push(CertificateView::read(CertificateRole::Operator, name, &operator, by_root.clone(), now));
    for file in client_certificates(&state)? {
        let client = first(&state.file(&file))?;
        let name = client.subject.strip_prefix("client/").unwrap_or(&client.subject);
        rows.push(CertificateView::read(CertificateRole::Client, name, &client, by_root.clone(), now));
    }
    for (node, look) in nodes.iter().zip(looks) {
        rows.push(match look {
            Ok(chain) => of_node(node, &chain, &by_root, now),
            Err(reason) => reported(node, status.as_ref(), reason, now),
        });
    }
    Ok(CertificatesView(rows))
}

fn of_node(
    node: &KnownNode,
    chain: &[CertificateInfo],
    by_root: &(&'static str, Option<String>),
    now: u64,
) -> CertificateView {
    let signer = chain.get(1).map_or_else(|| by_root.clone(), |key| ("signing-key", Some(key.serial.clone())));
    match chain.first() {
        Some(leaf) => CertificateView::read(CertificateRole::Node, &node.name, leaf, signer, now),
        None => CertificateView::unreachable(node.id, &node.name, "it presents no certificate".to_owned()),
    }
}

/// A node that cannot be reached from here may have reported its certificate to the leader.
fn reported(node: &KnownNode, status: Option<&StatusResponse>, reason: String, now: u64) -> CertificateView {
    let status = status.and_then(|status| status.nodes.iter().find(|status| status.id == node.id));
    match status.and_then(|status| status.certificate.as_ref()) {
        Some(certificate) => CertificateView::reported(node.id, &node.name, certificate, reason, now),
        None => CertificateView::unreachable(node.id, &node.name, reason),
    }
}

/// The first certificate of a file.
fn first(path: &std::path::Path) -> Outcome<CertificateInfo> {
    let failed = |error: &dyn std::error::Error| {
        Failure::usage(format!("cannot read the certificate `{}`", path.display()))
            .because(error)
            .hint("`disco doctor` shows details")
    };
    let text = read_limited(path, LONGEST).map_err(|error| failed(&error))?;
    let chain = CertificateInfo::chain_from_pem(&text).map_err(|error| failed(&error))?;
    chain.into_iter().next().ok_or_else(|| Failure::usage(format!("no certificate in `{}`", path.display())))
}
