//! `x-disco` of a service: what Compose has no key for.

use super::{Key, Kind, limited, noted, yes};

pub(crate) static DISCO: &[Key] = &[
    noted("process", Kind::Object(PROCESS), "runs a program of the project without a container, in place of `image`"),
    noted("singleton", Kind::Bool, "never two copies at a time, also when a node is cut off"),
    limited("health", Kind::Object(HEALTH), "one of `http` and `tcp`, with the times of `healthcheck`"),
    yes("ingress", Kind::Object(INGRESS)),
];

static PROCESS: &[Key] = &[
    noted("path", Kind::Text, "a program or a folder, relative to the file"),
    noted("args", Kind::Command, "a list, or text that is split as a shell would"),
    noted("user", Kind::Scalar, "name or number"),
];

static HEALTH: &[Key] = &[
    noted("http", Kind::Text, "a path such as `/healthy` at the first port; 200 to 399 is healthy"),
    noted("tcp", Kind::Int, "a port that must accept connections"),
];

static INGRESS: &[Key] = &[
    noted("host", Kind::Text, "the name that clients use"),
    noted("path", Kind::Text, "a prefix of the path, `/` unless given"),
    noted("tls", Kind::Scalar, "`true`: with a certificate of its own; or the name of a secret that holds one"),
];
