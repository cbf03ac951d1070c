//! A cluster under faults, see `disco_tests::faults`:
//!
//! ```text
//! cargo run -p disco-tests --bin disco-faults -- --kills 1000 --seed 1
//! ```

use std::process::ExitCode;

use clap::Parser;
use disco_tests::faults::{Options, run};

fn main() -> ExitCode {
    let summary = run(&Options::parse());
    eprintln!("{summary}");
    println!("{}", serde_json::to_string_pretty(&summary).expect("a summary is JSON"));
    if summary.violations.is_empty() {
        return ExitCode::SUCCESS;
    }
    eprintln!(
        "repeat it: cargo run -p disco-tests --bin disco-faults -- --seed {} --nodes {}",
        summary.seed, summary.nodes
    );
    ExitCode::FAILURE
}
