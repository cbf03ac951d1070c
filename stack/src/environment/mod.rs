//! Variables: the operator's, those of `.env`, and the files of `env_file`.

pub(crate) mod dotenv;

use std::collections::BTreeMap;

/// Variables by name; the first that has one gives it: `--set`, the operator's environment, `.env`.
#[derive(Clone, Default)]
pub(crate) struct Environment {
    layers: Vec<BTreeMap<String, String>>,
}

impl Environment {
    pub(crate) fn new(layers: Vec<BTreeMap<String, String>>) -> Self {
        Self { layers }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.layers.iter().find_map(|layer| layer.get(name)).map(String::as_str)
    }

    /// One variable, and below it these.
    pub(crate) fn below(&self, name: &str, value: &str) -> Self {
        let mut layers = vec![BTreeMap::from([(name.to_owned(), value.to_owned())])];
        layers.extend(self.layers.iter().cloned());
        Self { layers }
    }

    /// These variables, and below them those of a file.
    pub(crate) fn over(&self, file: BTreeMap<String, String>) -> Self {
        let mut layers = self.layers.clone();
        layers.push(file);
        Self { layers }
    }
}
