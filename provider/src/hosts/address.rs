//! Parsing of `user@host:port`.

use crate::{ProviderError, SshTarget};

/// The default port.
const SSH_PORT: u16 = 22;
/// The default user.
const USER: &str = "root";

/// `[user@]host[:port]` or `[user@]\[v6\][:port]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) user: Option<String>,
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
}

impl Address {
    /// Parses it.
    ///
    /// # Errors
    /// What is wrong.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let bad = |why: &str| format!("`{text}` is not `user@host:port`: {why}");
        let (user, rest) = text.rsplit_once('@').map_or((None, text), |(user, rest)| (Some(user), rest));
        let (host, port) = if let Some(rest) = rest.strip_prefix('[') {
            let (host, rest) = rest.split_once(']').ok_or_else(|| bad("missing `]`"))?;
            (
                host,
                if rest.is_empty() { None } else { Some(rest.strip_prefix(':').ok_or_else(|| bad("text after `]`"))?) },
            )
        } else {
            match rest.split_once(':') {
                Some((_, port)) if port.contains(':') => return Err(bad("put brackets around an IPv6 address")),
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            }
        };
        if user.is_some_and(str::is_empty) || host.is_empty() {
            return Err(bad("user and host must not be empty"));
        }
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(bad("it contains white space"));
        }
        let port = match port.map(str::parse) {
            None => None,
            Some(Ok(0) | Err(_)) => return Err(bad("the port is not a number from 1 to 65535")),
            Some(Ok(port)) => Some(port),
        };
        Ok(Self { user: user.map(str::to_owned), host: host.to_owned(), port })
    }
}

/// Parses `user@host:port` or `user@[v6]:port`; user and port are optional (`root`, 22).
pub(crate) fn parse_host(text: &str) -> Result<SshTarget, ProviderError> {
    let address =
        Address::parse(text).map_err(|reason| ProviderError::Options { what: "HostsProvider.init", reason })?;
    Ok(SshTarget {
        user: address.user.unwrap_or_else(|| USER.to_owned()),
        host: address.host,
        port: address.port.unwrap_or(SSH_PORT),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_all_forms() {
        let show = |text| parse_host(text).unwrap().to_string();
        assert_eq!(show("admin@10.0.0.7:2222"), "admin@10.0.0.7:2222");
        assert_eq!(show("web-1"), "root@web-1:22");
        assert_eq!(show("pi@[fe80::1]:22"), "pi@[fe80::1]:22");
        assert_eq!(show("pi@[fe80::1%eth0]:22"), "pi@[fe80::1%eth0]:22");
    }

    #[test]
    fn refuses_other_text() {
        for text in ["", "@host:22", "user@:22", "user@host:0", "user@host:ssh", "user@fe80::1", "a b@host", "u@[::1"] {
            let error = parse_host(text).unwrap_err().to_string();
            assert!(error.contains("is not `user@host:port`"), "{text}: {error}");
        }
    }
}
