//! `deploy` of a service.

use super::{Key, Kind, Null, limited, no_effect, noted, yes};

pub(super) static DEPLOY: &[Key] = &[
    limited(
        "mode",
        Kind::OneOf(&["replicated", "global", "replicated-job", "global-job"]),
        "`replicated`, or `global`: one copy on each node; jobs are `x-disco.job`",
    ),
    limited("endpoint_mode", Kind::OneOf(&["vip", "dnsrr"]), "`vip` or `dnsrr`"),
    yes("replicas", Kind::Int),
    yes("labels", Kind::Pairs(Null::Empty)),
    yes("update_config", Kind::Object(UPDATE)),
    yes("rollback_config", Kind::Object(UPDATE)),
    yes("resources", Kind::Object(RESOURCES)),
    yes("restart_policy", Kind::Object(RESTART)),
    yes("placement", Kind::Object(PLACEMENT)),
];

static UPDATE: &[Key] = &[
    noted("parallelism", Kind::Int, "0: all at once"),
    yes("delay", Kind::Duration),
    yes("failure_action", Kind::OneOf(&["continue", "pause", "rollback"])),
    yes("monitor", Kind::Duration),
    yes("max_failure_ratio", Kind::Number),
    yes("order", Kind::OneOf(&["start-first", "stop-first"])),
];

static RESOURCES: &[Key] = &[yes("limits", Kind::Object(LIMITS)), yes("reservations", Kind::Object(RESERVATIONS))];

static LIMITS: &[Key] = &[yes("cpus", Kind::Number), yes("memory", Kind::Size), yes("pids", Kind::Int)];

static RESERVATIONS: &[Key] = &[
    yes("cpus", Kind::Number),
    yes("memory", Kind::Size),
    no_effect("generic_resources", Kind::Free, "the scheduler knows no such resources; use `placement.constraints`"),
    yes("devices", Kind::List(&Kind::Object(DEVICES))),
];

pub(crate) static DEVICES: &[Key] = &[
    yes("capabilities", Kind::TextList),
    noted("count", Kind::DeviceCount, "a number or `all`"),
    yes("device_ids", Kind::TextList),
    yes("driver", Kind::Text),
    yes("options", Kind::Pairs(Null::Empty)),
];

static RESTART: &[Key] = &[
    yes("condition", Kind::OneOf(&["none", "on-failure", "any"])),
    yes("delay", Kind::Duration),
    yes("max_attempts", Kind::Int),
    yes("window", Kind::Duration),
];

static PLACEMENT: &[Key] = &[
    noted("constraints", Kind::TextList, "such as `node.labels.zone==a`"),
    yes("preferences", Kind::List(&Kind::Object(PREFERENCE))),
    yes("max_replicas_per_node", Kind::Int),
];

static PREFERENCE: &[Key] = &[yes("spread", Kind::Text)];
