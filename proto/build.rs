//! Compiles the `.proto` files with protox, so that nobody needs `protoc`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = protox::compile(["disco/v1/store.proto", "disco/v1/raft.proto", "disco/v1/control.proto"], ["proto"])?;
    tonic_prost_build::configure().bytes(".disco.v1").compile_fds(files)?;
    Ok(())
}
