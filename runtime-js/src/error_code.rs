//! What kinds of failure scripts can tell apart.

use std::fmt;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $word:literal,)*) => {
        /// The kind of a failure: `error.code` in a script, the same in `client.js` and `cluster.js`.
        ///
        /// `disco.d.ts` lists the same words as the type `ErrorCode`. Words are never renamed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $($(#[doc = $doc])+ $name,)*
        }

        impl ErrorCode {
            /// All of them, in the order of their words.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The word that scripts see.
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
    /// The script's own signal ended it.
    Aborted = "ABORTED",
    /// A fault of Disco.
    Bug = "BUG",
    /// The call that it belongs to has ended, or what would do it is shutting down.
    Cancelled = "CANCELLED",
    /// The revisions that were asked for are no longer kept.
    Compacted = "COMPACTED",
    /// One transaction changes a key twice.
    DuplicateKey = "DUPLICATE_KEY",
    /// The connection was given up by this machine.
    ConnectionAborted = "ECONNABORTED",
    /// Nothing listens at that address.
    ConnectionRefused = "ECONNREFUSED",
    /// The other end closed the connection.
    ConnectionReset = "ECONNRESET",
    /// There is no way to that machine.
    HostUnreachable = "EHOSTUNREACH",
    /// An address that is none.
    InvalidAddress = "EINVAL",
    /// Another fault of input or output.
    Io = "EIO",
    /// There is no way to that network.
    NetworkUnreachable = "ENETUNREACH",
    /// The name has no address.
    NameNotFound = "ENOTFOUND",
    /// A URL that is none.
    InvalidUrl = "ERR_INVALID_URL",
    /// The network gave up before the time limit did.
    ConnectionTimedOut = "ETIMEDOUT",
    /// Too much is under way already; later it may work.
    Exhausted = "EXHAUSTED",
    /// Something of that name is there already.
    Exists = "EXISTS",
    /// A command of `$` ended with another status than 0.
    Exit = "EXIT",
    /// It failed, and no other code says it better.
    Failed = "FAILED",
    /// The other end does not speak HTTP as it should.
    Http = "HTTP",
    /// An argument or option that can never work.
    Invalid = "INVALID",
    /// There is no such lease; it may have ended.
    LeaseNotFound = "LEASE_NOT_FOUND",
    /// This hook, or whoever asks, may not do it.
    NotAllowed = "NOT_ALLOWED",
    /// What was named does not exist.
    NotFound = "NOT_FOUND",
    /// The store or a disk is full. Nothing was changed.
    NoSpace = "NO_SPACE",
    /// The answer lies outside of what can be given: a revision still to come, or more than fits into one message.
    OutOfRange = "OUT_OF_RANGE",
    /// A redirect that is not to be followed, or one too many.
    Redirect = "REDIRECT",
    /// A guard refused what would lose quorum or data, or the cluster is not in a state for it.
    Refused = "REFUSED",
    /// It failed, and all is as it was before.
    RolledBack = "ROLLED_BACK",
    /// The time limit passed.
    Timeout = "TIMEOUT",
    /// No secure connection could be made.
    Tls = "TLS",
    /// More bytes than may be.
    TooLarge = "TOO_LARGE",
    /// A transaction has more operations than may be.
    TooManyOperations = "TOO_MANY_OPERATIONS",
    /// There was more output than is kept, and all of it was asked for.
    Truncated = "TRUNCATED",
    /// No node answers, or none has a quorum. A write may have happened all the same.
    Unavailable = "UNAVAILABLE",
    /// This version, or this place, cannot do it.
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
