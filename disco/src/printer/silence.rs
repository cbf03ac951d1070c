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
    /// Time without output after which the next line comes, where lines are only appended.
    longest: Duration,
    waits_for: Option<String>,
    /// The last state of an object that was appended: what is known where nothing says what the command waits for.
    last_state: Option<String>,
    /// Progress lines on the terminal, that of this module among them: they move, so nothing is silent.
    tasks: usize,
    /// A question waits for the operator.
    asking: bool,
    /// The line that breaks the silence.
    line: Option<Task>,
}

/// What is to be done about the silence.
enum Turn {
    /// Show what the command waits for, in the line if there is one.
    Speak(String, Option<Task>),
    /// Remove the line, if there is one: something else is shown.
    Stop(Option<Task>),
}

// === impl Silence ===

impl Silence {
    pub(super) fn new() -> Self {
        let (since, longest) = (Instant::now(), SILENT);
        let (waits_for, last_state, line) = (None, None, None);
        Self(Mutex::new(State { since, longest, waits_for, last_state, tasks: 0, asking: false, line }))
    }

    /// Something was shown.
    pub(super) fn broken(&self) {
        self.with(|state| state.since = Instant::now());
    }

    /// The state of an object was appended.
    pub(super) fn appended(&self, line: &str) {
        self.with(|state| {
            state.since = Instant::now();
            state.longest = SILENT;
            state.last_state = Some(line.to_owned());
        });
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

    /// What is to be done now. The caller gives the line back, or drops it outside of the lock, which its drop takes.
    fn turn(&self) -> Turn {
        self.with(|state| {
            let others = state.tasks > usize::from(state.line.is_some());
            if others || state.asking {
                return Turn::Stop(state.line.take());
            }
            if state.line.is_none() && state.since.elapsed() < state.longest {
                return Turn::Stop(None);
            }
            let what = state.waits_for.clone().or_else(|| state.last_state.clone());
            Turn::Speak(what.unwrap_or_else(|| "still working".to_owned()), state.line.take())
        })
    }

    /// Held for a few instructions, and never while something is printed.
    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

// === impl Printer ===

impl Printer {
    /// Notes what the command waits for, in case that it takes long.
    pub(crate) fn waits_for(&self, what: Option<&str>) {
        self.0.silence.with(|state| {
            if state.waits_for.as_deref() != what {
                state.waits_for = what.map(str::to_owned);
                state.longest = SILENT;
            }
        });
    }

    /// Says what the command waits for, whenever it has shown nothing for two seconds. Never returns.
    pub(crate) async fn break_silence(self) {
        loop {
            tokio::time::sleep(SILENT / 10).await;
            let (what, line) = match self.0.silence.turn() {
                Turn::Speak(what, line) => (what, line),
                Turn::Stop(line) => {
                    drop(line);
                    continue;
                }
            };
            if self.0.live {
                let line = line.unwrap_or_else(|| self.task("waiting"));
                line.state(&what);
                self.0.silence.with(|state| state.line = Some(line));
            } else {
                self.note(&format!("waiting: {what}"));
                self.0.silence.with(|state| state.longest = (state.longest * 2).min(LONGEST));
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

    fn silent_for_long(silence: &Silence) {
        silence.with(|state| state.since = Instant::now().checked_sub(SILENT * 2).unwrap());
    }

    fn spoken(silence: &Silence) -> Option<String> {
        match silence.turn() {
            Turn::Speak(what, _) => Some(what),
            Turn::Stop(_) => None,
        }
    }

    #[test]
    fn a_progress_line_and_a_question_are_no_silence() {
        let silence = Silence::new();
        assert_eq!(spoken(&silence), None, "it has just begun");
        silent_for_long(&silence);
        assert_eq!(spoken(&silence).as_deref(), Some("still working"));
        silence.task_begins();
        assert_eq!(spoken(&silence), None);
        silence.asking(true);
        silence.task_ends();
        silent_for_long(&silence);
        assert_eq!(spoken(&silence), None);
        silence.asking(false);
        silent_for_long(&silence);
        assert!(spoken(&silence).is_some());
    }

    #[test]
    fn what_is_known_best_is_said() {
        let silence = Silence::new();
        silence.appended("web-2: starting");
        silent_for_long(&silence);
        assert_eq!(spoken(&silence).as_deref(), Some("web-2: starting"));
        silence.with(|state| state.waits_for = Some("the cluster's answer".to_owned()));
        assert_eq!(spoken(&silence).as_deref(), Some("the cluster's answer"));
    }
}
