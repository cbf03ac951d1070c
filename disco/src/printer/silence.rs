//! No command is silent for long: after two seconds without output it says what it waits for.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::{Printer, Task};

/// Longest time without output.
const SILENT: Duration = Duration::from_secs(2);
/// Longest time between two lines that say the same, where lines are only appended.
const LONGEST: Duration = Duration::from_mins(1);

/// When the command last showed something, and what it waits for.
pub(super) struct Silence(Mutex<State>);

struct State {
    since: Instant,
    waits_for: Option<String>,
    /// Progress lines on the terminal: they move, so nothing is silent.
    tasks: usize,
    /// A question waits for the operator.
    asking: bool,
    /// The line that breaks the silence.
    line: Option<Task>,
}

impl Silence {
    pub(super) fn new() -> Self {
        let since = Instant::now();
        Self(Mutex::new(State { since, waits_for: None, tasks: 0, asking: false, line: None }))
    }

    pub(super) fn broken(&self) {
        self.with(|state| state.since = Instant::now());
    }

    pub(super) fn task_begins(&self) {
        self.with(|state| state.tasks += 1);
    }

    pub(super) fn task_ends(&self) {
        self.with(|state| {
            state.tasks = state.tasks.saturating_sub(1);
            state.since = Instant::now();
        });
    }

    pub(super) fn asking(&self, asking: bool) {
        self.with(|state| {
            state.asking = asking;
            state.since = Instant::now();
        });
    }

    /// Held for a few instructions, and never while something is printed.
    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Printer {
    /// Notes what the command waits for, in case that it takes long.
    pub(crate) fn waits_for(&self, what: Option<&str>) {
        self.0.silence.with(|state| state.waits_for = what.map(str::to_owned));
    }

    /// Says what the command waits for, whenever it has shown nothing for two seconds. Never returns.
    pub(crate) async fn break_silence(self) {
        let mut longest = SILENT;
        loop {
            tokio::time::sleep(SILENT / 10).await;
            let due = self.0.silence.with(|state| {
                if state.tasks > 0 || state.asking || state.since.elapsed() < longest {
                    return None;
                }
                Some(state.waits_for.clone().unwrap_or_else(|| "still working".to_owned()))
            });
            let Some(what) = due else { continue };
            if self.0.live {
                // The lock is free meanwhile: the new line counts itself.
                let line = self.task("waiting");
                line.state(&what);
                self.0.silence.with(|state| state.line = Some(line));
            } else {
                self.note(&format!("waiting: {what}"));
                longest = (longest * 2).min(LONGEST);
            }
        }
    }

    /// Removes the line that broke the silence, when the command has ended.
    pub(crate) fn end_silence(&self) {
        // Dropped without the lock: the line counts itself.
        drop(self.0.silence.with(|state| state.line.take()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_progress_line_and_a_question_are_no_silence() {
        let silence = Silence::new();
        silence.task_begins();
        silence.asking(true);
        assert_eq!(silence.with(|state| (state.tasks, state.asking)), (1, true));
        silence.task_ends();
        silence.asking(false);
        assert_eq!(silence.with(|state| (state.tasks, state.asking)), (0, false));
    }
}
