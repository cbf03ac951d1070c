//! What `console` needs from its host.

/// Which method of `console` was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConsoleLevel {
    /// `console.debug`, `console.trace`.
    Debug,
    /// `console.log`, `console.info` and similar methods.
    Info,
    /// `console.warn`.
    Warn,
    /// `console.error`, a failed `console.assert`, and uncaught errors.
    Error,
}

impl ConsoleLevel {
    /// `debug`, `info`, `warn` or `error`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// Receives what scripts write. Called on the script thread: must not block.
pub trait Console: Send + Sync {
    /// One call of a `console` method. `text` may have several lines and does not end with a line break.
    fn write(&self, level: ConsoleLevel, text: &str);
}
