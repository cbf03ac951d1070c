//! What a caller asks for.

use std::{collections::BTreeMap, fmt};

/// Which files to load, and with what.
#[derive(Clone, Default)]
pub struct Options {
    /// Stack files in the order of merging, as the user named them. Paths within them are seen from the folder of the first.
    pub files: Vec<String>,
    /// The name of that folder, for a stack without a name of its own.
    pub folder_name: String,
    /// A name that goes before all others.
    pub name: Option<String>,
    /// Profiles to enable; `*` is all.
    pub profiles: Vec<String>,
    /// Variables that go before the environment.
    pub set: BTreeMap<String, String>,
    /// The operator's environment.
    pub environment: BTreeMap<String, String>,
    /// A variable that is not set is a warning and empty, not an error.
    pub allow_unset: bool,
}

impl fmt::Debug for Options {
    /// Without values of variables.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("files", &self.files)
            .field("folder_name", &self.folder_name)
            .field("name", &self.name)
            .field("profiles", &self.profiles)
            .field("set", &self.set.keys())
            .field("environment", &self.environment.keys())
            .field("allow_unset", &self.allow_unset)
            .finish()
    }
}
