use std::io::Read;

use crate::{
    cli::CertSignArgs,
    context::Context,
    error::{Failure, Outcome},
    exit::ExitStatus,
    founding::{NodeIdentity, require_root},
};

/// Maximum accepted size of the output of `discod identity show`.
const LONGEST: u64 = 256 << 10;

pub(crate) fn run(args: &CertSignArgs, context: &Context) -> Outcome<ExitStatus> {
    let root = require_root(&context.project()?.state())?;
    let io = |error: std::io::Error| Failure::io("read", &args.file, &error);
    let mut text = String::new();
    if args.file.as_os_str() == "-" {
        std::io::stdin().take(LONGEST).read_to_string(&mut text).map_err(io)?;
    } else {
        let file = std::fs::File::open(&args.file).map_err(io)?;
        file.take(LONGEST).read_to_string(&mut text).map_err(io)?;
    }
    let node = NodeIdentity::read(&text)?;
    let chain = node.certify(&root)?;
    context.printer.note(&format!(
        "certificate of node {} `{}`: install it there with `discod identity renew`",
        node.node_id, node.name
    ));
    context.printer.write(chain.as_bytes())?;
    Ok(ExitStatus::Done)
}
