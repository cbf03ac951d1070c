//! Networks, volumes, secrets and configs at the top of a stack file.

use super::{Key, Kind, Null, limited, no, noted, yes};

const TEXTS: Kind = Kind::Map(&Kind::Scalar);

pub(super) static NETWORK: &[Key] = &[
    yes("name", Kind::Text),
    limited(
        "driver",
        Kind::Text,
        "the cluster's network connects tasks: a driver other than `bridge`, `overlay`, `default`, `host` and `none` has no effect, with \
         a warning",
    ),
    yes("driver_opts", TEXTS),
    yes("ipam", Kind::Object(IPAM)),
    yes("external", Kind::External),
    yes("internal", Kind::Bool),
    yes("enable_ipv4", Kind::Bool),
    yes("enable_ipv6", Kind::Bool),
    yes("attachable", Kind::Bool),
    yes("labels", Kind::Pairs(Null::Empty)),
];

static IPAM: &[Key] =
    &[yes("driver", Kind::Text), yes("config", Kind::List(&Kind::Object(IPAM_CONFIG))), yes("options", TEXTS)];

static IPAM_CONFIG: &[Key] =
    &[yes("subnet", Kind::Text), yes("ip_range", Kind::Text), yes("gateway", Kind::Text), yes("aux_addresses", TEXTS)];

pub(super) static VOLUME: &[Key] = &[
    yes("name", Kind::Text),
    yes("driver", Kind::Text),
    yes("driver_opts", TEXTS),
    yes("external", Kind::External),
    yes("labels", Kind::Pairs(Null::Empty)),
];

pub(super) static SECRET: &[Key] = &[
    limited("name", Kind::Text, "of an external one; one that the stack defines is always `STACK/KEY`"),
    noted("environment", Kind::Text, "the value is never printed"),
    noted("file", Kind::Text, "at most 256 KiB"),
    noted("external", Kind::External, "of the cluster: `disco secret set NAME` makes it"),
    yes("labels", Kind::Pairs(Null::Empty)),
    no("driver", "Disco keeps secrets itself, encrypted; use `file`, `environment` or `external`"),
    no("driver_opts", "Disco keeps secrets itself, encrypted; use `file`, `environment` or `external`"),
    no("template_driver", "variables in `content` of a config are replaced when the stack is read"),
];

pub(super) static CONFIG: &[Key] = &[
    limited("name", Kind::Text, "of an external one; one that the stack defines is always `STACK/KEY`"),
    noted("content", Kind::Text, "with its variables replaced"),
    yes("environment", Kind::Text),
    noted("file", Kind::Text, "at most 256 KiB"),
    noted("external", Kind::External, "of the cluster: `disco config set NAME --file FILE` makes it"),
    yes("labels", Kind::Pairs(Null::Empty)),
    no("template_driver", "variables in `content` are replaced when the stack is read"),
];
