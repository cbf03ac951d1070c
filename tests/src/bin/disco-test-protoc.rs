//! Compiles `.proto` files like `protoc`, as far as build scripts of Rust crates need it: for crates that require a `protoc` where it
//! is not installed, by the variable `PROTOC`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
struct Args {
    /// The file for the descriptors.
    #[arg(short = 'o', long = "descriptor_set_out")]
    output: PathBuf,
    /// The folders with the files.
    #[arg(short = 'I', long = "proto_path")]
    includes: Vec<PathBuf>,
    #[arg(long = "include_imports")]
    imports: bool,
    #[arg(long = "include_source_info")]
    source_info: bool,
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

fn compile(args: Args) -> Result<(), Box<dyn std::error::Error>> {
    let mut compiler = protox::Compiler::new(args.includes)?;
    compiler.include_imports(args.imports).include_source_info(args.source_info).open_files(args.files)?;
    std::fs::write(args.output, compiler.encode_file_descriptor_set())?;
    Ok(())
}

fn main() -> ExitCode {
    match compile(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
