use super::*;

fn token(lifetime: Duration) -> JoinToken {
    let root = Authority::new_root(&ClusterId::random(), "test").unwrap();
    let signer = root.new_intermediate().unwrap();
    let endpoints = vec!["127.0.0.1:5080".parse().unwrap(), "[::1]:5080".parse().unwrap()];
    JoinToken::issue(&signer, root.certificate_pem(), endpoints, "t-1", lifetime).unwrap()
}

#[test]
fn a_token_is_read_as_it_is_written() {
    let token = token(Duration::from_secs(600));
    let text = token.encode();
    assert!(text.starts_with("disco-join-1.") && text.len() < 8192, "{}", text.len());
    assert_eq!(JoinToken::decode(&format!(" {text}\n")).unwrap(), token);
    let own = token.credentials().unwrap().own().clone();
    assert_eq!((own.role, own.not_after), (Role::Join("t-1".into()), token.expires));
}

#[test]
fn a_token_file_is_a_secret() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let token = token(Duration::from_secs(600));
    files::write_public(&path, token.encode().as_bytes()).unwrap();
    assert!(matches!(JoinToken::load(&path), Err(TokenError::File(FileError::OpenPermissions { .. }))));
    files::write_private(&path, token.encode().as_bytes()).unwrap();
    assert_eq!(JoinToken::load(&path).unwrap(), token);
}

#[test]
fn an_expired_token_says_so() {
    let token = token(Duration::from_secs(600));
    token.check_expiry(token.expires).unwrap();
    let error = token.check_expiry(token.expires + 5).unwrap_err();
    assert_eq!(error.to_string(), "the join token expired 5 s ago; make a new one");

    let mut old = token;
    old.expires = unix_now() - 10;
    assert!(matches!(JoinToken::decode(&old.encode()), Err(TokenError::Expired { .. })));
    assert_eq!(JoinToken::decode_any(&old.encode()).unwrap().expires, old.expires);
}

#[test]
fn what_is_wrong_is_named() {
    let text = token(Duration::from_secs(600)).encode();
    assert!(matches!(JoinToken::decode("hello"), Err(TokenError::Prefix)));
    assert!(matches!(JoinToken::decode(""), Err(TokenError::Prefix)));
    assert!(matches!(JoinToken::decode("disco-join-2.abc"), Err(TokenError::Version)));
    assert!(matches!(JoinToken::decode("disco-join-1.ä"), Err(TokenError::Encoding)));
    assert!(matches!(JoinToken::decode("disco-join-1."), Err(TokenError::Content { .. })));
    assert!(matches!(JoinToken::decode(&"x".repeat(MAX_TOKEN + 1)), Err(TokenError::TooLong)));
    let cut = JoinToken::decode(&text[..text.len() / 2 / 4 * 4 + 1]).unwrap_err().to_string();
    assert!(cut.starts_with("the join token is damaged"), "{cut}");
}

#[test]
fn a_token_whose_parts_do_not_belong_together_is_refused() {
    let good = token(Duration::from_secs(600));
    let other = token(Duration::from_secs(600));
    let changed = |change: &dyn Fn(&mut JoinToken)| {
        let mut token = good.clone();
        change(&mut token);
        JoinToken::decode(&token.encode()).unwrap_err()
    };
    assert!(matches!(changed(&|token| token.token_id = "t-2".into()), TokenError::Content { .. }));
    assert!(matches!(changed(&|token| token.cluster_id = other.cluster_id.clone()), TokenError::Content { .. }));
    assert!(matches!(changed(&|token| token.endpoints.clear()), TokenError::Content { .. }));
    assert!(matches!(changed(&|token| token.key.clone_from(&other.key)), TokenError::Credentials(_)));
    assert!(matches!(changed(&|token| token.ca.clear()), TokenError::Credentials(_)));
}

#[test]
fn no_damage_panics_or_shows_the_key() {
    let token = token(Duration::from_secs(600));
    let text = token.encode();
    let secret = token.key.lines().nth(1).unwrap().to_owned();
    for at in (0..text.len()).step_by(7) {
        let mut damaged = text.clone().into_bytes();
        damaged[at] = if damaged[at] == b'A' { b'B' } else { b'A' };
        for text in [String::from_utf8(damaged).unwrap(), text[..at].to_owned()] {
            if let Err(error) = JoinToken::decode(&text) {
                assert!(!format!("{error} {error:?}").contains(&secret));
            }
        }
    }
    assert!(!format!("{token:?}").contains(&secret));
}
