//! What `LocalProvider.init` takes, and what `start_instance` takes with it.

use std::path::PathBuf;

use serde::Deserialize;
use serde::de::IgnoredAny;

/// What `LocalProvider.init` takes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LocalOptions {
    /// The provider's name.
    #[serde(default)]
    pub(crate) name: Option<String>,
    /// Where the machines live; relative to the project folder.
    #[serde(default)]
    pub(crate) dir: Option<PathBuf>,
}

/// What `start_instance` takes: the keys of the cloud providers, so that a script runs on both. All but `name` say
/// something about hardware that a local machine does not have.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StartOptions {
    #[serde(default)]
    pub(crate) name: Option<String>,
    #[serde(default, rename = "image")]
    _image: Option<IgnoredAny>,
    #[serde(default, rename = "instance_type")]
    _instance_type: Option<IgnoredAny>,
    #[serde(default, rename = "zone")]
    _zone: Option<IgnoredAny>,
    #[serde(default, rename = "volume")]
    _volume: Option<IgnoredAny>,
    #[serde(default, rename = "spot")]
    _spot: Option<IgnoredAny>,
    #[serde(default, rename = "user_data")]
    _user_data: Option<IgnoredAny>,
}
