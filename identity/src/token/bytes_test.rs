//! Texts that are not tokens, and damaged tokens.

use proptest::prelude::*;

use super::*;

fn token() -> String {
    static TOKEN: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    let made = TOKEN.get_or_init(|| {
        let root = Authority::new_root(&ClusterId::random(), "test").unwrap();
        let signer = root.new_intermediate().unwrap();
        let endpoints = vec!["127.0.0.1:5080".parse().unwrap()];
        let lifetime = Duration::from_secs(3600);
        JoinToken::issue(&signer, root.certificate_pem(), endpoints, "t-1", lifetime).unwrap().encode()
    });
    made.clone()
}

proptest! {
    #[test]
    fn any_text_is_a_token_or_none(text in ".{0,200}", content in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(JoinToken::decode_any(&text).is_err());
        let text = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(content));
        prop_assert!(JoinToken::decode_any(&text).is_err());
    }

    /// Changed JSON within: an error that shows nothing of the key, or a token that can be used.
    #[test]
    fn a_changed_token_is_refused_or_sound(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let whole = token();
        let mut json = URL_SAFE_NO_PAD.decode(whole.strip_prefix(PREFIX).unwrap()).unwrap();
        for (place, byte) in changes {
            let at = place.index(json.len());
            json[at] = byte;
        }
        match JoinToken::decode_any(&format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(&json))) {
            Ok(read) => prop_assert!(read.credentials().is_ok()),
            Err(error) => {
                let shown = format!("{error:?}");
                prop_assert!(!shown.contains("PRIVATE"));
            }
        }
    }

    #[test]
    fn a_token_that_was_cut_is_refused(cut in any::<prop::sample::Index>()) {
        let whole = token();
        prop_assert!(JoinToken::decode_any(&whole[..cut.index(whole.len())]).is_err());
    }
}

/// A text longer than any token is refused before it is parsed.
#[test]
fn a_long_text_is_refused_by_its_length() {
    let long = format!("{PREFIX}{}", "A".repeat(MAX_TOKEN));
    assert!(matches!(JoinToken::decode_any(&long), Err(TokenError::TooLong)));
}
