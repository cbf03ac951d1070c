//! From the command line to the exit code: parses it, resolves settings, runs the command within its time limit, prints failures.

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    cli::{Cli, Format},
    commands,
    context::Context,
    environment::ByEnvironment,
    error::{Failure, Outcome},
    exit::ExitStatus,
    printer::Printer,
    progress::Progress,
    project::Settings,
};

/// Runs the hidden subcommand with which the local provider starts its machines; `None` for any other command line.
pub(crate) fn run_machine_subcommand() -> Option<ExitCode> {
    let mut words = std::env::args_os().skip(1);
    if words.next()? != disco_provider::local::machine::SUBCOMMAND {
        return None;
    }
    let words: Vec<std::ffi::OsString> = words.collect();
    let ended = disco_provider::local::machine::run(&words);
    Some(match ended {
        Ok(()) => ExitStatus::Done.into(),
        Err(error) => {
            let failure = Failure::failed(error.to_string());
            let failure = match std::error::Error::source(&error) {
                Some(source) => failure.because(source),
                None => failure,
            };
            Printer::new(&Settings::fallback()).failure(&failure);
            ExitStatus::Failed.into()
        }
    })
}

/// Answers a shell's completion request, and exits the process in that case.
pub(crate) fn run_completion() {
    clap_complete::CompleteEnv::with_factory(Cli::command).complete();
}

pub(crate) fn run() -> ExitCode {
    let (mut cli, environment) = match parse() {
        Ok(parsed) => parsed,
        Err(error) => {
            return print_usage(&error).into();
        }
    };
    let environment = environment.ignore_for_init(&mut cli);
    let settings = match Settings::resolve(&cli.global) {
        Ok(settings) => settings,
        Err(failure) => {
            let format = cli.global.output.unwrap_or_default();
            Printer::new(&Settings { format, ..Settings::fallback() }).failure(&failure);
            return failure.status().into();
        }
    };
    let printer = Printer::new(&settings);
    start_tracing(&settings, &printer);
    let context = Context { settings, printer: printer.clone(), progress: Progress::default() };
    if commands::changes(&cli.command) {
        environment.print_choice(&context);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            printer.failure(&Failure::failed("cannot start").because(&error));
            return ExitStatus::Failed.into();
        }
    };
    let status = runtime.block_on(supervise(cli.command, context)).unwrap_or_else(|failure| {
        // A closed standard output, such as by `head`, is not a failure and prints nothing.
        if failure.status() != ExitStatus::Done {
            printer.failure(&failure);
        }
        failure.status()
    });
    // A thread may still wait for the terminal or a script: it ends with the process.
    runtime.shutdown_background();
    status.into()
}

/// Parses the command line, and notes which settings come from the environment.
fn parse() -> Result<(Cli, ByEnvironment), clap::Error> {
    let mut command = Cli::command();
    let matches = command.try_get_matches_from_mut(std::env::args_os())?;
    let cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    Ok((cli, ByEnvironment::of(&matches)))
}

/// Prints what the parser reports: help and version as they are, a wrong command line as the failure that it is.
fn print_usage(error: &clap::Error) -> ExitStatus {
    if !error.use_stderr() || !asks_for_json() {
        // Ignored: there is no other place to report to.
        let _ = error.print();
        return if error.use_stderr() { ExitStatus::Usage } else { ExitStatus::Done };
    }
    let text = error.to_string();
    let message = text.trim_start_matches("error: ").trim_end();
    let (message, more) = message.split_once("\n\n").unwrap_or((message, ""));
    let failure = Failure::usage(message);
    let failure = if more.is_empty() { failure } else { failure.cause(more) };
    Printer::new(&Settings { format: Format::Json, ..Settings::fallback() }).failure(&failure);
    ExitStatus::Usage
}

/// Whether the command line, which cannot be parsed, asks for JSON.
fn asks_for_json() -> bool {
    let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    let words: Vec<String> = words.take_while(|word| word != "--").collect();
    let by_flag = words.iter().enumerate().rev().find_map(|(at, word)| match word.as_str() {
        "-o" | "--output" => words.get(at + 1).map(String::as_str),
        word => word.strip_prefix("--output=").or_else(|| word.strip_prefix("-o=")).or_else(|| word.strip_prefix("-o")),
    });
    let by_environment = std::env::var("DISCO_OUTPUT").ok();
    matches!(by_flag.or(by_environment.as_deref()), Some("json" | "jsonl"))
}

/// Runs the command until it ends, its time limit is reached, or the operator interrupts it.
async fn supervise(command: crate::cli::Command, context: Context) -> Outcome<ExitStatus> {
    let nature = commands::nature(&command);
    let timeout = context.settings.timeout;
    let progress = context.progress.clone();
    let printer = context.printer.clone();
    // A task of its own: the command may keep its thread busy.
    let ends = commands::reports_progress(&command);
    let handles_signals = commands::handles_signals(&command);
    let silence = ends.then(|| tokio::spawn(printer.clone().break_silence()));
    let expired = async {
        match timeout {
            Some(time) => tokio::time::sleep(time).await,
            None => std::future::pending().await,
        }
    };
    let ended = tokio::select! {
        biased;
        ended = commands::run(command, context) => ended,
        // The ordinary end of a command that goes on until then.
        _ = interrupted(), if !ends && !handles_signals => Ok(ExitStatus::Cancelled),
        name = interrupted(), if ends => Err(ended(ExitStatus::Cancelled, format!("cancelled ({name})"), nature, &progress)),
        () = expired => {
            let time = humantime(timeout.unwrap_or_default());
            Err(ended(ExitStatus::TimedOut, format!("not done after {time}"), nature, &progress))
        }
    };
    if let Some(silence) = silence {
        silence.abort();
        // Only cancelled.
        let _ = silence.await;
        printer.end_silence();
    }
    ended
}

fn ended(status: ExitStatus, message: String, nature: commands::Nature, progress: &Progress) -> Failure {
    if progress.waits_with_nothing_begun() {
        return Failure::new(
            status,
            format!("{message} at a question: nothing was begun on machines or in the cluster"),
        )
        .hint("run the command again; `--yes` or `DISCO_YES=1` answers every question with yes");
    }
    let failure = Failure::new(status, message);
    match nature.next_step() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

fn humantime(time: std::time::Duration) -> String {
    jiff::SignedDuration::try_from(time).map_or_else(|_| format!("{time:?}"), |time| format!("{time:#}"))
}

async fn interrupted() -> &'static str {
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        // Without handlers, the signals terminate the process.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => "interrupt",
        _ = terminate.recv() => "terminated",
    }
}

/// `-v` shows the libraries' logs; `DISCO_LOG` overrides it with a `tracing` filter.
fn start_tracing(settings: &Settings, printer: &Printer) {
    let level = match settings.verbose {
        0 => "off",
        1 => "disco=debug,disco_provider=debug,disco_identity=debug,disco_runtime_js=debug",
        // The SDK's runtime traces requests with their bodies, and the start of a machine holds its host key.
        _ => "trace,aws_smithy_runtime=debug,h2=info,hyper=info,ignore=info",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("DISCO_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    let printer = printer.clone();
    let writer = move || Lines(printer.clone());
    // Fails only if a subscriber is already set, which never happens here.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(writer).try_init();
}

/// Passes `tracing` output to the printer, so that it does not mix with progress lines.
struct Lines(Printer);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.verbatim(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
