use disco_runtime_js::console::{Console, ConsoleLevel};

use crate::printer::Printer;

/// Prints `console.*` to standard error: the standard output of a command is its result.
pub(super) struct PrinterConsole {
    pub(super) printer: Printer,
    /// Also print lines of `console.debug`.
    pub(super) verbose: bool,
}

impl Console for PrinterConsole {
    fn write(&self, level: ConsoleLevel, text: &str) {
        self.printer.script_line(self.verbose, level.as_str(), text);
    }
}
