//! A shim without the daemon, and a daemon without anything else, for tests.
//!
//! `disco-test-shim FOLDER` is a shim, as is `disco-test-shim shim FOLDER`; `disco-test-shim probe` is a probe, `disco-test-shim session` a session. `disco-test-shim start FOLDER` starts one, with the specification on its standard
//! input, prints its answer, and waits to be killed.

use std::io::{Read, Write};
use std::process::{Command, ExitCode};
use std::time::Duration;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let result = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["probe"] => disco_shim::probe().map_err(|error| error.to_string()),
        ["session"] => disco_shim::session::run().map_err(|error| error.to_string()),
        ["shim", folder] | [folder] => disco_shim::run(folder.into()).map_err(|error| error.to_string()),
        ["start", folder] => start(folder),
        _ => Err("expected `FOLDER`, `shim FOLDER`, `probe`, `session` or `start FOLDER`".to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn start(folder: &str) -> Result<(), String> {
    let mut spec = Vec::new();
    std::io::stdin().read_to_end(&mut spec).map_err(|error| error.to_string())?;
    let spec = serde_json::from_slice(&spec).map_err(|error| error.to_string())?;
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(own);
    command.arg(folder);
    let (_shim, answer) =
        disco_shim::Start::task(command, &spec, Duration::from_secs(60)).map_err(|error| error.to_string())?;
    let line = serde_json::to_string(&answer).map_err(|error| error.to_string())?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).map_err(|error| error.to_string())?;
    loop {
        std::thread::park();
    }
}
