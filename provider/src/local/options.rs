//! Options of `LocalProvider.init`, and of `start_instance` with it.

use std::path::PathBuf;

use serde::Deserialize;
use serde::de::IgnoredAny;

/// Options of `LocalProvider.init`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LocalOptions {
    /// The provider's name.
    #[serde(default)]
    pub(crate) name: Option<String>,
    /// The folder of the machines; relative to the project folder.
    #[serde(default)]
    pub(crate) dir: Option<PathBuf>,
}

/// Options of `start_instance`: the keys of the cloud providers, so that a script runs on both. All but `name` describe
/// hardware, which a local machine does not have, and are ignored.
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
