//! `build` of a service.

use super::{Key, Kind, Null, container::ULIMITS, no, noted, yes};

pub(super) static BUILD: &[Key] = &[
    noted("context", Kind::Text, "a folder relative to the file, or an URL"),
    noted("dockerfile", Kind::Text, "`Dockerfile` unless given"),
    yes("dockerfile_inline", Kind::Text),
    yes("entitlements", Kind::TextList),
    yes("args", Kind::Pairs(Null::Inherited)),
    yes("ssh", Kind::Pairs(Null::Inherited)),
    yes("labels", Kind::Pairs(Null::Empty)),
    yes("cache_from", Kind::TextList),
    yes("cache_to", Kind::TextList),
    yes("no_cache", Kind::Bool),
    yes("additional_contexts", Kind::Pairs(Null::Empty)),
    yes("network", Kind::Text),
    yes("provenance", Kind::Scalar),
    yes("sbom", Kind::Scalar),
    yes("pull", Kind::Bool),
    yes("target", Kind::Text),
    yes("shm_size", Kind::Size),
    yes("extra_hosts", Kind::ExtraHosts),
    no("isolation", "it exists on Windows alone; leave it out"),
    yes("privileged", Kind::Bool),
    yes("secrets", Kind::Mounts("/run/secrets")),
    yes("tags", Kind::TextList),
    ULIMITS,
    yes("platforms", Kind::TextList),
];
