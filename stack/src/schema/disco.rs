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
    noted(
        "job",
        Kind::Object(JOB),
        "runs to its end, by a schedule or by `disco job run JOB`, in place of copies that keep running",
    ),
    noted(
        "secret_environment",
        Kind::Map(&Kind::Text),
        "variables with the values of secrets: `DB_PASSWORD: db_password`; a line end at the end of the value is left out",
    ),
    noted(
        "reload",
        Kind::Text,
        "the signal by which the program reads changed secrets and configs again, such as `SIGHUP`; without it other tasks take the place \
         of those that use a changed one",
    ),
    noted("rollout", Kind::Object(ROLLOUT), "how one version follows another, besides `deploy.update_config`"),
];

static PROCESS: &[Key] = &[
    noted(
        "path",
        Kind::Text,
        "a program, or a folder: the whole folder is sent, and the first of `args` names the program in it; relative to the first stack file. A file has at most 1 GiB",
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

static JOB: &[Key] = &[
    noted(
        "schedule",
        Kind::Text,
        "five fields of cron (minute, hour, day of the month, month, day of the week), in quotes, or `\"@daily\"` and the like; without it the job runs by request alone",
    ),
    noted("time_zone", Kind::Text, "of the schedule, such as `Europe/Berlin`; `UTC` unless given"),
    noted(
        "overlap",
        Kind::OneOf(&["forbid", "allow", "replace"]),
        "at a time of the schedule, while an earlier run is not over: skip that time (unless given), run beside it, or end it first",
    ),
    noted(
        "catch_up",
        Kind::OneOf(&["last", "none"]),
        "of the times that came while there was no leader: the last one runs late (unless given), or none",
    ),
    noted("timeout", Kind::Duration, "after which a try is ended and has failed; none unless given"),
    noted("retries", Kind::Int, "how often a run that failed is tried again, with growing pauses; 0 unless given"),
    noted("keep", Kind::Int, "runs that are over and retained with their output, 1 to 100; 10 unless given"),
];

static INGRESS: &[Key] = &[
    noted("host", Kind::Text, "the name that clients use"),
    noted("path", Kind::Text, "a prefix of the path, `/` unless given"),
    noted("tls", Kind::Scalar, "`true`: with a certificate of its own; or the name of a secret that holds one"),
];
