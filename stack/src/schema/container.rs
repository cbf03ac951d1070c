//! Smaller mappings within a service.

use super::{Key, Kind, Null, limited, no, noted, yes};

pub(super) const ULIMITS: Key = yes("ulimits", Kind::Ulimits);

pub(super) static LOGGING: &[Key] = &[yes("driver", Kind::Text), yes("options", Kind::Map(&Kind::Scalar))];

pub(super) static HEALTHCHECK: &[Key] = &[
    noted("test", Kind::HealthTest, "text is run by a shell; `[]` is as if not given"),
    noted("interval", Kind::Duration, "30 s unless given"),
    noted("timeout", Kind::Duration, "30 s unless given"),
    noted("retries", Kind::Int, "3 unless given"),
    noted("start_period", Kind::Duration, "0 s unless given; the first success ends it"),
    noted("start_interval", Kind::Duration, "5 s unless given"),
    yes("disable", Kind::Bool),
];

pub(super) static HOOK: &[Key] = &[
    yes("command", Kind::Command),
    yes("user", Kind::Text),
    yes("privileged", Kind::Bool),
    yes("working_dir", Kind::Text),
    yes("environment", Kind::Pairs(Null::Inherited)),
];

pub(super) static BLKIO: &[Key] = &[
    yes("device_read_bps", Kind::List(&Kind::Object(BLKIO_RATE))),
    yes("device_read_iops", Kind::List(&Kind::Object(BLKIO_RATE))),
    yes("device_write_bps", Kind::List(&Kind::Object(BLKIO_RATE))),
    yes("device_write_iops", Kind::List(&Kind::Object(BLKIO_RATE))),
    yes("weight", Kind::Int),
    yes("weight_device", Kind::List(&Kind::Object(BLKIO_WEIGHT))),
];

static BLKIO_RATE: &[Key] = &[yes("path", Kind::Text), yes("rate", Kind::Size)];

static BLKIO_WEIGHT: &[Key] = &[yes("path", Kind::Text), yes("weight", Kind::Int)];

pub(super) static SERVICE_NETWORK: &[Key] = &[
    yes("aliases", Kind::TextList),
    yes("interface_name", Kind::Text),
    limited("ipv4_address", Kind::Text, "for a service of one copy"),
    limited("ipv6_address", Kind::Text, "for a service of one copy"),
    yes("link_local_ips", Kind::TextList),
    limited("mac_address", Kind::Text, "for a service of one copy"),
    yes("driver_opts", Kind::Map(&Kind::Scalar)),
    yes("priority", Kind::Int),
    yes("gw_priority", Kind::Int),
];

pub(crate) static PORT: &[Key] = &[
    yes("name", Kind::Text),
    noted("mode", Kind::OneOf(&["ingress", "host"]), "`ingress`: on every node; `host`: on the task's node alone"),
    yes("host_ip", Kind::Text),
    yes("target", Kind::Scalar),
    noted("published", Kind::Scalar, "text or number, also a range of which one port is taken"),
    yes("protocol", Kind::OneOf(&["tcp", "udp"])),
    yes("app_protocol", Kind::Text),
];

pub(crate) static VOLUME: &[Key] = &[
    limited(
        "type",
        Kind::OneOf(&["bind", "volume", "tmpfs", "image", "npipe", "cluster"]),
        "`bind`, `volume`, `tmpfs`",
    ),
    yes("source", Kind::Text),
    yes("target", Kind::Text),
    yes("read_only", Kind::Bool),
    yes("consistency", Kind::Text),
    yes("bind", Kind::Object(VOLUME_BIND)),
    yes("volume", Kind::Object(VOLUME_VOLUME)),
    yes("tmpfs", Kind::Object(VOLUME_TMPFS)),
    no("image", "copy the files into the service's own image"),
];

static VOLUME_BIND: &[Key] = &[
    yes("propagation", Kind::Text),
    yes("create_host_path", Kind::Bool),
    yes("recursive", Kind::OneOf(&["enabled", "disabled", "writable", "readonly"])),
    yes("selinux", Kind::OneOf(&["z", "Z"])),
];

static VOLUME_VOLUME: &[Key] =
    &[yes("labels", Kind::Pairs(Null::Empty)), yes("nocopy", Kind::Bool), yes("subpath", Kind::Text)];

static VOLUME_TMPFS: &[Key] = &[yes("size", Kind::Size), yes("mode", Kind::Mode)];

pub(crate) static MOUNT: &[Key] = &[
    yes("source", Kind::Text),
    yes("target", Kind::Text),
    yes("uid", Kind::Text),
    yes("gid", Kind::Text),
    noted("mode", Kind::Mode, "0444 unless given; `440` counts as octal, with a warning"),
];

pub(crate) static DEPENDENCY: &[Key] = &[
    yes("condition", Kind::OneOf(&["service_started", "service_healthy", "service_completed_successfully"])),
    yes("restart", Kind::Bool),
    yes("required", Kind::Bool),
];

pub(crate) static ENV_FILE: &[Key] = &[
    yes("path", Kind::Text),
    yes("required", Kind::Bool),
    noted("format", Kind::OneOf(&["raw"]), "`raw`: everything behind `=` as it stands"),
];

pub(crate) static DEVICE: &[Key] =
    &[yes("source", Kind::Text), yes("target", Kind::Text), yes("permissions", Kind::Text)];

pub(crate) static ULIMIT: &[Key] = &[yes("soft", Kind::Int), yes("hard", Kind::Int)];
