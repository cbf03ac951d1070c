//! The only place that writes to standard output and standard error.
//!
//! Data goes to standard output, everything else to standard error, so a pipe never reads progress.

mod failure;
mod line;
mod silence;
mod style;
mod table;
mod task;
mod view;
mod wrap;

use std::{
    io::{self, Write},
    sync::Arc,
};

use indicatif::{MultiProgress, ProgressDrawTarget};

use self::silence::Silence;
pub(crate) use self::{
    style::Style,
    table::{Table, cell},
    task::Task,
    view::{Item, View},
    wrap::wrap,
};
use crate::{
    cli::Format,
    error::{Failure, Outcome},
    project::Settings,
};

/// Cheap to clone; all clones share the terminal.
#[derive(Clone)]
pub(crate) struct Printer(Arc<Inner>);

struct Inner {
    format: Format,
    quiet: bool,
    /// Spinners and progress bars are drawn.
    live: bool,
    data: Style,
    notes: Style,
    /// Columns of the terminal on standard error; `None`: lines are only appended, and as long as they are.
    columns: Option<u16>,
    bars: MultiProgress,
    silence: Silence,
}

impl Printer {
    pub(crate) fn new(settings: &Settings) -> Self {
        let live = !settings.plain && settings.error_terminal && !settings.quiet;
        let target = if live { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let color = settings.color && !settings.plain;
        Self(Arc::new(Inner {
            format: settings.format,
            quiet: settings.quiet,
            live,
            data: Style {
                color: color && settings.output_terminal,
                width: settings.output_width.filter(|_| settings.format != Format::Wide),
            },
            notes: Style { color: color && settings.error_terminal, width: None },
            columns: settings.error_width.filter(|_| live && settings.format != Format::Wide),
            bars: MultiProgress::with_draw_target(target),
            silence: Silence::new(),
        }))
    }

    pub(crate) fn format(&self) -> Format {
        self.0.format
    }

    /// The style of standard error.
    pub(crate) fn style(&self) -> Style {
        self.0.notes
    }

    /// Prints a command's result.
    pub(crate) fn show(&self, view: &dyn View) -> Outcome<()> {
        let text = match self.0.format {
            Format::Table | Format::Wide => view.text(self.0.data),
            Format::Json => format!("{:#}\n", view.json()),
            Format::Jsonl => view.rows().iter().map(|row| format!("{row}\n")).collect(),
            Format::Name => view.names().iter().map(|name| format!("{name}\n")).collect(),
        };
        self.write(text.as_bytes())
    }

    /// Prints one object of a stream immediately.
    pub(crate) fn item(&self, item: &dyn Item) -> Outcome<()> {
        let text = match self.0.format {
            Format::Table | Format::Wide => item.text(self.0.data),
            Format::Json | Format::Jsonl => item.json().to_string(),
            Format::Name => item.name(),
        };
        self.write(format!("{text}\n").as_bytes())
    }

    /// Writes data as it is.
    pub(crate) fn write(&self, bytes: &[u8]) -> Outcome<()> {
        self.0.silence.broken();
        self.0
            .bars
            .suspend(|| {
                let mut out = io::stdout().lock();
                out.write_all(bytes).and_then(|()| out.flush())
            })
            // A reader that closes the pipe (`disco events | head`) is a normal end, not a failure.
            .map_err(|error| match error.kind() {
                io::ErrorKind::BrokenPipe => Failure::new(crate::exit::ExitStatus::Done, "standard output was closed"),
                _ => Failure::failed("cannot write to standard output").because(&error),
            })
    }

    /// Prints a note that is neither data nor an error; suppressed by `--quiet`.
    pub(crate) fn note(&self, text: &str) {
        if !self.0.quiet {
            self.lines(&wrap(text, self.0.columns, 0));
        }
    }

    /// Prints a note even with `--quiet`.
    pub(crate) fn always(&self, text: &str) {
        self.lines(text);
    }

    /// Prints a line of a script's console, here or on the leader; lines of `console.debug` only if `verbose`.
    pub(crate) fn script_line(&self, verbose: bool, level: &str, text: &str) {
        let style = self.style();
        match level {
            "debug" if !verbose => {}
            "debug" if self.0.quiet => {}
            "debug" => self.lines(&style.dim(text)),
            "warn" => self.always(&style.warning(text)),
            "error" => self.always(&style.bad(text)),
            _ if self.0.quiet => {}
            // As the script has written it.
            _ => self.lines(text),
        }
    }

    /// Prints a warning; the command continues.
    pub(crate) fn warn(&self, text: &str) {
        let style = self.0.notes;
        let text = wrap(text, self.0.columns, "warning: ".len());
        self.lines(&format!("{} {text}", style.warning("warning:")));
    }

    /// Prints the failure that ends the command.
    pub(crate) fn failure(&self, failure: &Failure) {
        let text = match self.0.format {
            Format::Json | Format::Jsonl => failure::json(failure),
            Format::Table | Format::Wide | Format::Name => failure::render(failure, self.0.notes, self.0.columns),
        };
        self.0.bars.suspend(|| line::raw(&text));
    }

    /// Writes whole lines to standard error as they are.
    pub(crate) fn verbatim(&self, bytes: &[u8]) {
        self.0.bars.suspend(|| line::raw(&String::from_utf8_lossy(bytes)));
    }

    /// Writes what a program has written to standard error.
    pub(crate) fn write_error(&self, bytes: &[u8]) {
        self.0.silence.broken();
        // Ignored: there is no other place to report to.
        self.0.bars.suspend(|| drop(io::stderr().lock().write_all(bytes)));
    }

    /// Starts a progress line for `subject`.
    pub(crate) fn task(&self, subject: &str) -> Task {
        Task::new(self.clone(), subject)
    }

    /// Removes the progress lines from the terminal until [`Self::show_progress`], while a question is open.
    pub(crate) fn hide_progress(&self) {
        self.0.silence.asking(true);
        if self.0.live {
            // Ignored: there is no other place to report to.
            let _ = self.0.bars.clear();
            self.0.bars.set_draw_target(ProgressDrawTarget::hidden());
        }
    }

    /// Draws the progress lines again.
    pub(crate) fn show_progress(&self) {
        self.0.silence.asking(false);
        if self.0.live {
            self.0.bars.set_draw_target(ProgressDrawTarget::stderr());
        }
    }

    /// Writes lines above the progress lines, or appends timestamped ones.
    fn lines(&self, text: &str) {
        self.0.silence.broken();
        if self.0.live {
            self.0.bars.suspend(|| line::raw(&format!("{text}\n")));
        } else {
            line::stamped(text);
        }
    }
}
