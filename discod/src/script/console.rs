//! The target of scripts' `console`: the node's log, and for a deployment the operator's terminal as well.

use std::sync::atomic::{AtomicU64, Ordering};

use disco_proto::v1::DeployOutput;
use disco_proto::v1::deploy_output::{Line, Output};
use disco_runtime_js::console::{Console, ConsoleLevel};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

/// Longest text that is passed on as one piece.
const TEXT_BYTES: usize = 64 << 10;

/// Writes to the node's log, with the hook's name.
#[derive(Debug)]
pub(super) struct HookConsole {
    hook: &'static str,
}

/// Writes to the log and to the client that follows the deployment. Called on the script thread, so it never waits: it
/// counts lines that do not fit into the queue, and sends the client their number.
#[derive(Debug)]
pub(super) struct RunConsole {
    log: HookConsole,
    follower: mpsc::Sender<DeployOutput>,
    lost: AtomicU64,
}

// === impl HookConsole ===

impl HookConsole {
    pub(super) fn new(hook: &'static str) -> Self {
        Self { hook }
    }
}

impl Console for HookConsole {
    fn write(&self, level: ConsoleLevel, text: &str) {
        let hook = self.hook;
        match level {
            ConsoleLevel::Debug => tracing::debug!(target: "script", hook, "{text}"),
            ConsoleLevel::Info => tracing::info!(target: "script", hook, "{text}"),
            ConsoleLevel::Warn => tracing::warn!(target: "script", hook, "{text}"),
            ConsoleLevel::Error => tracing::error!(target: "script", hook, "{text}"),
        }
    }
}

// === impl RunConsole ===

impl RunConsole {
    pub(super) fn new(hook: &'static str, follower: mpsc::Sender<DeployOutput>) -> Self {
        Self { log: HookConsole::new(hook), follower, lost: AtomicU64::new(0) }
    }

    fn tell_loss(&self) {
        let lost = self.lost.load(Ordering::Relaxed);
        if lost > 0
            && self.follower.try_send(line("warn", &format!("({lost} lines dropped: too many at once)"))).is_ok()
        {
            self.lost.fetch_sub(lost, Ordering::Relaxed);
        }
    }
}

impl Console for RunConsole {
    fn write(&self, level: ConsoleLevel, text: &str) {
        self.log.write(level, text);
        self.tell_loss();
        if let Err(TrySendError::Full(_)) = self.follower.try_send(line(level.as_str(), cut(text))) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn line(level: &str, text: &str) -> DeployOutput {
    let line = Line { level: level.to_owned(), text: text.to_owned() };
    DeployOutput { output: Some(Output::Line(line)) }
}

/// The beginning of the text, up to the limit.
pub(super) fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(output: DeployOutput) -> String {
        match output.output {
            Some(Output::Line(line)) => format!("{}: {}", line.level, line.text),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn a_slow_follower_learns_how_much_it_missed() {
        let (sender, mut receiver) = mpsc::channel(2);
        let console = RunConsole::new("deploy", sender);
        for number in 1..=5 {
            console.write(ConsoleLevel::Info, &number.to_string());
        }
        assert_eq!(text(receiver.try_recv().unwrap()), "info: 1");
        assert_eq!(text(receiver.try_recv().unwrap()), "info: 2");
        console.write(ConsoleLevel::Error, "last");
        assert_eq!(text(receiver.try_recv().unwrap()), "warn: (3 lines dropped: too many at once)");
        assert_eq!(text(receiver.try_recv().unwrap()), "error: last");
        drop(receiver);
        console.write(ConsoleLevel::Info, "nobody listens");
    }

    #[test]
    fn a_huge_text_is_cut_between_characters() {
        assert_eq!(cut(&"ä".repeat(TEXT_BYTES)).len(), TEXT_BYTES);
        assert_eq!(cut(&format!("x{}", "ä".repeat(TEXT_BYTES))).len(), TEXT_BYTES - 1);
    }
}
