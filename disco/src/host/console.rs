use disco_runtime_js::console::{Console, ConsoleLevel};

use crate::printer::Printer;

/// `console.*` goes to standard error: the standard output of a command is its result.
pub(super) struct PrinterConsole {
    pub(super) printer: Printer,
    /// Also what `console.debug` says.
    pub(super) verbose: bool,
}

impl Console for PrinterConsole {
    fn write(&self, level: ConsoleLevel, text: &str) {
        say(&self.printer, self.verbose, level.as_str(), text);
    }
}

/// A line of a script's console, here or on the leader.
pub(crate) fn say(printer: &Printer, verbose: bool, level: &str, text: &str) {
    let style = printer.style();
    match level {
        "debug" if !verbose => {}
        "debug" => printer.note(&style.dim(text)),
        "warn" => printer.always(&style.warning(text)),
        "error" => printer.always(&style.bad(text)),
        _ => printer.note(text),
    }
}
