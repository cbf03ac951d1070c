//! Stands in for `disco` and `discod` in this crate's tests: a small program with their hidden subcommands.

use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let result: Result<(), Box<dyn std::error::Error>> = match args.first().and_then(|word| word.to_str()) {
        Some(disco_provider::machine::SUBCOMMAND) => disco_provider::machine::run(&args[1..]).map_err(Into::into),
        Some(disco_provider::supervise::SUBCOMMAND) => disco_provider::supervise::run(&args[1..]).map_err(Into::into),
        _ => Err("unknown subcommand".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "a program's last word")]
            {
                eprintln!("{error}");
            }
            ExitCode::FAILURE
        }
    }
}
