//! The error codes that scripts see.

use std::fmt;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $word:literal,)*) => {
        /// The kind of a failure: `error.code` in a script, the same in `client.js` and `cluster.js`.
        ///
        /// `disco.d.ts` lists the same codes as the type `ErrorCode`. Codes are never renamed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $($(#[doc = $doc])+ $name,)*
        }

        impl ErrorCode {
            /// All codes, in alphabetical order.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The code as scripts see it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }
        }
    };
}

codes! {
    /// The script's own signal aborted it.
    Aborted = "ABORTED",
    /// A bug in Disco.
    Bug = "BUG",
    /// Its call has ended, or the process is shutting down.
    Cancelled = "CANCELLED",
    /// The requested revisions are compacted.
    Compacted = "COMPACTED",
    /// A transaction changes the same key twice.
    DuplicateKey = "DUPLICATE_KEY",
    /// This machine aborted the connection.
    ConnectionAborted = "ECONNABORTED",
    /// Nothing listens at that address.
    ConnectionRefused = "ECONNREFUSED",
    /// The other end closed the connection.
    ConnectionReset = "ECONNRESET",
    /// No route to that machine.
    HostUnreachable = "EHOSTUNREACH",
    /// An invalid address.
    InvalidAddress = "EINVAL",
    /// Another I/O error.
    Io = "EIO",
    /// No route to that network.
    NetworkUnreachable = "ENETUNREACH",
    /// The name has no address.
    NameNotFound = "ENOTFOUND",
    /// An invalid URL.
    InvalidUrl = "ERR_INVALID_URL",
    /// The operating system's own network time limit passed first.
    ConnectionTimedOut = "ETIMEDOUT",
    /// A limit on concurrent operations or another resource is reached; a retry may succeed.
    Exhausted = "EXHAUSTED",
    /// It already exists.
    Exists = "EXISTS",
    /// A command of `$` ended with a status other than 0.
    Exit = "EXIT",
    /// A failure without a more specific code.
    Failed = "FAILED",
    /// The other end violated the HTTP protocol.
    Http = "HTTP",
    /// An invalid argument or option.
    Invalid = "INVALID",
    /// The lease does not exist; it may have expired.
    LeaseNotFound = "LEASE_NOT_FOUND",
    /// This hook, or the caller, is not permitted to do it.
    NotAllowed = "NOT_ALLOWED",
    /// The named object does not exist.
    NotFound = "NOT_FOUND",
    /// The store or a disk is full. Nothing was changed.
    NoSpace = "NO_SPACE",
    /// Out of range: a future revision, or more than fits into one message.
    OutOfRange = "OUT_OF_RANGE",
    /// A redirect that must not be followed, or too many redirects.
    Redirect = "REDIRECT",
    /// Refused because it would lose quorum or data, or because the cluster is not in a state for it.
    Refused = "REFUSED",
    /// It failed and was rolled back.
    RolledBack = "ROLLED_BACK",
    /// The time limit passed.
    Timeout = "TIMEOUT",
    /// The TLS connection failed.
    Tls = "TLS",
    /// More bytes than allowed.
    TooLarge = "TOO_LARGE",
    /// A transaction has more operations than allowed.
    TooManyOperations = "TOO_MANY_OPERATIONS",
    /// The complete output was requested, but part of it was dropped.
    Truncated = "TRUNCATED",
    /// No node answers, or none has a quorum. The outcome of a write is unknown.
    Unavailable = "UNAVAILABLE",
    /// Not supported by this version, or not available here.
    Unsupported = "UNSUPPORTED",
}

impl ErrorCode {
    /// The kind of a gRPC status, by its number and message. Here, so that `disco` and `discod` agree.
    #[must_use]
    pub fn from_grpc(code: i32, message: &str) -> Self {
        match code {
            // A limit of the transport, which has no number of its own.
            8 | 11 if message.contains("message length too large") => Self::TooLarge,
            1 | 10 | 14 => Self::Unavailable,
            3 => Self::Invalid,
            4 => Self::Timeout,
            5 => Self::NotFound,
            6 => Self::Exists,
            7 | 16 => Self::NotAllowed,
            8 => Self::Exhausted,
            9 => Self::Refused,
            11 => Self::OutOfRange,
            12 => Self::Unsupported,
            _ => Self::Failed,
        }
    }

    /// The kind of a refusal by the store, by its name in the wire format (`REFUSAL_TOO_LARGE`).
    #[must_use]
    pub fn from_refusal(name: &str) -> Self {
        match name.trim_start_matches("REFUSAL_") {
            "EMPTY_KEY" | "INVALID" => Self::Invalid,
            "DUPLICATE_KEY" => Self::DuplicateKey,
            "LEASE_NOT_FOUND" => Self::LeaseNotFound,
            "LEASE_EXISTS" => Self::Exists,
            "COMPACTED" => Self::Compacted,
            "FUTURE_REVISION" => Self::OutOfRange,
            "KEY_NOT_FOUND" => Self::NotFound,
            "STALE_TERM" => Self::Unavailable,
            "TOO_LARGE" => Self::TooLarge,
            "NO_SPACE" => Self::NoSpace,
            "TOO_MANY_OPERATIONS" => Self::TooManyOperations,
            _ => Self::Refused,
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::ErrorCode;
    use crate::DISCO_D_TS;

    /// The words of the type in `disco.d.ts`.
    fn declared() -> Vec<&'static str> {
        let (_, after) = DISCO_D_TS.split_once("type ErrorCode =").expect("the type is declared");
        let (body, _) = after.split_once("\n;").expect("it ends");
        body.lines().filter_map(|line| line.trim().strip_prefix("| \"")?.strip_suffix('"')).collect()
    }

    #[test]
    fn the_types_list_the_same_words() {
        let words: Vec<&str> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(declared(), words, "left: disco.d.ts, right: error_code.rs");
        let mut sorted = words.clone();
        sorted.sort_unstable();
        assert_eq!(words, sorted, "in the order of their words");
    }

    /// What the JavaScript of the globals gives as a code is one of them, too.
    #[test]
    fn the_globals_use_no_other_words() {
        let own = ["GET", "HEAD", "JSON", "POST", "URL"];
        for (file, text) in [
            ("abort.js", include_str!("abort/abort.js")),
            ("cluster.js", include_str!("cluster/cluster.js")),
            ("context.js", include_str!("engine/context.js")),
            ("failure.js", include_str!("engine/failure.js")),
            ("guards.js", include_str!("engine/guards.js")),
            ("invoke.js", include_str!("engine/invoke.js")),
            ("kv.js", include_str!("kv/kv.js")),
            ("net.js", include_str!("net/net.js")),
            ("process.js", include_str!("process/process.js")),
            ("timers.js", include_str!("timers/timers.js")),
            ("url.js", include_str!("url/url.js")),
        ] {
            let words = text.split('"').skip(1).step_by(2).filter(|word| {
                word.len() > 2 && word.chars().all(|letter| letter.is_ascii_uppercase() || letter == '_')
            });
            for word in words {
                let known = ErrorCode::ALL.iter().any(|code| code.as_str() == word);
                assert!(
                    known || own.contains(&word),
                    "{file}: `{word}` is no code: add it to error_code.rs and disco.d.ts"
                );
            }
        }
    }

    #[test]
    fn limits_of_the_transport_are_told_from_others() {
        let large = "Error, decoded message length too large: found 20 bytes, the limit is: 10 bytes";
        assert_eq!(ErrorCode::from_grpc(11, large), ErrorCode::TooLarge);
        assert_eq!(ErrorCode::from_grpc(11, "revision 7 is after 3"), ErrorCode::OutOfRange);
        assert_eq!(ErrorCode::from_grpc(4, ""), ErrorCode::Timeout);
    }
}
