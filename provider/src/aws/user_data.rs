//! The user data of a machine: authorized keys and its host key, so that the key is known before the first
//! connection. cloud-init reads it, which Amazon Linux, Debian, Ubuntu and most others have.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::error::CloudError;
use crate::ssh::KeyPair;

/// The service's limit, before base64.
const LONGEST: usize = 16 * 1024;
/// The boundary between the parts; no part contains it, as ours is JSON and no line of the user's part has this form.
const BOUNDARY: &str = "==disco-2f1c8a90b7d64e35==";

/// The user data, in base64, with the user's own beside ours.
pub(super) fn encode(host_key: &KeyPair, authorized_keys: &[String], own: Option<&str>) -> Result<String, CloudError> {
    let ours = cloud_config(host_key, authorized_keys);
    let text = match own {
        None => ours,
        Some(own) => format!(
            "Content-Type: multipart/mixed; boundary=\"{BOUNDARY}\"\nMIME-Version: 1.0\n\n{}{}--{BOUNDARY}--\n",
            part("text/cloud-config", &ours),
            part(kind(own), own),
        ),
    };
    if text.len() > LONGEST {
        return Err(CloudError::UserData { size: text.len() });
    }
    Ok(STANDARD.encode(text))
}

/// JSON is YAML. Root may log in, as Disco installs a system service.
fn cloud_config(host_key: &KeyPair, authorized_keys: &[String]) -> String {
    let config = json!({
        "disable_root": false,
        "ssh_pwauth": false,
        "ssh_deletekeys": true,
        "ssh_keys": { "ed25519_private": host_key.private_openssh(), "ed25519_public": host_key.public_openssh() },
        "ssh_authorized_keys": authorized_keys,
    });
    format!("#cloud-config\n{config}\n")
}

fn part(kind: &str, content: &str) -> String {
    format!(
        "--{BOUNDARY}\nContent-Type: {kind}; charset=\"utf-8\"\nMIME-Version: 1.0\n\
         Merge-Type: list(append)+dict(no_replace,recurse_list)+str()\n\n{content}\n"
    )
}

/// The MIME type for cloud-init, derived from the first line, as cloud-init does.
fn kind(content: &str) -> &'static str {
    let first = content.trim_start().lines().next().unwrap_or_default();
    match first {
        line if line.starts_with("#!") => "text/x-shellscript",
        line if line.starts_with("#cloud-config") => "text/cloud-config",
        line if line.starts_with("#cloud-boothook") => "text/cloud-boothook",
        line if line.starts_with("#include") => "text/x-include-url",
        line if line.starts_with("## template:") => "text/jinja2",
        _ => "text/plain",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(own: Option<&str>) -> (KeyPair, String) {
        let key = KeyPair::generate("host").unwrap();
        let text = encode(&key, &["ssh-ed25519 AAAA me".to_owned()], own).unwrap();
        (key, String::from_utf8(STANDARD.decode(text).unwrap()).unwrap())
    }

    #[test]
    fn cloud_init_is_given_the_host_key_and_who_may_log_in() {
        let (key, text) = decoded(None);
        let json: serde_json::Value = serde_json::from_str(text.strip_prefix("#cloud-config\n").unwrap()).unwrap();
        assert_eq!(json["ssh_keys"]["ed25519_private"], key.private_openssh());
        assert_eq!(json["ssh_keys"]["ed25519_public"], key.public_openssh());
        assert_eq!(json["ssh_authorized_keys"][0], "ssh-ed25519 AAAA me");
        assert_eq!(json["disable_root"], false);
    }

    #[test]
    fn the_users_own_comes_as_a_second_part() {
        let (_, text) = decoded(Some("#!/bin/sh\necho hello"));
        assert!(text.starts_with("Content-Type: multipart/mixed"), "{text}");
        assert!(text.contains("text/cloud-config") && text.contains("text/x-shellscript"), "{text}");
        assert!(text.contains("echo hello\n--=="), "{text}");
    }

    #[test]
    fn what_is_too_long_is_refused_before_it_is_sent() {
        let key = KeyPair::generate("host").unwrap();
        let error = encode(&key, &[], Some(&"x".repeat(LONGEST))).unwrap_err();
        assert!(matches!(error, CloudError::UserData { .. }), "{error}");
    }
}
