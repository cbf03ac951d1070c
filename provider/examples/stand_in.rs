//! Stands in for `disco` and `discod` in this crate's tests: a small program with their hidden subcommands.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use disco_provider::{ProviderContext, StartRequest, from_spec};

type Failure = Box<dyn std::error::Error>;

/// The error by which it requests a restart from its own `main`.
const AGAIN: &str = "start me again";

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let result = match args.first().and_then(|word| word.to_str()) {
        Some(disco_provider::local::machine::SUBCOMMAND) => {
            disco_provider::local::machine::run(&args[1..]).map_err(Into::into)
        }
        Some(disco_provider::supervise::SUBCOMMAND) => disco_provider::supervise::run(&args[1..]).map_err(Into::into),
        Some(disco_provider::supervise::REPORT_SUBCOMMAND) => report(&args[1..]),
        Some("start") => start(&args[1..]),
        Some("lead") => lead(&args[1..]),
        Some("--version") => say("stand-in 0.1.0"),
        Some("identity") => identity(&args[1..]),
        Some("--data-dir") => serve(&args),
        _ => Err("unknown subcommand".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.to_string() == AGAIN => ExitCode::from(disco_provider::supervise::RESTART_CODE),
        Err(error) => {
            // Nobody listens when this fails.
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn say(line: &str) -> Result<(), Failure> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

fn after<'a>(args: &'a [OsString], name: &str) -> Result<&'a OsString, Failure> {
    let at = args.iter().position(|arg| arg == name);
    at.and_then(|at| args.get(at + 1)).ok_or_else(|| format!("`{name}` is missing").into())
}

fn identity(args: &[OsString]) -> Result<(), Failure> {
    let file = PathBuf::from(after(args, "--data-dir")?).join("identity");
    match args.first().and_then(|word| word.to_str()) {
        Some("request") => {
            say("-----BEGIN CERTIFICATE REQUEST-----")?;
            say(&after(args, "--advertise")?.to_string_lossy())
        }
        Some("install") => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text)?;
            if text.contains("refuse") {
                return Err("this node belongs to another cluster".into());
            }
            Ok(std::fs::write(file, text)?)
        }
        _ => Err("unknown subcommand".into()),
    }
}

/// What a client does: starts a machine, with itself as the machine's program.
fn start(args: &[OsString]) -> Result<(), Failure> {
    let context = ProviderContext {
        cluster_name: "test".to_owned(),
        cluster_id: None,
        project_dir: None,
        local_dir: Some(after(args, "--dir")?.into()),
        machine_executable: std::env::current_exe()?,
        known: Vec::new(),
    };
    start_by(&context, args)
}

/// What a leader does on its own machine: starts one more, beside that.
fn lead(args: &[OsString]) -> Result<(), Failure> {
    let cluster = after(args, "--cluster")?.to_string_lossy().into_owned();
    let context = ProviderContext {
        cluster_id: Some(cluster.clone()),
        cluster_name: cluster,
        project_dir: None,
        local_dir: None,
        machine_executable: std::env::current_exe()?,
        known: Vec::new(),
    };
    start_by(&context, args)
}

fn start_by(context: &ProviderContext, args: &[OsString]) -> Result<(), Failure> {
    let provider = from_spec("local", &serde_json::Value::Null, context)?;
    let token = after(args, "--token")?.to_string_lossy().into_owned();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(provider.start(StartRequest { token, ..StartRequest::default() }))?;
    Ok(())
}

/// What the daemon's program does instead of the daemon: here it keeps what it was given, a line for each time.
fn report(args: &[OsString]) -> Result<(), Failure> {
    let path = PathBuf::from(after(args, "--data-dir")?).join("snapshots/reported");
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
    Ok(writeln!(file, "{}", std::env::var(disco_provider::supervise::ENDS)?)?)
}

/// Stands for the daemon: prints its arguments, and stays. A file in its folder makes it end.
fn serve(args: &[OsString]) -> Result<(), Failure> {
    let data = PathBuf::from(after(args, "--data-dir")?);
    let snapshots = data.join("snapshots");
    std::fs::create_dir_all(&snapshots)?;
    let words: Vec<_> = args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    say(&format!("serving {} {}", words.join(" "), std::env::var("EXTRA").unwrap_or_default()))?;
    let mut starts = std::fs::OpenOptions::new().create(true).append(true).open(snapshots.join("starts"))?;
    writeln!(starts, "{}", std::process::id())?;
    if data.join("restart").exists() {
        std::fs::remove_file(data.join("restart"))?;
        return Err(AGAIN.into());
    }
    loop {
        if data.join("leave").exists() {
            return Ok(());
        }
        if data.join("crash").exists() {
            return Err("crashing as asked".into());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
