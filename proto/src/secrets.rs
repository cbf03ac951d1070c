//! Debug text of messages with private keys: without the keys.

use std::fmt;

use crate::v1::VoterSecrets;

impl fmt::Debug for VoterSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VoterSecrets")
            .field("intermediate_certificate", &self.intermediate_certificate)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_text_shows_no_private_key() {
        let secrets = VoterSecrets {
            intermediate_certificate: "public".to_owned(),
            intermediate_key: "private-1".to_owned(),
            ssh_private_key: "private-2".to_owned(),
        };
        let text = format!("{secrets:?}");
        assert!(text.contains("public") && !text.contains("private"), "{text}");
    }
}
