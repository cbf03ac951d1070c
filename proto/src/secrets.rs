//! Debug text of messages with private keys and secrets: without these.

use std::fmt;

use crate::v1::{NamedValue, SecretsKeys, TaskValuesResponse, VoterSecrets};

impl fmt::Debug for VoterSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VoterSecrets")
            .field("intermediate_certificate", &self.intermediate_certificate)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SecretsKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretsKeys").field("count", &self.keys.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for NamedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NamedValue").field("kind", &self.kind).field("name", &self.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for TaskValuesResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskValuesResponse").field("count", &self.values.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_text_shows_no_secret() {
        let value = NamedValue { kind: "secret".to_owned(), name: "db".to_owned(), value: "hunter2".into() };
        let texts = [
            format!("{value:?}"),
            format!("{:?}", TaskValuesResponse { values: vec!["hunter2".into()] }),
            format!("{:?}", SecretsKeys { keys: vec!["hunter2".into()] }),
        ];
        // Bytes are shown as text or as numbers.
        assert!(texts.iter().all(|text| !text.contains("hunter2") && !text.contains("104")), "{texts:?}");
    }

    #[test]
    fn debug_text_shows_no_private_key() {
        let secrets = VoterSecrets {
            intermediate_certificate: "public".to_owned(),
            intermediate_key: "private-1".to_owned(),
            ssh_private_key: "private-2".to_owned(),
            secrets_keys: None,
        };
        let text = format!("{secrets:?}");
        assert!(text.contains("public") && !text.contains("private"), "{text}");
    }
}
