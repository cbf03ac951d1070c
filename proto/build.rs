//! Compiles the `.proto` files with protox, so that `protoc` is not needed.

use prost::Message;

const FILES: [&str; 12] = [
    "disco/v1/store.proto",
    "disco/v1/raft.proto",
    "disco/v1/control.proto",
    "etcd/etcdserverpb/kv.proto",
    "etcd/etcdserverpb/watch.proto",
    "etcd/etcdserverpb/lease.proto",
    "etcd/etcdserverpb/cluster.proto",
    "etcd/etcdserverpb/maintenance.proto",
    "etcd/etcdserverpb/auth.proto",
    "etcd/v3lockpb/lock.proto",
    "etcd/v3electionpb/election.proto",
    "grpc/health/v1/health.proto",
];

/// Files that the JSON gateway describes at run time.
const ETCD: &str = "etcd/";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = protox::compile(FILES, ["proto"])?;
    let mut etcd = files.clone();
    etcd.file.retain(|file| file.name().starts_with(ETCD));
    for file in &mut etcd.file {
        // Comments are not needed.
        file.source_code_info = None;
    }
    let out = std::path::PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("etcd.bin"), etcd.encode_to_vec())?;
    tonic_prost_build::configure()
        .codec_path("crate::codec::SmallCodec")
        .bytes(".disco.v1")
        .bytes(".etcdserverpb")
        .bytes(".v3lockpb")
        .bytes(".v3electionpb")
        // Hand-written, without the keys: see `src/secrets.rs`.
        .skip_debug([
            ".disco.v1.VoterSecrets",
            ".disco.v1.SecretsKeys",
            ".disco.v1.NamedValue",
            ".disco.v1.TaskValuesResponse",
        ])
        // The same messages: see `etcd/mvccpb/kv.proto`.
        .extern_path(".mvccpb", "crate::v1")
        .compile_fds(files)?;
    Ok(())
}
