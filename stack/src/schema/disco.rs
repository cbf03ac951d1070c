//! `x-disco` of a service: what Compose has no key for.

use super::{Key, Kind, limited, noted};

pub(crate) static DISCO: &[Key] = &[
    noted("process", Kind::Object(PROCESS), "runs a program of the project without a container, in place of `image`"),
    noted("singleton", Kind::Bool, "never two copies at a time, also when a node is cut off"),
    limited(
        "health",
        Kind::Object(HEALTH),
        "one of `http` and `tcp`, with the times of `healthcheck`; without them: `interval` and `timeout` 5 s, `start_period` 30 s, `start_interval` 0.5 s",
    ),
    limited("ingress", Kind::Object(INGRESS), "read and checked; no node relays HTTP yet, which a warning says"),
    noted("rollout", Kind::Object(ROLLOUT), "how one version follows another, besides `deploy.update_config`"),
];

static PROCESS: &[Key] = &[
    noted(
        "path",
        Kind::Text,
        "a program, or a folder: the whole folder is sent, and the first of `args` names the program in it; relative to the first stack file. A file has at most 8 MiB",
    ),
    noted("args", Kind::Command, "a list, or text that is split as a shell would"),
    noted("user", Kind::Scalar, "name or number"),
];

static HEALTH: &[Key] = &[
    noted("http", Kind::Text, "a path such as `/healthy` at the first port; 200 to 399 is healthy"),
    noted("tcp", Kind::Int, "a port that must accept connections"),
];

static ROLLOUT: &[Key] = &[
    noted(
        "limit",
        Kind::Duration,
        "how long nothing may become better (a task starts, becomes healthy, ends) before the version counts as failed; 5 min unless given",
    ),
    noted("max_unavailable", Kind::Int, "how many healthy copies may be missing meanwhile; 0 unless given"),
];

static INGRESS: &[Key] = &[
    noted("host", Kind::Text, "the name that clients use"),
    noted("path", Kind::Text, "a prefix of the path, `/` unless given"),
    noted("tls", Kind::Scalar, "`true`: with a certificate of its own; or the name of a secret that holds one"),
];
