use clap::{ArgAction, Args};
use clap_complete::ArgValueCandidates;

#[derive(Debug, Args)]
#[command(
    long_about = "Run a program beside a running task, on the task's node.\n\nThe program has the task's user, working folder, \
                  environment, control group and limits. Standard input is passed on; if it and standard output are terminals, the \
                  program gets one, too. `disco` exits with the program's exit code, or 128 plus the number of the signal that ended \
                  it; 127: there is no such program, 126: it cannot be executed. The program ends with `disco`, with the connection, \
                  and with the task, and so does everything that it has started.\n\nIf TARGET is a service, the program runs beside \
                  one of its healthy tasks.",
    after_help = "Examples:\n  disco exec shop/web/1 -- sh\n  disco exec web -- env\n  disco exec store -- cat dump.db > dump.db\n  \
                  disco exec -T shop/web/1 -- sh -c 'ls | wc -l'\n  while read name; do disco exec -I store -- del \"$name\"; done < names"
)]
pub(crate) struct ExecArgs {
    /// Pass standard input on (the default).
    #[arg(short, long, action = ArgAction::SetTrue, overrides_with = "no_stdin")]
    pub(crate) interactive: bool,

    /// Leave standard input alone: the program's is empty.
    #[arg(short = 'I', long, action = ArgAction::SetTrue, overrides_with = "interactive")]
    pub(crate) no_stdin: bool,

    /// Give the program a terminal, even if standard input or output is none.
    #[arg(short, long, action = ArgAction::SetTrue, overrides_with = "no_tty")]
    pub(crate) tty: bool,

    /// Give the program no terminal.
    #[arg(short = 'T', long, action = ArgAction::SetTrue, overrides_with = "tty")]
    pub(crate) no_tty: bool,

    /// A task: its id, or STACK/SERVICE/N; or a service.
    #[arg(value_name = "TARGET", add = ArgValueCandidates::new(crate::project::known_services))]
    pub(crate) target: String,

    /// The program, a path or a name in the task's PATH, and its arguments.
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(crate) command: Vec<String>,
}
