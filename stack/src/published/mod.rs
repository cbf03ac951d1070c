//! What is published of the schema: `docs/stack.md` for readers, `disco.stack.json` for editors.

mod json_schema;
mod matrix;

use crate::schema::{
    Key, Kind,
    container::{DEPENDENCY, DEVICE, ENV_FILE, MOUNT, PORT, ULIMIT, VOLUME},
    deploy::DEVICES,
};

pub use self::{json_schema::json_schema, matrix::matrix};

/// The keys of the long form of a value that has one.
fn long_form(kind: &'static Kind) -> Option<&'static [Key]> {
    match kind {
        Kind::Object(keys) | Kind::ObjectOrNull(keys) | Kind::TextOrObject(_, keys) | Kind::NamesOrMap(keys) => {
            Some(keys)
        }
        Kind::List(inner) | Kind::Map(inner) => long_form(inner),
        Kind::DependsOn => Some(DEPENDENCY),
        Kind::EnvFiles => Some(ENV_FILE),
        Kind::Ports => Some(PORT),
        Kind::Volumes => Some(VOLUME),
        Kind::Mounts(_) => Some(MOUNT),
        Kind::Devices => Some(DEVICE),
        Kind::Ulimits => Some(ULIMIT),
        Kind::Gpus => Some(DEVICES),
        _ => None,
    }
}
