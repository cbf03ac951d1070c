use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

use super::{Printer, line};

/// The progress line of one object: its name, state and elapsed time.
///
/// On a terminal, the line is redrawn in place and stays when the task is done; elsewhere, each change of state is appended. A task
/// that is dropped unfinished removes its line from the terminal.
pub(crate) struct Task(Shown);

/// The line itself, shared by all clones.
#[derive(Clone)]
struct Shown {
    printer: Printer,
    subject: String,
    started: Instant,
    bar: Option<ProgressBar>,
    last_state: Arc<Mutex<String>>,
}

const SPINNER: Duration = Duration::from_millis(100);

impl Task {
    pub(super) fn new(printer: Printer, subject: &str) -> Self {
        let bar = printer.0.live.then(|| {
            let bar = printer.0.bars.add(ProgressBar::new_spinner());
            bar.set_style(template("{spinner:.cyan} {prefix:<20} {msg} {elapsed:.dim}"));
            bar.set_prefix(subject.to_owned());
            bar.enable_steady_tick(SPINNER);
            printer.0.silence.task_begins();
            bar
        });
        Self(Shown { printer, subject: subject.to_owned(), started: Instant::now(), bar, last_state: Arc::default() })
    }

    /// Shows a new state.
    pub(crate) fn state(&self, state: &str) {
        self.0.state(state);
    }

    /// A callback that shows a new state, for crates without access to tasks.
    pub(crate) fn reporter(&self) -> impl Fn(&str) + Send + Sync + 'static {
        let shown = self.0.clone();
        move |state| shown.state(state)
    }

    /// Shows that `done` of `total` bytes are transferred, in the state `what`.
    pub(crate) fn bytes(&self, what: &str, done: u64, total: u64) {
        if let Some(bar) = &self.0.bar {
            bar.set_position(done);
            if bar.length() != Some(total) {
                bar.set_length(total);
                bar.reset_eta();
                bar.set_style(template(
                    "{spinner:.cyan} {prefix:<20} {msg} {bar:24.cyan/dim} {bytes}/{total_bytes} {bytes_per_sec} {elapsed:.dim}",
                ));
            }
            bar.set_message(what.to_owned());
            if done >= total {
                bar.unset_length();
                bar.set_style(template("{spinner:.cyan} {prefix:<20} {msg} {elapsed:.dim}"));
            }
        } else if done == 0 {
            self.0.append(&format!("{what} ({})", HumanBytes(total)));
        }
    }

    pub(crate) fn done(self, state: &str) {
        let mark = self.0.printer.style().good("✔");
        self.0.finish(&mark, state);
    }

    pub(crate) fn failed(self, error: &str) {
        let mark = self.0.printer.style().bad("✘");
        self.0.finish(&mark, error);
    }
}

impl Shown {
    fn state(&self, state: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(state.to_owned()),
            None => self.append(state),
        }
    }

    fn finish(&self, mark: &str, state: &str) {
        let seconds = self.started.elapsed().as_secs_f64();
        match &self.bar {
            Some(bar) => {
                bar.finish_and_clear();
                let time = self.printer.style().dim(&format!("{seconds:.1}s"));
                self.printer.lines(&format!("{mark} {:<20} {state} {time}", self.subject));
            }
            None => self.append(&format!("{state} ({seconds:.1}s)")),
        }
    }

    fn append(&self, state: &str) {
        let mut last = self.last_state.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.printer.0.quiet && *last != state {
            let text = format!("{}: {state}", self.subject);
            self.printer.0.silence.appended(&text);
            line::stamped(&text);
            state.clone_into(&mut last);
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(bar) = &self.0.bar
            && !bar.is_finished()
        {
            bar.finish_and_clear();
        }
        if self.0.bar.is_some() {
            self.0.printer.0.silence.task_ends();
        }
    }
}

fn template(text: &str) -> ProgressStyle {
    ProgressStyle::with_template(text).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
