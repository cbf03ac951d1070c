//! The daemon's own log: to standard error, and the last lines in memory for `disco logs`.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::Arc;

use disco_proto::v1::LogLine;
use parking_lot::Mutex;
use tokio::sync::watch;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt};

/// The default filter. Nodes try to reach a missing node several times a second, and openraft logs each attempt, which
/// would displace all other lines in memory; other parts of the daemon log the failure once.
pub const FILTER: &str = "info,openraft=warn,openraft::core::heartbeat=error,openraft::core::raft_core=error,\
    openraft::replication=error,openraft::engine::handler::replication_handler=error";

/// Number of lines held in memory, and the length of the longest one.
const LINES: usize = 500;
const LINE_BYTES: usize = 1000;

/// The last lines. Cheap to clone.
#[derive(Clone)]
pub struct Logs {
    ring: Arc<Mutex<Ring>>,
    written: Arc<watch::Sender<u64>>,
}

struct Ring {
    lines: VecDeque<LogLine>,
    /// Number of lines ever written.
    count: u64,
}

// === impl Logs ===

impl Logs {
    /// Starts logging for the whole process.
    ///
    /// # Errors
    /// The filter cannot be understood.
    pub fn start(filter: &str) -> anyhow::Result<Self> {
        let filter =
            EnvFilter::try_new(filter).map_err(|error| anyhow::anyhow!("invalid log filter `{filter}`: {error}"))?;
        let logs = Self {
            ring: Arc::new(Mutex::new(Ring { lines: VecDeque::new(), count: 0 })),
            written: Arc::new(watch::Sender::new(0)),
        };
        tracing_subscriber::registry()
            .with(filter)
            .with(fmt::layer().with_writer(std::io::stderr).with_ansi(false))
            .with(Memory(logs.clone()))
            .try_init()?;
        Ok(logs)
    }

    /// The lines from the given position on, at most the newest `limit`, and the position after them.
    #[must_use]
    pub fn since(&self, position: u64, limit: usize) -> (Vec<LogLine>, u64) {
        let ring = self.ring.lock();
        let oldest = ring.count - ring.lines.len() as u64;
        let skip = usize::try_from(position.saturating_sub(oldest)).unwrap_or(usize::MAX);
        let skip = skip.max(ring.lines.len().saturating_sub(limit));
        (ring.lines.iter().skip(skip).cloned().collect(), ring.count)
    }

    /// Notifies whenever a line was written.
    #[must_use]
    pub fn written(&self) -> watch::Receiver<u64> {
        self.written.subscribe()
    }

    fn push(&self, line: LogLine) {
        let mut ring = self.ring.lock();
        if ring.lines.len() == LINES {
            ring.lines.pop_front();
        }
        ring.lines.push_back(line);
        ring.count += 1;
        self.written.send_replace(ring.count);
    }
}

struct Memory(Logs);

impl<S: Subscriber> Layer<S> for Memory {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        let mut text = format!("{}{}", text.message, text.fields);
        if text.len() > LINE_BYTES {
            let cut = (0..=LINE_BYTES).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            text.truncate(cut);
            text.push('…');
        }
        self.0.push(LogLine {
            node_id: 0,
            time: crate::clock::rfc3339(),
            level: event.metadata().level().as_str().to_lowercase(),
            target: event.metadata().target().to_owned(),
            text,
        });
    }
}

/// An event as one line.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Writing to a string cannot fail.
        let _ = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            write!(self.fields, " {}={value:?}", field.name())
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let _ = if field.name() == "message" {
            write!(self.message, "{value}")
        } else {
            write!(self.fields, " {}={value}", field.name())
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_logged_by_default_can_be_read() {
        let filter = EnvFilter::builder().parse(FILTER).unwrap().to_string();
        assert_eq!(filter.split(',').count(), FILTER.split(',').count(), "{filter}");
    }
}
