//! The keys at the top of a stack file.

use super::{Key, Kind, SERVICE, no, no_effect, noted, resources, yes};

pub(crate) static TOP: &[Key] = &[
    no_effect("version", Kind::Scalar, "the specification has no versions any more"),
    noted("name", Kind::Text, "`--name` and `COMPOSE_PROJECT_NAME` come first; without all three, the folder's name"),
    noted("include", Kind::Free, "`path`, `project_directory`, `env_file`"),
    yes("services", Kind::Map(&Kind::Object(SERVICE))),
    yes("networks", Kind::Map(&Kind::ObjectOrNull(resources::NETWORK))),
    yes("volumes", Kind::Map(&Kind::ObjectOrNull(resources::VOLUME))),
    yes("secrets", Kind::Map(&Kind::Object(resources::SECRET))),
    yes("configs", Kind::Map(&Kind::Object(resources::CONFIG))),
    no("models", "run the model as a service, and pass its address in `environment`"),
];
