#!/usr/bin/env bash
# Amazon's SDK for Rust (aws-config 1.13.0, aws-types 1.7.0) and that for Python (botocore 1.44.8) read different keys of `[services NAME]` in
# ~/.aws/config for a service whose name has a space.
#
# Expected, as the reference guide of the SDKs and tools has it: the key is the service id in lower case with underscores, so
# `service_quotas` sets the endpoint of Service Quotas for every SDK.
# Actual: Python reads `service_quotas` and ignores `service-quotas`; Rust reads `service-quotas` and ignores `service_quotas` without a
# word, and its requests go to Amazon. By the environment both read AWS_ENDPOINT_URL_SERVICE_QUOTAS.
#
# Disco finds endpoints by the loader of the Rust SDK, and so reads the key with the hyphen (provider/src/aws/api/call.rs, docs/aws.md).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export AWS_CONFIG_FILE=$work/config AWS_SHARED_CREDENTIALS_FILE=$work/credentials AWS_EC2_METADATA_DISABLED=true
export AWS_ACCESS_KEY_ID=testing AWS_SECRET_ACCESS_KEY=testing
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q install 'botocore==1.44.8' 2>/dev/null
cat >"$work/try.py" <<'PYTHON'
import botocore.session

client = botocore.session.get_session().create_client("service-quotas")
print(client.meta.endpoint_url)
PYTHON
mkdir -p "$work/try/src"
cat >"$work/try/Cargo.toml" <<'TOML'
[package]
name = "try"
edition = "2024"
[dependencies]
aws-config = { version = "=1.13.0", default-features = false, features = ["behavior-version-latest", "rt-tokio"] }
aws-types = "=1.7.0"
tokio = { version = "1", features = ["rt", "macros"] }
TOML
cat >"$work/try/src/main.rs" <<'RUST'
use aws_config::BehaviorVersion;
use aws_types::service_config::ServiceConfigKey;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let config = aws_config::defaults(BehaviorVersion::latest()).no_credentials().region("us-east-1").load().await;
    // As each of the SDK's clients builds it for its own service.
    let key = ServiceConfigKey::builder();
    let key = key.service_id("Service Quotas").env("AWS_ENDPOINT_URL").profile("endpoint_url").build().unwrap();
    let found = config.service_config().and_then(|services| services.load_config(key));
    println!("{}", found.unwrap_or_else(|| "Amazon".to_owned()));
}
RUST
cargo build -q --manifest-path "$work/try/Cargo.toml" --target-dir "$work/target" 2>/dev/null
seen=
for key in service_quotas service-quotas; do
    printf '[default]\nregion = us-east-1\nservices = here\n[services here]\n%s =\n  endpoint_url = http://127.0.0.1:9\n' "$key" >"$work/config"
    python=$("$work/venv/bin/python" -W ignore "$work/try.py")
    rust=$("$work/target/debug/try")
    printf '%s: Python %s, Rust %s\n' "$key" "$python" "$rust"
    seen+="$python $rust "
done
[ "$seen" = 'http://127.0.0.1:9 Amazon https://servicequotas.us-east-1.amazonaws.com http://127.0.0.1:9 ' ]
