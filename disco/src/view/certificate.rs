use comfy_table::Cell;
use disco_identity::{CertificateInfo, Phase, Validity};
use disco_proto::v1::Certificate;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    client::rfc3339,
    printer::{Style, Table, View, cell},
};

const DAY: i64 = 86_400;
/// Digits of a serial number that a table shows.
const SHOWN: usize = 12;

/// A certificate in `disco cert status -o json`. Fields are added, never renamed.
#[derive(Debug, Serialize)]
pub(crate) struct CertificateView {
    /// A node's, operator's or client's name, `root`, or `signing-key`.
    name: String,
    role: CertificateRole,
    /// The certificate's subject: `node/3`, `operator/anna`.
    subject: Option<String>,
    /// The node's id.
    node: Option<u64>,
    /// `root` or `signing-key`.
    issuer: Option<&'static str>,
    issuer_serial: Option<String>,
    serial: Option<String>,
    not_before: Option<String>,
    not_after: Option<String>,
    /// Whole days, negative after expiry.
    days_left: Option<i64>,
    state: CertificateState,
    /// The source: `tls` from the node itself, `report` from the node's report to the leader, `file` in `.disco/`.
    source: Option<&'static str>,
    reason: Option<String>,
}

/// The role of a certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum CertificateRole {
    Root,
    SigningKey,
    Operator,
    Client,
    Node,
}

/// The state of a certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum CertificateState {
    Valid,
    /// Due for renewal, which nodes do automatically.
    Due,
    Expired,
    /// Not valid yet by this machine's clock.
    NotYet,
    /// Neither the node nor the leader could be asked.
    Unreachable,
}

impl From<Phase> for CertificateState {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Early => Self::NotYet,
            Phase::Valid => Self::Valid,
            Phase::Due => Self::Due,
            Phase::Expired => Self::Expired,
        }
    }
}

impl CertificateView {
    /// A certificate that was read from a file or from the node itself.
    pub(crate) fn read(role: CertificateRole, name: &str, info: &CertificateInfo, signer: Signer, now: u64) -> Self {
        let (issuer, issuer_serial) = signer;
        Self {
            subject: Some(info.subject.clone()),
            node: info.subject.strip_prefix("node/").and_then(|id| id.parse().ok()),
            issuer: Some(issuer),
            issuer_serial,
            source: Some(match role {
                CertificateRole::Root | CertificateRole::Operator | CertificateRole::Client => "file",
                CertificateRole::SigningKey | CertificateRole::Node => "tls",
            }),
            ..Self::dated(role, name, &info.serial, info.validity, now)
        }
    }

    /// A node's certificate, as reported to the leader.
    pub(crate) fn reported(id: u64, name: &str, certificate: &Certificate, reason: String, now: u64) -> Self {
        let validity = Validity { not_before: certificate.not_before, not_after: certificate.not_after };
        let by_root = certificate.signer.is_empty();
        Self {
            subject: Some(format!("node/{id}")),
            node: Some(id),
            issuer: Some(if by_root { "root" } else { "signing-key" }),
            issuer_serial: (!by_root).then(|| certificate.signer.clone()),
            source: Some("report"),
            reason: Some(reason),
            ..Self::dated(CertificateRole::Node, name, &certificate.serial, validity, now)
        }
    }

    /// A node's certificate that is not known.
    pub(crate) fn unreachable(id: u64, name: &str, reason: String) -> Self {
        Self {
            name: name.to_owned(),
            role: CertificateRole::Node,
            subject: Some(format!("node/{id}")),
            node: Some(id),
            issuer: None,
            issuer_serial: None,
            serial: None,
            not_before: None,
            not_after: None,
            days_left: None,
            state: CertificateState::Unreachable,
            source: None,
            reason: Some(reason),
        }
    }

    fn dated(role: CertificateRole, name: &str, serial: &str, validity: Validity, now: u64) -> Self {
        let second = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
        Self {
            name: name.to_owned(),
            role,
            subject: None,
            node: None,
            issuer: None,
            issuer_serial: None,
            serial: Some(serial.to_owned()),
            not_before: Some(rfc3339(validity.not_before)),
            not_after: Some(rfc3339(validity.not_after)),
            days_left: Some(second(validity.not_after).saturating_sub(second(now)).div_euclid(DAY)),
            state: validity.phase(now).into(),
            source: None,
            reason: None,
        }
    }

    /// Marks a valid certificate as due for another reason than its age.
    pub(crate) fn due_because(mut self, reason: &str) -> Self {
        if self.state == CertificateState::Valid {
            self.state = CertificateState::Due;
            self.reason = Some(reason.to_owned());
        }
        self
    }

    pub(crate) fn role(&self) -> CertificateRole {
        self.role
    }

    pub(crate) fn state(&self) -> CertificateState {
        self.state
    }

    fn cells(&self) -> Vec<Cell> {
        let dash = |text: Option<&str>| cell::plain(text.unwrap_or("-"));
        let role = match self.role {
            CertificateRole::Root => "root",
            CertificateRole::SigningKey => "signing key",
            CertificateRole::Operator => "operator",
            CertificateRole::Client => "client",
            CertificateRole::Node => "node",
        };
        let reason = self.reason.as_deref().and_then(|reason| reason.lines().next());
        let why = |state: &str| reason.map_or_else(|| state.to_owned(), |reason| format!("{state}: {reason}"));
        let state = match self.state {
            CertificateState::Valid => cell::good(why("valid")),
            CertificateState::Due => cell::warning(why("due")),
            CertificateState::Expired => cell::bad(why("expired")),
            CertificateState::NotYet => cell::bad(why("not valid yet")),
            CertificateState::Unreachable => cell::bad(why("unreachable")),
        };
        vec![
            cell::plain(&self.name),
            cell::plain(role),
            dash(self.issuer),
            cell::plain(self.days_left.map_or_else(|| "-".to_owned(), |days| format!("{days} d"))),
            dash(self.not_after.as_deref()),
            dash(self.serial.as_deref().map(|serial| serial.get(..SHOWN).unwrap_or(serial))),
            state,
        ]
    }
}

/// The issuer of a certificate: `root` or `signing-key`, and the serial number of the issuer's own certificate.
pub(crate) type Signer = (&'static str, Option<String>);

/// `disco cert status`.
#[derive(Debug)]
pub(crate) struct CertificatesView(pub(crate) Vec<CertificateView>);

impl View for CertificatesView {
    fn json(&self) -> Value {
        json!(self.0)
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|certificate| certificate.name.clone()).collect()
    }

    fn text(&self, style: Style) -> String {
        let mut table = Table::new(style, &["NAME", "ROLE", "ISSUER", "LEFT", "ENDS", "SERIAL", "STATE"])
            .spare(&["SERIAL", "ISSUER", "ENDS"]);
        for certificate in &self.0 {
            table.row(certificate.cells());
        }
        table.text()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(not_after: u64) -> Certificate {
        Certificate { serial: "4f".to_owned(), signer: "5a".to_owned(), not_before: 0, not_after }
    }

    fn view(not_after: u64, now: u64) -> CertificateView {
        CertificateView::reported(3, "web-3", &certificate(not_after), String::new(), now)
    }

    #[test]
    fn days_are_whole_and_negative_after_expiry() {
        let day = 86_400;
        assert_eq!(view(30 * day, 0).days_left, Some(30));
        assert_eq!(view(30 * day, day / 2).days_left, Some(29));
        assert_eq!(view(30 * day, 30 * day).days_left, Some(0));
        assert_eq!(view(30 * day, 30 * day + 1).days_left, Some(-1));
        assert_eq!(view(30 * day, 30 * day + 1).state, CertificateState::Expired);
    }

    #[test]
    fn the_json_document_has_the_fields_that_tools_rely_on() {
        let json = json!(view(2_000_000_000, 1_000));
        assert_eq!(json["not_after"], "2033-05-18T03:33:20Z");
        assert_eq!((&json["role"], &json["state"], &json["node"]), (&json!("node"), &json!("valid"), &json!(3)));
        assert_eq!((&json["issuer"], &json["issuer_serial"]), (&json!("signing-key"), &json!("5a")));
        let json = json!(CertificateView::unreachable(4, "web-4", "no answer".to_owned()));
        assert_eq!((&json["state"], &json["serial"]), (&json!("unreachable"), &Value::Null));
    }
}
