//! Every key of the Compose Specification as data: what its value is, and whether Disco takes it. Reading, merging,
//! `disco.stack.json` and `docs/stack.md` are all made from it.

mod build;
pub(crate) mod container;
pub(crate) mod deploy;
mod disco;
mod resources;
mod service;
mod top;

pub(crate) use self::{disco::DISCO, service::SERVICE, top::TOP};

/// A key of a mapping.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) support: Support,
}

/// Whether Disco takes a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Support {
    /// As the specification has it; with a remark or an empty text.
    Yes(&'static str),
    /// With the limit that the text states.
    Limited(&'static str),
    /// Read and checked, without effect, which a warning states.
    NoEffect(&'static str),
    /// Refused; the text says what to use instead.
    No(&'static str),
}

/// What the value of a key is.
#[derive(Debug)]
pub(crate) enum Kind {
    Text,
    /// Text or a number, as written.
    Scalar,
    Bool,
    Int,
    Number,
    Duration,
    /// Bytes.
    Size,
    /// Bytes, or -1 for no limit.
    SizeOrUnlimited,
    /// Octal permissions.
    Mode,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// A list of texts without duplicates.
    TextList,
    /// A list of texts and numbers.
    ScalarList,
    /// One text or a list.
    TextOrList,
    /// `NAME: value` or `- NAME=value`.
    Pairs(Null),
    /// `HOST: ADDRESS` or `- HOST=ADDRESS` or `- HOST:ADDRESS`; a host may have several.
    ExtraHosts,
    List(&'static Kind),
    /// Any names.
    Map(&'static Kind),
    Object(&'static [Key]),
    /// As `Object`, or nothing.
    ObjectOrNull(&'static [Key]),
    /// Text stands for the key that is named, or an object.
    TextOrObject(&'static str, &'static [Key]),
    /// A list of names, or a mapping from names to objects.
    NamesOrMap(&'static [Key]),
    /// `true` or `false`, or the old `{name: …}`.
    External,
    Command,
    HealthTest,
    DependsOn,
    EnvFiles,
    Expose,
    Ports,
    Volumes,
    /// One or several `PATH:OPTIONS`, unique by path.
    Tmpfs,
    /// Files of secrets and configs; a relative target is below this folder.
    Mounts(&'static str),
    Devices,
    Ulimits,
    Gpus,
    /// A number or `all`.
    DeviceCount,
    Restart,
    PullPolicy,
    /// Anything: `x-*`.
    Free,
}

/// What a pair without a value means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Null {
    /// The value comes from the operator's environment.
    Inherited,
    /// Empty text.
    Empty,
}

const fn yes(name: &'static str, kind: Kind) -> Key {
    Key { name, kind, support: Support::Yes("") }
}

const fn noted(name: &'static str, kind: Kind, note: &'static str) -> Key {
    Key { name, kind, support: Support::Yes(note) }
}

const fn limited(name: &'static str, kind: Kind, note: &'static str) -> Key {
    Key { name, kind, support: Support::Limited(note) }
}

const fn no_effect(name: &'static str, kind: Kind, note: &'static str) -> Key {
    Key { name, kind, support: Support::NoEffect(note) }
}

const fn no(name: &'static str, instead: &'static str) -> Key {
    Key { name, kind: Kind::Free, support: Support::No(instead) }
}

pub(crate) fn find(keys: &'static [Key], name: &str) -> Option<&'static Key> {
    keys.iter().find(|key| key.name == name)
}
