//! Warnings about certificates for the operator.

use disco_identity::{CertificateInfo, Phase, Validity, unix_now};
use disco_proto::v1::{Certificate, NodeStatus};

use super::is_due;

/// Warns of certificates that were not renewed in time, and of the signing key's end.
#[must_use]
pub fn warnings(nodes: &[NodeStatus], signing_key: Option<&CertificateInfo>) -> Vec<String> {
    let now = unix_now();
    let key = signing_key.filter(|key| is_due(key)).map(|key| {
        let replaced = "the operator who holds `.disco/ca.key` can replace it with `disco cert rotate --signing-key`";
        format!("the signing key {}; {replaced}", ends(key.validity, now))
    });
    let late = nodes.iter().filter_map(|node| Some((node, validity(node.certificate.as_ref()?))));
    let late = late.filter(|(_, validity)| validity.is_overdue(now)).map(|(node, validity)| {
        let name = &node.name;
        format!(
            "the certificate of `{name}` {} and was not renewed; `disco cert rotate {name}` shows why",
            ends(validity, now)
        )
    });
    key.into_iter().chain(late).collect()
}

fn validity(certificate: &Certificate) -> Validity {
    Validity { not_before: certificate.not_before, not_after: certificate.not_after }
}

fn ends(validity: Validity, now: u64) -> String {
    let at = i64::try_from(validity.not_after).ok().and_then(|second| jiff::Timestamp::from_second(second).ok());
    let at = at.map_or_else(|| "at an unknown time".to_owned(), |at| format!("at {at}"));
    if validity.phase(now) == Phase::Expired { format!("has ended {at}") } else { format!("ends {at}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    fn node(name: &str, left: i64) -> NodeStatus {
        let not_after = unix_now().checked_add_signed(left).unwrap();
        let certificate = Certificate { not_before: not_after - 30 * DAY, not_after, ..Certificate::default() };
        NodeStatus { name: name.to_owned(), certificate: Some(certificate), ..NodeStatus::default() }
    }

    #[test]
    fn certificates_that_renew_in_time_cause_no_warning() {
        let day = 86_400;
        let nodes = [node("new", 30 * day), node("due", 9 * day), node("late", 4 * day), node("gone", -day)];
        let warnings = warnings(&nodes, None);
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings[0].starts_with("the certificate of `late` ends at "), "{warnings:?}");
        assert!(warnings[1].starts_with("the certificate of `gone` has ended at "), "{warnings:?}");
        assert!(warnings[1].contains("`disco cert rotate gone`"), "{warnings:?}");
    }

    #[test]
    fn a_node_without_a_report_causes_no_warning() {
        assert_eq!(warnings(&[NodeStatus::default()], None), Vec::<String>::new());
    }
}
